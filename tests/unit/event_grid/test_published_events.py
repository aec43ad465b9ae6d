"""Events of the local cloud, held against the ones that Microsoft publishes, where ../shared has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.event_grid.events import BlobChange, BlobFacts, cloud_event, event_grid_schema
from tests.support.azure_ml_app import App
from tests.support.cloud_process import ROOT

EVENTS = ROOT.parent / "shared" / "data" / "events"


def published(name: str) -> dict[str, Any]:
    if not EVENTS.exists():
        pytest.skip(f"needs the published events in {EVENTS}")
    found: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return found


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    found = App(tmp_path)
    yield found
    found.close()


def told(app: App, kind: str) -> dict[str, Any]:
    return next(e for _, e in app.emulator.store.events() if str(e["type"]).endswith(f".{kind}"))


def check(event: dict[str, Any], name: str) -> None:
    """The same members, in both schemas."""
    for own, sample in ((event, published(f"{name}.cloudevent")), (event_grid_schema(event), published(name))):
        assert own.keys() == sample.keys()
        assert own["data"].keys() == sample["data"].keys()
    assert event["type"] == published(f"{name}.cloudevent")["type"]
    assert event["subject"].split("/")[0] == published(name)["subject"].split("/")[0]


def test_a_blob_s_creation() -> None:
    change = BlobChange("PutBlob", "account", "data", "x.jpg")
    facts = BlobFacts('"0x8D"', 5, "image/jpeg", "BlockBlob", "https://h/account/data/x.jpg")
    event = cloud_event(change, facts, 1, "/topic")
    check(event, "blob_created")
    sample = published("blob_created")["data"]
    assert len(event["data"]["sequencer"]) == len(sample["sequencer"])
    assert {type(v) for v in event["data"].values()} == {type(v) for v in sample.values()}


def test_a_run_s_changes_and_its_end(app: App) -> None:
    app.emulator.runs.add_child("job_HD", "job_HD_0", {})
    app.emulator.runs.move("job_HD_0", "Completed")
    check(told(app, "RunStatusChanged"), "run_status_changed_documented")
    check(told(app, "RunCompleted"), "run_completed")
    assert told(app, "RunCompleted")["data"]["runProperties"]["runTemplate"] == "automl_child"


def test_a_model_s_registration(app: App) -> None:
    app.store_model("cats")
    check(told(app, "ModelRegistered"), "model_registered")
