"""Requests and answers of the Open Inference Protocol v2, as tensors.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md, and for images as
raw bytes the binary tensor data extension of Triton's clients:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.errors import BadRequest
from services.inference.answer import Answer, Box, Prediction
from services.inference.body import check_body, check_count, decode, read_json
from services.loop_config import Task
from services.settings import Settings

INPUT = "image"
_EXAMPLE = '{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [base64]}]}'
LENGTH_HEADER = "inference-header-content-length"
_BOXED: frozenset[Task] = frozenset({"object_detection", "instance_segmentation"})
_SHAPES = {"image_index": ("INT64", [-1]), "labels": ("BYTES", [-1]), "scores": ("FP32", [-1])}
_BOX_SHAPES = {"boxes": ("FP32", [-1, 4]), "normalized_boxes": ("FP32", [-1, 4])}


@dataclass(frozen=True, slots=True)
class Asked:
    """An inference request: its id, its images, wishes by name, and the outputs that it names (empty: all)."""

    id: str | None
    images: Sequence[bytes]
    wishes: Mapping[str, str]
    outputs: Sequence[str]


def tensors_of(task: Task) -> Mapping[str, tuple[str, list[int]]]:
    """Data type and shape of each output of a task; all have one row for each thing found."""
    return {**_SHAPES, **_BOX_SHAPES} if task in _BOXED else _SHAPES


def metadata(name: str, task: Task, versions: Sequence[str]) -> dict[str, Any]:
    """The model metadata response."""
    return {
        "name": name,
        "versions": list(versions),
        "platform": "azureml_online_endpoint",
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": n, "datatype": kind, "shape": shape} for n, (kind, shape) in tensors_of(task).items()],
    }


def read_request(body: bytes, headers: Mapping[str, str], settings: Settings) -> Asked:
    """Read an inference request of one BYTES tensor: base64 in `data`, or bytes after the JSON.

    Raises:
        BadRequest: it is not one, or names what there is not.
        TooLarge: it is over a limit.
    """
    check_body(len(body), settings)
    end = _json_end(headers.get(LENGTH_HEADER), len(body))
    document = read_json(body[:end], settings, _EXAMPLE)
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise BadRequest(f"inputs must be a list of one tensor, named {INPUT}, of data type BYTES")
    tensor = inputs[0]
    if tensor.get("datatype") != "BYTES":
        raise BadRequest(f"The tensor {INPUT} must be of data type BYTES: each element one image")
    images = _images(tensor, body[end:], settings)
    if _elements(tensor.get("shape")) != len(images):
        raise BadRequest(f"The shape of the tensor must be [{len(images)}], as it holds so many images")
    return Asked(_id(document), images, _wishes(document), _outputs(document))


def response(loop: str, asked: Asked, answers: Sequence[Answer]) -> dict[str, Any]:
    """The inference response.

    Raises:
        BadRequest: an output was asked for that the task does not have.
    """
    known = tensors_of(answers[0].task)
    if unknown := [name for name in asked.outputs if name not in known]:
        raise BadRequest(f"There is no output {unknown[0][:60]!r}; there is {', '.join(known)}")
    rows = [(index, one) for index, answer in enumerate(answers) for one in answer.predictions]
    outputs = [_output(name, *known[name], rows) for name in asked.outputs or known]
    found: dict[str, Any] = {"model_name": loop, "model_version": answers[0].model.version, "outputs": outputs}
    return found if asked.id is None else {**found, "id": asked.id}


def _json_end(text: str | None, length: int) -> int:
    if text is None:
        return length
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) > length:
        raise BadRequest(f"{LENGTH_HEADER} must be the length of the JSON that the body begins with")
    return int(text)


def _images(tensor: dict[str, Any], binary: bytes, settings: Settings) -> list[bytes]:
    size = _parameters(tensor).get("binary_data_size")
    if size is not None:
        if size != len(binary):
            raise BadRequest(f"binary_data_size is {size!r}, and {len(binary)} bytes follow the JSON")
        return _elements_of(binary, settings)
    data = tensor.get("data")
    if not isinstance(data, list):
        raise BadRequest("The tensor must have data: a list of images as base64")
    texts = [text for row in data for text in (row if isinstance(row, list) else [row])]
    check_count(len(texts), settings, "The tensor has no element")
    return [decode(text, settings) for text in texts]


def _elements_of(binary: bytes, settings: Settings) -> list[bytes]:
    """Each element has its length before it: four bytes, little endian."""
    found, place = list[bytes](), 0
    while place < len(binary):
        length = int.from_bytes(binary[place : place + 4], "little")
        element = binary[place + 4 : place + 4 + length]
        if len(element) != length or place + 4 > len(binary):
            raise BadRequest("The binary data ends within an element")
        found.append(element)
        check_count(len(found), settings)
        place += 4 + length
    check_count(len(found), settings, "The tensor has no element")
    return found


def _elements(shape: object) -> int:
    if not isinstance(shape, list) or not shape or not all(type(n) is int and n >= 0 for n in shape):
        raise BadRequest("The shape of the tensor must be a list of whole numbers")
    product = 1
    for n in shape:
        product *= min(n, 1 << 20)
    return product


def _id(document: dict[str, Any]) -> str | None:
    found = document.get("id")
    if found is not None and not isinstance(found, str):
        raise BadRequest("id must be a text")
    return found


def _parameters(document: dict[str, Any]) -> dict[str, Any]:
    found = document.get("parameters") or {}
    if not isinstance(found, dict):
        raise BadRequest("parameters must be an object")
    return found


def _wishes(document: dict[str, Any]) -> dict[str, str]:
    given = _parameters(document)
    return {name: str(given[name]) for name in ("threshold", "top_k") if name in given}


def _outputs(document: dict[str, Any]) -> list[str]:
    given = document.get("outputs") or []
    if not isinstance(given, list) or not all(isinstance(o, dict) and isinstance(o.get("name"), str) for o in given):
        raise BadRequest("outputs must be a list of objects with a name")
    return [one["name"] for one in given]


def _output(name: str, datatype: str, shape: list[int], rows: Sequence[tuple[int, Prediction]]) -> dict[str, Any]:
    values = [_value(name, index, one) for index, one in rows]
    flat = [number for corners in values for number in corners] if len(shape) == 2 else values
    return {"name": name, "datatype": datatype, "shape": [len(rows), *shape[1:]], "data": flat}


def _value(name: str, index: int, one: Prediction) -> Any:
    if name == "image_index":
        return index
    if name in ("labels", "scores"):
        return one.label if name == "labels" else one.score
    return _corners(one.box if name == "boxes" else one.normalized_box)


def _corners(box: Box | None) -> list[float]:
    return [box.x1, box.y1, box.x2, box.y2] if box else [0.0, 0.0, 0.0, 0.0]
