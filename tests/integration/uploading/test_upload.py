"""`dev.py upload` against Azurite: into the loop, again, after a kill, over a bad network."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.storage.blob import ContainerClient

from devtools.uploading.__main__ import main
from devtools.uploading.files import Local, Remote, Tally, md5_of
from devtools.uploading.transfer import MOST_FAILURES, container, listed, transfer
from services.catalogue.claims import claim_of_bytes
from services.cloud import identity
from services.cloud.blobs import AzureBlobStore
from tests.support.cloud_process import ROOT, CloudProcess, running_cloud
from tests.support.dataset_house import BOX, picture, voc


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), "--no-app") as found:
        identity._tokens.clear()
        yield found
        identity._tokens.clear()


def fill(folder: Path, count: int) -> Path:
    for number in range(count):
        (folder / "photos").mkdir(parents=True, exist_ok=True)
        (folder / "photos" / f"{number:04}.png").write_bytes(picture(number))
        (folder / "photos" / f"{number:04}.xml").write_bytes(voc(("nut", BOX)))
    (folder / "loop.yaml").write_text("paused: true\n")
    return folder


def upload(cloud: CloudProcess, folder: Path, loop: str, *options: str) -> int:
    return main([str(folder), loop, "--cloud", str(cloud.folder), *options])


def there(cloud: CloudProcess, loop: str) -> dict[str, str]:
    with container(cloud.urls["blob"], "visionloop-data", 2) as client:
        return {name: remote.md5 for name, remote in listed(client, f"{loop}/").items()}


def test_a_folder_becomes_a_loop_s_and_is_not_sent_twice(
    cloud: CloudProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(tmp_path / "f", 20)
    assert upload(cloud, folder, "parts", "--dry-run") == 0
    assert "41 of 41 files would be uploaded" in capsys.readouterr().out
    assert there(cloud, "parts") == {}
    assert upload(cloud, folder, "parts") == 0
    found = there(cloud, "parts")
    assert set(found) == {
        "parts/loop.yaml",
        *(f"parts/images/photos/{n:04}.{kind}" for n in range(20) for kind in ("png", "xml")),
    }
    assert found["parts/images/photos/0003.png"] == md5_of(folder / "photos" / "0003.png")
    claims = {b.name: b.claim for b in AzureBlobStore(cloud.urls["blob"], "visionloop-data").list("parts/")}
    assert claims["parts/images/photos/0003.png"] == claim_of_bytes(picture(3))
    assert [name for name, claim in claims.items() if not claim] == sorted(n for n in found if not n.endswith("png"))
    (folder / "photos" / "0003.xml").write_bytes(voc(("bolt", BOX)))
    capsys.readouterr()
    assert upload(cloud, folder, "parts") == 0
    assert "41/41 files, 40 were there" in capsys.readouterr().out
    assert there(cloud, "parts")["parts/images/photos/0003.xml"] == md5_of(folder / "photos" / "0003.xml")


def test_a_file_of_many_blocks_keeps_its_md5(cloud: CloudProcess, tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "labels.json").write_bytes(os.urandom(1 << 20) * 20)
    assert upload(cloud, tmp_path / "f", "large") == 0
    assert upload(cloud, tmp_path / "f", "large", "--threads", "2") == 0
    assert there(cloud, "large") == {"large/labels/labels.json": md5_of(tmp_path / "f" / "labels.json")}


def when_written(cloud: CloudProcess, loop: str) -> dict[str, str]:
    """By blob's name its ETag, which changes with every upload of it."""
    with container(cloud.urls["blob"], "visionloop-data", 2) as client:
        return {blob.name: str(blob.etag) for blob in client.list_blobs(name_starts_with=f"{loop}/")}


