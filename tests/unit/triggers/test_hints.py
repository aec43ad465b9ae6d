"""Which loop an event concerns: every recorded event, both schemas, and whatever else may come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from azure.functions.meta import Datum
from hypothesis import given
from hypothesis import strategies as st

from services import hints
from services.names import job_name
from triggers.event import parts

CONTAINER = "visionloop-data"
RECORDED = sorted((Path(__file__).resolve().parents[4] / "shared" / "data" / "events").glob("*.json"))
JOB = job_name("cards", "content", "config")


def decoded(event: dict[str, Any]) -> object:
    """As the worker decodes it."""
    return (
        func.get_binding_registry()
        .get("eventGridTrigger")
        .decode(Datum(json.dumps(event), "json"), trigger_metadata={})
    )


def blob_event(
    schema: str, name: str, *, container: str = CONTAINER, kind: str = "BlobCreated", **data: Any
) -> dict[str, Any]:
    subject = f"/blobServices/default/containers/{container}/blobs/{name}"
    return envelope(schema, f"Microsoft.Storage.{kind}", subject, data)


def envelope(schema: str, kind: str, subject: str, data: Any) -> dict[str, Any]:
    shared = {"id": "1", "subject": subject, "data": data}
    if schema == "cloud":
        return {**shared, "type": kind, "source": "/s", "specversion": "1.0", "time": "2026-01-01T00:00:00Z"}
    return {
        **shared,
        "eventType": kind,
        "topic": "/s",
        "eventTime": "2026-01-01T00:00:00Z",
        "dataVersion": "",
        "metadataVersion": "1",
    }


def of_storage(event: dict[str, Any]) -> str | None:
    return hints.loop_of_storage_event(*parts(decoded(event)), CONTAINER)


def of_ml(event: dict[str, Any]) -> str | None:
    return hints.loop_of_ml_event(*parts(decoded(event)))


@pytest.mark.parametrize("schema", ["grid", "cloud"])
class TestStorage:
    @pytest.mark.parametrize("api", ["PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose"])
    def test_a_complete_write_concerns_its_folder(self, schema: str, api: str) -> None:
        assert of_storage(blob_event(schema, "cards/images/1.jpg", api=api)) == "cards"

    def test_a_deletion_does_too(self, schema: str) -> None:
        assert of_storage(blob_event(schema, "cards/images/1.jpg", kind="BlobDeleted", api="DeleteBlob")) == "cards"

    @pytest.mark.parametrize("api", ["PutBlock", "CreateFile", "FlushFile", "PutPage"])
    def test_half_a_write_concerns_nobody(self, schema: str, api: str) -> None:
        assert of_storage(blob_event(schema, "cards/images/1.jpg", api=api)) is None

    @pytest.mark.parametrize("container", ["visionloop-system", "visionloop-data2", "workspaceblobstore"])
    def test_what_we_write_wakes_nobody(self, schema: str, container: str) -> None:
        assert of_storage(blob_event(schema, "cards/images/1.jpg", container=container, api="PutBlob")) is None

    @pytest.mark.parametrize("name", ["loop.yaml", "Cards/1.jpg", "a/1.jpg", "cards/", "/cards/1.jpg", "../x/1.jpg"])
    def test_a_blob_of_no_loop_concerns_nobody(self, schema: str, name: str) -> None:
        assert of_storage(blob_event(schema, name, api="PutBlob")) is None

    def test_other_storage_events_concern_nobody(self, schema: str) -> None:
        assert of_storage(blob_event(schema, "cards/images/1.jpg", kind="BlobTierChanged")) is None


@pytest.mark.parametrize("schema", ["grid", "cloud"])
class TestMachineLearning:
    @pytest.mark.parametrize("key", ["runId", "RunId", "RUNID", "runid"])
    @pytest.mark.parametrize("kind", ["RunCompleted", "RunStatusChanged"])
    def test_a_job_of_ours_concerns_its_loop(self, schema: str, key: str, kind: str) -> None:
        event = envelope(schema, f"Microsoft.MachineLearningServices.{kind}", "", {key: JOB})
        assert of_ml(event) == "cards"

    def test_the_subject_will_do(self, schema: str) -> None:
        subject = f"experiments/e/runs/{JOB}"
        assert of_ml(envelope(schema, "Microsoft.MachineLearningServices.RunCompleted", subject, {})) == "cards"

    @pytest.mark.parametrize("run", [f"{JOB}_HD_0", f"{JOB}_3", "AutoML_1", "vl-cards-xyz", f"x{JOB}", "", None, 7, []])
    def test_trials_and_other_peoples_runs_concern_nobody(self, schema: str, run: object) -> None:
        assert of_ml(envelope(schema, "Microsoft.MachineLearningServices.RunCompleted", "", {"runId": run})) is None

    @pytest.mark.parametrize("kind", ["ModelRegistered", "ModelDeployed", "DatasetDriftDetected"])
    def test_other_events_concern_nobody(self, schema: str, kind: str) -> None:
        event = envelope(schema, f"Microsoft.MachineLearningServices.{kind}", f"x/runs/{JOB}", {"runId": JOB})
        assert of_ml(event) is None


@pytest.mark.parametrize("file", RECORDED, ids=lambda f: f.stem)
def test_recorded_events_are_read_and_concern_nobody_of_ours(file: Path) -> None:
    event = json.loads(file.read_text())
    assert of_ml(event) is None
    assert of_storage(event) is None
    kind, subject, data = parts(decoded(event))
    assert kind.startswith("Microsoft.")
    assert subject
    assert isinstance(data, dict)


@pytest.mark.skipif(not RECORDED, reason="needs the recorded events of ../shared/data/events")
def test_a_recorded_blob_event_of_our_container_concerns_its_loop() -> None:
    files = [f for f in RECORDED if f.stem.startswith("blob_created")]
    assert len(files) == 2
    for file in files:
        event = json.loads(file.read_text())
        event["subject"] = f"/blobServices/default/containers/{CONTAINER}/blobs/cards/images/1.jpg"
        assert of_storage(event) == "cards"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda c: st.lists(c) | st.dictionaries(st.text(), c),
    max_leaves=8,
)


@given(kind=st.sampled_from(sorted(hints.STORAGE_TYPES | hints.RUN_TYPES)), subject=st.text(), data=JSON)
def test_nothing_that_may_come_raises(kind: str, subject: str, data: object) -> None:
    prefix = f"/blobServices/default/containers/{CONTAINER}/blobs/"
    hints.loop_of_storage_event(kind, prefix + subject, data, CONTAINER)
    hints.loop_of_ml_event(kind, subject, data)


@given(value=JSON)
def test_an_object_of_any_kind_has_parts(value: object) -> None:
    assert parts(value)[:2] == ("", "")
