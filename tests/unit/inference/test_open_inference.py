"""The Open Inference Protocol v2, held against the published shapes of its requests and answers."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import jsonschema
import pytest

from services.cloud.fakes import FakeAsyncScorer, fake_settings
from services.errors import BadRequest, NoChampion, NotFound, TooLarge
from services.inference.champion import Champions
from services.inference.open_inference import OpenInference, as_protocol, probe, server
from services.inference.predict import Predictor, Request
from services.state import LoopState
from tests.support.predictions import jpeg, loop_state

NUMBERS: Any = {"type": "array", "items": {"type": "integer"}}
TENSOR: Any = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "datatype": {"type": "string"}, "shape": NUMBERS},
    "required": ["name", "datatype", "shape"],
}
RESPONSE: Any = {
    "type": "object",
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {"type": "array", "items": {**TENSOR, "required": ["name", "shape", "datatype", "data"]}},
    },
    "required": ["model_name", "outputs"],
}
"""As in the protocol's own OpenAPI document."""
SCORED: Any = {
    "boxes": [
        {"label": "jack", "score": 0.4, "box": {"topX": 0.0, "topY": 0.0, "bottomX": 0.5, "bottomY": 0.5}},
        {"label": "ace", "score": 0.9, "box": {"topX": 0.25, "topY": 0.5, "bottomX": 0.75, "bottomY": 1.0}},
    ]
}
A, B = jpeg(200, 100), jpeg(40, 30)


def served(state: LoopState | None = None, scored: Any = SCORED) -> OpenInference:
    known = (state or loop_state()).model_dump_json().encode()
    champions = Champions(lambda name, etag: (200, "1", known))
    settings = fake_settings().model_copy(update={"max_request_images": 3})
    predictor = Predictor(champions, FakeAsyncScorer(lambda slot, image: scored), settings)
    return OpenInference(champions, predictor, settings)


def text(image: bytes) -> str:
    return base64.b64encode(image).decode()


def tensor(*images: bytes, **changes: Any) -> dict[str, Any]:
    data = [text(image) for image in images]
    return {"name": "image", "shape": [len(images)], "datatype": "BYTES", "data": data} | changes


def infer(document: Any, service: OpenInference | None = None, version: str = "", **headers: str) -> dict[str, Any]:
    request = Request("cards", json.dumps(document).encode(), headers)
    reply = asyncio.run((service or served()).infer(request, version))
    assert reply.content_type == "application/json"
    found: dict[str, Any] = json.loads(reply.content)
    jsonschema.validate(found, RESPONSE)
    for output in found["outputs"]:
        count = 1
        for n in output["shape"]:
            count *= n
        assert len(output["data"]) == count
    return found


def by_name(found: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one["data"] for one in found["outputs"]}


def test_boxes_labels_and_scores_are_tensors_with_a_row_for_each_thing_found() -> None:
    found = infer({"id": "42", "inputs": [tensor(A, B)]})
    assert (found["id"], found["model_name"], found["model_version"]) == ("42", "cards", "1")
    outputs = by_name(found)
    assert outputs["image_index"] == [0, 0, 1, 1]
    assert outputs["labels"] == ["ace", "jack"] * 2
    assert outputs["scores"] == [0.9, 0.4] * 2
    assert outputs["boxes"][:4] == [50, 50, 150, 100]
    assert outputs["boxes"][8:12] == [10, 15, 30, 30]
    assert outputs["normalized_boxes"][:4] == [0.25, 0.5, 0.75, 1.0]


def test_nothing_found_is_tensors_without_rows() -> None:
    found = infer({"inputs": [tensor(A)]}, served(scored={"boxes": []}))
    assert "id" not in found
    assert [one["shape"] for one in found["outputs"]] == [[0], [0], [0], [0, 4], [0, 4]]


def test_classes_have_no_boxes() -> None:
    service = served(loop_state(task="image_classification"), {"probs": [0.2, 0.8], "labels": ["ace", "jack"]})
    assert by_name(infer({"inputs": [tensor(A)]}, service)) == {
        "image_index": [0, 0],
        "labels": ["jack", "ace"],
        "scores": [0.8, 0.2],
    }


def test_only_the_outputs_that_are_named_come_in_their_order() -> None:
    found = infer({"inputs": [tensor(A)], "outputs": [{"name": "scores"}, {"name": "labels"}]})
    assert [one["name"] for one in found["outputs"]] == ["scores", "labels"]
    with pytest.raises(BadRequest, match="masks"):
        infer({"inputs": [tensor(A)], "outputs": [{"name": "masks"}]})