def test_a_killed_upload_goes_on(
    cloud: CloudProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path / "f", 400)
    command = [sys.executable, "-m", "devtools.uploading", str(folder), "killed", "--cloud", str(cloud.folder)]
    process = subprocess.Popen([*command, "--threads", "2"], cwd=ROOT, stdout=subprocess.DEVNULL)
    ends = time.monotonic() + 120
    while not there(cloud, "killed") and time.monotonic() < ends:
        time.sleep(0.05)
    process.kill()
    process.wait(60)
    left = when_written(cloud, "killed")
    assert 0 < len(left) < 801

    seen: list[dict[str, Remote]] = []

    def watched(client: ContainerClient, prefix: str) -> dict[str, Remote]:
        seen.append(listed(client, prefix))
        return seen[-1]

    monkeypatch.setattr("devtools.uploading.__main__.listed", watched)
    assert upload(cloud, folder, "killed") == 0
    # what was under way in the killed one's two threads may still arrive after the look above
    began_with = set(seen[0])
    assert left.keys() <= began_with
    assert len(began_with - left.keys()) <= 2
    said = capsys.readouterr().out
    assert f" {len(began_with)} were there" in said
    assert "801 of 801 files are in killed/" in said
    assert when_written(cloud, "killed").items() >= left.items()


def test_what_cannot_be_read_is_named_and_spoils_nothing_else(
    cloud: CloudProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(tmp_path / "f", 3)
    with container(cloud.urls["blob"], "visionloop-data", 2) as client:
        files = [Local(f"some/{f.name}", f, f.stat().st_size) for f in sorted((folder / "photos").iterdir())]
        files[1].file.unlink()
        told: list[int] = []
        tally = transfer(client, files, {}, 2, lambda t: told.append(t.done))
    assert (tally.uploaded, list(tally.failed)) == (5, ["some/0000.xml"])
    assert told == [1, 2, 3, 4, 5, 6]


class NobodyThere:
    def upload_blob(self, *arguments: Any, **options: Any) -> None:
        time.sleep(0.01)
        raise ConnectionError("refused\nsecret")


def test_where_nobody_answers_the_rest_is_not_tried(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    files = [Local(f"x/{n}", tmp_path / "x", 1) for n in range(MOST_FAILURES + 30)]
    tally = transfer(cast("ContainerClient", NobodyThere()), files, {}, 1, lambda _: None)
    assert tally.done == len(files)
    refused = [why for why in tally.failed.values() if why == "refused"]
    assert MOST_FAILURES <= len(refused) <= MOST_FAILURES + 3


def test_misuse_is_a_sentence(cloud: CloudProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert upload(cloud, tmp_path / "nothing", "parts") == 2
    assert upload(cloud, tmp_path, "parts") == 2
    assert upload(cloud, fill(tmp_path / "f", 1), "../parts") == 2
    assert main([str(tmp_path / "f"), "parts", "--cloud", str(tmp_path / "no")]) == 3
    said = capsys.readouterr().err
    assert "There is no folder" in said
    assert "not a loop's name" in said
    assert "No local cloud runs" in said


def test_where_nobody_is_signed_in_the_cure_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Unknown(contextlib.nullcontext[Any]):
        def __enter__(self) -> Any:
            return self

        def get_token(self, _: str) -> None:
            raise ClientAuthenticationError("nine ways to sign in\n, each at length")

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", Unknown)
    assert main([str(fill(tmp_path / "f", 1)), "parts", "--account", "somebodys"]) == 1
    assert (
        capsys.readouterr().err == "Nobody is signed in to Azure here: run `az login`, then the same command again.\n"
    )


def test_a_container_that_is_not_there(cloud: CloudProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main([str(fill(tmp_path / "f", 1)), "parts", "--account", cloud.urls["blob"], "--container", "nowhere"])
    assert code == 1
    assert "cannot be listed: 404 ContainerNotFound" in capsys.readouterr().err


def test_the_bar() -> None:
    tally = Tally(1200, uploaded=300, skipped=299, failed={"x": "y"})
    assert tally.shown().startswith("[############............] 600/1,200 files, 299 were there, 1 failed, 0.0 MB/s")
