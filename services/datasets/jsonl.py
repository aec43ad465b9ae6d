"""Lines of AutoML-for-Images JSONL, written and read back.

Contract: Azure ML, "Prepare data for computer vision tasks with automated ML": `image_url`, `image_details`, and a
`label` that is a text (classification), a list of texts (multilabel), or a list of boxes or of polygons (detection,
instance segmentation) in shares of width and height.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from services.labels.annotation import Annotation
from services.labels.values import bounds
from services.loop_config import Task

_PATHS = "/paths/"


def datastore_url(subscription: str, resource_group: str, workspace: str, datastore: str) -> str:
    """What a blob's name is appended to, as `blob_url` does."""
    return (
        f"azureml://subscriptions/{subscription}/resourcegroups/{resource_group}"
        f"/workspaces/{workspace}/datastores/{datastore}{_PATHS}"
    )


def blob_url(base: str, blob: str) -> str:
    """Names are written as they are, as Microsoft's own converters do; only `%` is encoded, for those who decode."""
    return base + blob.replace("%", "%25")


def line(url: str, image_format: str, width: int, height: int, annotations: Sequence[Annotation], task: Task) -> bytes:
    """One image, ended by a newline; width and height in pixels as displayed."""
    details = {"format": image_format, "width": width, "height": height}
    content = {"image_url": url, "image_details": details, "label": _label(annotations, task)}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _label(annotations: Sequence[Annotation], task: Task) -> object:
    if task == "image_classification":
        return annotations[0].label
    if task == "image_classification_multilabel":
        return [a.label for a in annotations]
    return [_outlines(a) if task == "instance_segmentation" else _box(a) for a in annotations]


def _box(annotation: Annotation) -> dict[str, object]:
    left, top, right, bottom = annotation.box or (0.0, 0.0, 1.0, 1.0)
    corners = {"topX": left, "topY": top, "bottomX": right, "bottomY": bottom}
    return {"label": annotation.label, **corners, "isCrowd": int(annotation.is_crowd)}


def _outlines(annotation: Annotation) -> dict[str, object]:
    return {"label": annotation.label, "isCrowd": int(annotation.is_crowd), "polygon": annotation.polygons}


def blob_of(url: str) -> str:
    """The blob's name in its container."""
    return unquote(url.partition(_PATHS)[2])


def annotations_of(label: Any) -> tuple[Annotation, ...]:
    """The annotations of a line's `label`, whatever the task."""
    labels = [label] if isinstance(label, str) else label
    return tuple(Annotation(each) if isinstance(each, str) else _annotation(each) for each in labels)


def _annotation(said: dict[str, Any]) -> Annotation:
    crowd = bool(said.get("isCrowd", 0))
    if "polygon" not in said:
        return Annotation(said["label"], (said["topX"], said["topY"], said["bottomX"], said["bottomY"]), crowd)
    polygons = tuple(tuple(polygon) for polygon in said["polygon"])
    return Annotation(said["label"], bounds(polygons), crowd, polygons)