def test_parameters_are_the_wishes_of_our_own_route() -> None:
    assert by_name(infer({"inputs": [tensor(A)], "parameters": {"threshold": 0.5}}))["labels"] == ["ace"]
    assert by_name(infer({"inputs": [tensor(A)], "parameters": {"top_k": 1}}))["labels"] == ["ace"]
    with pytest.raises(BadRequest, match="threshold"):
        infer({"inputs": [tensor(A)], "parameters": {"threshold": "much"}})


def test_images_may_follow_the_json_as_they_are() -> None:
    """As Triton's clients send them."""
    binary = b"".join(len(image).to_bytes(4, "little") + image for image in (A, B))
    sent = tensor(A, B, parameters={"binary_data_size": len(binary)})
    del sent["data"]
    head = json.dumps({"inputs": [sent]}).encode()
    headers = {"inference-header-content-length": str(len(head))}
    found = json.loads(asyncio.run(served().infer(Request("cards", head + binary, headers))).content)
    assert by_name(found)["image_index"] == [0, 0, 1, 1]
    for damaged in (binary[:-1], binary + b"\1", binary + b"\1\0\0\0"):
        again = head.replace(str(len(binary)).encode(), str(len(damaged)).encode())
        with pytest.raises(BadRequest):
            asyncio.run(
                served().infer(Request("cards", again + damaged, {"inference-header-content-length": str(len(again))}))
            )


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"inputs": []},
        {"inputs": [tensor(A), tensor(B)]},
        {"inputs": [tensor(A, datatype="UINT8")]},
        {"inputs": [tensor(A, shape=[2])]},
        {"inputs": [tensor(A, shape=[-1])]},
        {"inputs": [tensor(A, shape=[True])]},
        {"inputs": [tensor(A, shape=[])]},
        {"inputs": [tensor(A, data="x")]},
        {"inputs": [tensor(A, data=[7])]},
        {"inputs": [tensor()]},
        {"inputs": [tensor(A, parameters={"binary_data_size": 5})]},
        {"inputs": [tensor(A)], "id": 42},
        {"inputs": [tensor(A)], "outputs": ["scores"]},
        {"inputs": [tensor(A)], "parameters": [1]},
    ],
)
def test_other_requests_are_refused(document: Any) -> None:
    with pytest.raises(BadRequest):
        infer(document)


@pytest.mark.parametrize("body", [b"", b"x"])
def test_what_is_no_json_is_told_what_is_expected_here(body: bytes) -> None:
    with pytest.raises(BadRequest, match=r'must be \{"inputs"'):
        asyncio.run(served().infer(Request("cards", body)))


def test_too_many_images_are_refused() -> None:
    with pytest.raises(TooLarge):
        infer({"inputs": [tensor(A, A, A, A)]})


def test_nested_data_is_taken_as_its_shape_says() -> None:
    assert by_name(infer({"inputs": [tensor(A, B, shape=[2, 1], data=[[text(A)], [text(B)]])]}))["labels"]


def test_metadata_describes_the_tensors() -> None:
    found = asyncio.run(served().model("cards"))
    assert (found["name"], found["versions"]) == ("cards", ["1"])
    for one in [*found["inputs"], *found["outputs"]]:
        jsonschema.validate(one, TENSOR)
    answered = infer({"inputs": [tensor(A)]})["outputs"]
    assert [(o["name"], o["datatype"]) for o in answered] == [(o["name"], o["datatype"]) for o in found["outputs"]]
    assert server().keys() == {"name", "version", "extensions"}


def test_a_model_is_ready_where_one_answers() -> None:
    for version in ("", "1"):
        assert asyncio.run(served().ready("cards", version)) == {"name": "cards", "ready": True}
    with pytest.raises(NotFound):
        asyncio.run(served().ready("cards", "2"))
    with pytest.raises(NoChampion):
        asyncio.run(served(loop_state(live=False)).ready("cards"))


def test_a_version_that_does_not_answer_is_said() -> None:
    with pytest.raises(NotFound, match="version 1 in blue"):
        infer({"inputs": [tensor(A)]}, version="7")
    assert infer({"inputs": [tensor(A)]}, version="1")["model_version"] == "1"


def test_errors_have_the_protocols_member_too() -> None:
    assert as_protocol(BadRequest("what is wrong", limit=3)).extra == {"limit": 3, "error": "what is wrong"}


def test_there_are_two_probes() -> None:
    assert probe("live") == {"live": True}
    with pytest.raises(NotFound):
        probe("well")
