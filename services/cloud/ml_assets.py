"""Data assets and models of the workspace."""
# ruff: noqa: SLF001 - see ml.py: the generated clients are private members of the public ones

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from services.cloud.ml_base import WorkspaceBase
from services.cloud.ml_client import translated
from services.cloud.ports.training import TableAsset
from services.errors import Conflict, NotFound

TRIAL_TAG = "visionloop_trial"


class Assets(WorkspaceBase):
    """Immutable once they are there: the same again is no change, something else under one name is a conflict."""

    def register_table(self, asset: TableAsset) -> None:
        """See `Workspace`."""
        what = f"Registering data asset {asset.name}:{asset.version}"
        path = f"azureml://datastores/{self._settings.system_datastore}/paths/{asset.folder.strip('/')}/"
        try:
            with translated(what):
                self._put_table(asset, path)
        except Conflict:
            with translated(what):
                existing = str(self._client.data.get(asset.name, asset.version).path)
            if _folder(existing) != _folder(path):
                raise Conflict(f"{what}: it exists with another folder") from None

    def _put_table(self, asset: TableAsset, path: str) -> None:
        from azure.ai.ml.entities import Data

        data: Any = Data(
            name=asset.name,
            version=asset.version,
            type="mltable",
            path=path,
            description=asset.description or None,
            tags=dict(asset.tags),
        )
        operations = self._client.data
        operations._operation.create_or_update(
            name=asset.name,
            version=asset.version,
            body=data._to_rest_object(),
            **self._scope,
        )

    def has_table(self, name: str, version: str) -> bool:
        """See `Workspace`."""
        try:
            with translated(f"Looking for data asset {name}:{version}"):
                self._client.data.get(name, version)
        except NotFound:
            return False
        return True

    def archive_table(self, name: str, version: str) -> None:
        """See `Workspace`."""
        with suppress(NotFound), translated(f"Archiving data asset {name}:{version}"):
            self._client.data.archive(name, version)

    def register_model(self, name: str, version: str, child: str, tags: Mapping[str, str]) -> None:
        """See `Workspace`.

        Raises:
            Conflict: the name and version exist from another trial.
        """
        what = f"Registering model {name}:{version}"
        if self._is_registered(name, version, child, what):
            return
        try:
            with translated(what):
                self._create_model(name, version, child, tags)
        except Conflict:
            if not self._is_registered(name, version, child, what):
                raise

    def _create_model(self, name: str, version: str, child: str, tags: Mapping[str, str]) -> None:
        from azure.ai.ml.entities import Model

        path = f"azureml://jobs/{child}/outputs/artifacts/outputs/mlflow-model/"
        model = Model(name=name, version=version, type="mlflow_model", path=path, tags={**tags, TRIAL_TAG: child})
        self._client.models.create_or_update(model)

    def _is_registered(self, name: str, version: str, child: str, what: str) -> bool:
        try:
            with translated(what):
                model = self._client.models.get(name, version=version)
        except NotFound:
            return False
        if (model.tags or {}).get(TRIAL_TAG) != child and f"/{child}/" not in f"{model.path}/":
            raise Conflict(f"{what}: it exists from another trial")
        return True


def _folder(path: str) -> str:
    return path.rpartition("/datastores/")[2].strip("/")
