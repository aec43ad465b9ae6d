"""Reads what a job is trained on: data asset → MLTable → JSON Lines → images, downloaded once per ETag."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from emulator.azure_ml.config import Config
from emulator.azure_ml.errors import AzureError, not_found, user_error
from emulator.azure_ml.store import Store

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

_PATH = re.compile(
    r"azureml://(?:(?:subscriptions/.+?/)?workspaces/[^/]+/)?datastores/(?P<store>[^/]+)/paths/(?P<path>.*)"
)
_ASSET = re.compile(r".*/data/(?P<name>[^/]+)/versions/(?P<version>[^/]+)|azureml:(?P<n>[^:]+):(?P<v>[^:]+)")
DOWNLOADS = 8


@dataclass(frozen=True, slots=True)
class Place:
    """A blob or folder in a datastore."""

    datastore: str
    path: str

    def below(self, name: str) -> Place:
        """A file of this folder."""
        return Place(self.datastore, posixpath.normpath(posixpath.join(self.path, name)))


def read_uri(uri: str) -> Place:
    """The place that a short or long azureml:// address names.

    Raises:
        AzureError: it names none.
    """
    match = _PATH.fullmatch(uri)
    if match is None:
        raise user_error(f"{uri[:200]!r} is no azureml://…/datastores/…/paths/… address")
    return Place(match["store"], unquote(match["path"]))


def long_uri(uri: str, config: Config) -> str:
    """An address in a datastore with its workspace, as Azure ML shows it; any other as it is."""
    match = _PATH.fullmatch(uri)
    if match is None:
        return uri
    place = f"subscriptions/{config.subscription_id}/resourcegroups/{config.resource_group}"
    return f"azureml://{place}/workspaces/{config.workspace}/datastores/{match['store']}/paths/{match['path']}"


class Tables:
    """Reads the workspace's data assets."""

    def __init__(self, config: Config, store: Store) -> None:
        """Images are kept in the folder `images` of this process."""
        self._config, self._store = config, store
        self._cache = config.folder / "images"
        self._containers: dict[str, ContainerClient] = {}

    def container(self, datastore: str) -> ContainerClient:
        """A client of a datastore's container.

        Raises:
            AzureError: there is no such datastore.
        """
        from azure.storage.blob import ContainerClient

        if datastore not in self._containers:
            found = self._store.get("datastores", datastore)
            if found is None:
                raise not_found(f"Datastore {datastore}")
            account = found["internal"]
            client = ContainerClient(account["account_url"], account["container"], account["account_key"])
            self._containers[datastore] = client
        return self._containers[datastore]

    def asset(self, uri: str) -> Place:
        """The folder of a data asset.

        Raises:
            AzureError: there is no such asset.
        """
        match = _ASSET.fullmatch(uri)
        if match is None:
            return read_uri(uri)
        name, version = match["name"] or match["n"], match["version"] or match["v"]
        found = self._store.get("data", f"{name}/versions/{version}")
        if found is None:
            raise not_found(f"Data asset {name}:{version}")
        return read_uri(found["properties"]["dataUri"])

    def rows(self, uri: str) -> list[dict[str, Any]]:
        """Rows for the trainer: image (a local file), width, height, label.

        Raises:
            AzureError: a user error that names the file and line.
        """
        folder = self.asset(uri)
        listed = [row for file in self._files(folder) for row in self._lines(file)]
        if not listed:
            raise user_error(f"The table in {folder.path} has no rows")
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            return list(pool.map(self._row, listed))

    def _files(self, folder: Place) -> list[Place]:
        import yaml

        table = folder.below("MLTable")
        try:
            found = yaml.safe_load(self.read(table))
            files = [str(entry["file"]) for entry in found["paths"]]
        except (KeyError, TypeError, UnicodeDecodeError, yaml.YAMLError):
            raise user_error(f"{table.path} names no files") from None
        return [read_uri(file) if file.startswith("azureml:") else folder.below(file) for file in files]

    def _lines(self, file: Place) -> Iterator[tuple[str, dict[str, Any]]]:
        for number, line in enumerate(self.read(file).split(b"\n"), 1):
            where = f"{file.path}, line {number}"
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict) or not isinstance(row.get("image_url"), str) or "label" not in row:
                raise user_error(f"{where}: expected an object with image_url and label")
            yield where, row

    def _row(self, listed: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        where, row = listed
        details = row.get("image_details")
        details = details if isinstance(details, dict) else {}
        try:
            image = self._download(read_uri(row["image_url"]))
        except AzureError as error:
            raise user_error(f"{where}: {error.message}") from None
        return {
            "image": str(image),
            "width": details.get("width"),
            "height": details.get("height"),
            "label": row["label"],
        }

    def read(self, place: Place) -> bytes:
        """A blob's bytes.

        Raises:
            AzureError: there is no such blob.
        """
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return self.container(place.datastore).download_blob(place.path).readall()
        except ResourceNotFoundError:
            raise user_error(f"{place.path} does not exist in datastore {place.datastore}") from None

    def _download(self, place: Place) -> Path:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            found = self.container(place.datastore).download_blob(place.path)
        except ResourceNotFoundError:
            raise user_error(f"{place.path} does not exist in datastore {place.datastore}") from None
        etag = str(found.properties.etag)
        name = hashlib.sha256(f"{place.datastore}/{place.path}/{etag}".encode()).hexdigest()
        target = self._cache / name[:2] / f"{name}{Path(place.path).suffix.lower()}"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            partial.write_bytes(found.readall())
            partial.replace(target)
        return target

    def download_folder(self, place: Place, target: Path) -> Path:
        """Download every blob below a place; returns the local folder."""
        self._download_all(self.container(place.datastore), place.path.rstrip("/"), target)
        return target

    def download_code(self, code: str, target: Path) -> None:
        """Download registered code by its resource id.

        Raises:
            AzureError: there is none.
        """
        from azure.storage.blob import ContainerClient

        name, _, version = code.partition("/codes/")[2].partition("/versions/")
        found = self._store.get("codes", f"{name}/versions/{version}")
        if found is None:
            raise not_found(f"Code {code}")
        parts = urlsplit(found["properties"]["codeUri"]).path.lstrip("/").split("/", 2)
        account = self._config.datastores[0]
        container = ContainerClient(account["account_url"], parts[1], account["account_key"])
        self._download_all(container, parts[2] if len(parts) > 2 else "", target)

    def _download_all(self, container: ContainerClient, prefix: str, target: Path) -> None:
        for blob in container.list_blobs(name_starts_with=prefix or None):
            relative = posixpath.normpath(str(blob.name)[len(prefix) :].lstrip("/") or posixpath.basename(blob.name))
            if relative.startswith("../"):
                continue
            file = target / relative
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(container.download_blob(blob.name).readall())
