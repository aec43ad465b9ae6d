"""The same objects as each tool would write them, for tests that hold the readers against one another.

Objects are a class and a flat polygon or box corners, in pixels; what a whole image is of are classes only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from services.labels.label_file import LabelFile, LabelledObject

Thing = tuple[str, tuple[float, ...]]
"""A class with the corners of a box (four numbers) or an outline (more)."""
Writer = Callable[[str, int, int, Sequence[Thing]], bytes]


def _pairs(numbers: Sequence[float]) -> list[list[float]]:
    return [list(pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]


def _shares(numbers: Sequence[float], width: int, height: int) -> list[float]:
    return [n / (height if i % 2 else width) for i, n in enumerate(numbers)]


def coco(image: str, width: int, height: int, things: Sequence[Thing]) -> bytes:
    names = sorted({name for name, _ in things})
    annotations = []
    for i, (name, numbers) in enumerate(things):
        left, top, right, bottom = min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
        found = {
            "id": i,
            "image_id": 1,
            "category_id": names.index(name),
            "bbox": [left, top, right - left, bottom - top],
        }
        annotations.append(found | ({"segmentation": [list(numbers)]} if len(numbers) > 4 else {}))
    images = [{"id": 1, "file_name": image, "width": width, "height": height}]
    categories = [{"id": i, "name": name} for i, name in enumerate(names)]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories}).encode()


def voc(image: str, width: int, height: int, things: Sequence[Thing]) -> bytes:
    corners = ("xmin", "ymin", "xmax", "ymax")
    boxes = ["".join(f"<{c}>{n}</{c}>" for c, n in zip(corners, box, strict=True)) for _, box in things]
    objects = "".join(
        f"<object><name>{n}</name><bndbox>{b}</bndbox></object>" for (n, _), b in zip(things, boxes, strict=True)
    )
    size = f"<size><width>{width}</width><height>{height}</height></size>"
    return f"<annotation><filename>{image}</filename>{size}{objects}</annotation>".encode()


def automl_jsonl(image: str, width: int, height: int, things: Sequence[Thing]) -> bytes:
    labels: list[dict[str, Any]] = []
    for name, numbers in things:
        shares = _shares(numbers, width, height)
        corners = dict(zip(("topX", "topY", "bottomX", "bottomY"), shares, strict=False))
        labels.append({"label": name, "isCrowd": 0} | ({"polygon": [shares]} if len(shares) > 4 else corners))
    details = {"format": "jpg", "width": f"{width}px", "height": f"{height}px"}
    return json.dumps({"image_url": f"azureml://x/paths/{image}", "image_details": details, "label": labels}).encode()


def ground_truth(image: str, width: int, height: int, things: Sequence[Thing]) -> bytes:
    names = sorted({name for name, _ in things})
    annotations = [
        {"class_id": names.index(name), "left": b[0], "top": b[1], "width": b[2] - b[0], "height": b[3] - b[1]}
        for name, b in things
    ]
    size = [{"width": width, "height": height, "depth": 3}]
    data = {"class-map": {str(i): name for i, name in enumerate(names)}, "type": "groundtruth/object-detection"}
    boxes = {"image_size": size, "annotations": annotations}
    return json.dumps({"source-ref": f"s3://bucket/{image}", "boxes": boxes, "boxes-metadata": data}).encode()


def label_studio(image: str, width: int, height: int, things: Sequence[Thing]) -> bytes:
    results = []
    for name, numbers in things:
        per_cent = [100 * share for share in _shares(numbers, width, height)]
        value: dict[str, Any] = {"points": _pairs(per_cent), "polygonlabels": [name]}
        if len(numbers) == 4:
            left, top, right, bottom = per_cent
            box = {"x": left, "y": top, "width": right - left, "height": bottom - top, "rotation": 0}
            value = {**box, "rectanglelabels": [name]}
        results.append({"original_width": width, "original_height": height, "image_rotation": 0, "value": value})
    annotation = {"id": 1, "result": results, "was_cancelled": False, "updated_at": "2026-03-09T22:16:08.728378Z"}
    return json.dumps([{"id": 1, "annotations": [annotation], "data": {"image": f"s3://bucket/{image}"}}]).encode()


def createml(image: str, width: int, height: int, things: Sequence[Thing]) -> bytes:
    boxes = (
        (name, {"x": (b[0] + b[2]) / 2, "y": (b[1] + b[3]) / 2, "width": b[2] - b[0], "height": b[3] - b[1]})
        for name, b in things
    )
    return json.dumps([{"image": image, "annotations": [{"label": n, "coordinates": b} for n, b in boxes]}]).encode()


def cvat(image: str, width: int, height: int, things: Sequence[Thing]) -> bytes:
    shapes = []
    for name, numbers in things:
        corners = dict(zip(("xtl", "ytl", "xbr", "ybr"), numbers, strict=False))
        points = ";".join(f"{x},{y}" for x, y in _pairs(numbers))
        said = " ".join(f'{key}="{n}"' for key, n in corners.items())
        shapes.append(
            f'<polygon label={quoteattr(name)} points="{points}"/>'
            if len(numbers) > 4
            else f"<box label={quoteattr(name)} {said}/>"
        )
    listed = f'<image id="0" name={quoteattr(image)} width="{width}" height="{height}">{"".join(shapes)}</image>'
    return f"<annotations><version>1.1</version>{listed}</annotations>".encode()


def labelme(image: str, width: int, height: int, things: Sequence[Thing]) -> bytes:
    kinds = ["polygon" if len(numbers) > 4 else "rectangle" for _, numbers in things]
    shapes: list[dict[str, Any]] = [
        {"label": name, "points": _pairs(numbers), "group_id": None, "shape_type": kind, "flags": {}}
        for kind, (name, numbers) in zip(kinds, things, strict=True)
    ]
    head: dict[str, Any] = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": None}
    return json.dumps(head | {"imageHeight": height, "imageWidth": width}).encode()


def via(image: str, width: int, height: int, things: Sequence[Thing]) -> bytes:
    regions = []
    for name, numbers in things:
        shape: dict[str, Any] = {"name": "polygon", "all_points_x": numbers[::2], "all_points_y": numbers[1::2]}
        if len(numbers) == 4:
            left, top, right, bottom = numbers
            shape = {"name": "rect", "x": left, "y": top, "width": right - left, "height": bottom - top}
        regions.append({"shape_attributes": shape, "region_attributes": {"class": name}})
    return json.dumps({f"{image}7": {"filename": image, "size": 7, "regions": regions, "file_attributes": {}}}).encode()


def per_image(image: str, width: int, height: int, things: Sequence[Thing]) -> bytes:
    labels = [
        LabelledObject(label=name, polygon=[list(numbers)])
        if len(numbers) > 4
        else LabelledObject(label=name, box=list(numbers))
        for name, numbers in things
    ]
    return LabelFile(visionloop=1, image=image, width=width, height=height, labels=labels).to_json()


def per_image_in_shares(image: str, width: int, height: int, things: Sequence[Thing]) -> bytes:
    shares = [(name, tuple(_shares(numbers, width, height))) for name, numbers in things]
    return json.dumps(json.loads(per_image(image, width, height, shares)) | {"unit": "shares"}).encode()


WRITERS: dict[str, Writer] = {
    "coco": coco,
    "voc": voc,
    "automl-jsonl": automl_jsonl,
    "ground-truth": ground_truth,
    "label-studio": label_studio,
    "createml": createml,
    "cvat": cvat,
    "labelme": labelme,
    "via": via,
    "visionloop": per_image,
    "visionloop-shares": per_image_in_shares,
}
WITHOUT_OUTLINES = {"voc", "ground-truth", "createml"}


def coco_classes(image: str, width: int, height: int, classes: Sequence[str]) -> bytes:
    annotations = [{"id": i, "image_id": 1, "category_id": i} for i, _ in enumerate(classes)]
    images = [{"id": 1, "file_name": image, "width": width, "height": height}]
    categories = [{"id": i, "name": name} for i, name in enumerate(classes)]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories}).encode()


def coco_whole_boxes(image: str, width: int, height: int, classes: Sequence[str]) -> bytes:
    return coco(image, width, height, [(name, (0, 0, width, height)) for name in classes])


def csv_classes(image: str, width: int, height: int, classes: Sequence[str]) -> bytes:
    rows = (f'"{image}",{width},{height},"{name}"' for name in classes)
    return "\n".join(("filename,width,height,class", *rows)).encode()


def automl_jsonl_classes(image: str, width: int, height: int, classes: Sequence[str]) -> bytes:
    details = {"format": "jpg", "width": width, "height": height}
    content = {"image_url": f"azureml://x/paths/{image}", "image_details": details, "label": [*classes]}
    return json.dumps(content).encode()


def ground_truth_classes(image: str, width: int, height: int, classes: Sequence[str]) -> bytes:
    names = {str(i): name for i, name in enumerate(classes)}
    data = {"class-map": names, "type": "groundtruth/image-classification-multilabel"}
    content = {"source-ref": f"s3://bucket/{image}", "parts": [*range(len(classes))], "parts-metadata": data}
    return json.dumps(content).encode()


def label_studio_classes(image: str, width: int, height: int, classes: Sequence[str]) -> bytes:
    results = [{"type": "choices", "from_name": "c", "to_name": "i", "value": {"choices": [*classes]}}]
    annotation = {"id": 1, "result": results, "was_cancelled": False, "updated_at": "2026-03-09T22:16:08.728378Z"}
    return json.dumps([{"id": 1, "annotations": [annotation], "data": {"image": f"s3://bucket/{image}"}}]).encode()


def createml_classes(image: str, width: int, height: int, classes: Sequence[str]) -> bytes:
    return json.dumps([{"image": image, "annotations": [{"label": name} for name in classes]}]).encode()


def cvat_classes(image: str, width: int, height: int, classes: Sequence[str]) -> bytes:
    tags = "".join(f"<tag label={quoteattr(name)}/>" for name in classes)
    listed = f'<image id="0" name={quoteattr(image)} width="{width}" height="{height}">{tags}</image>'
    return f"<annotations><version>1.1</version>{listed}</annotations>".encode()


def labelme_classes(image: str, width: int, height: int, classes: Sequence[str]) -> bytes:
    flags = {"other": False, **dict.fromkeys(classes, True)}
    head: dict[str, Any] = {"version": "5.5.0", "flags": flags, "shapes": [], "imagePath": image, "imageData": None}
    return json.dumps(head | {"imageHeight": height, "imageWidth": width}).encode()


def via_classes(image: str, width: int, height: int, classes: Sequence[str]) -> bytes:
    said = {"class": dict.fromkeys(classes, True), "caption": "a belt"}
    return json.dumps({f"{image}7": {"filename": image, "size": 7, "regions": [], "file_attributes": said}}).encode()


def per_image_classes(image: str, width: int, height: int, classes: Sequence[str]) -> bytes:
    labels = [LabelledObject(label=name) for name in classes]
    return LabelFile(visionloop=1, image=image, width=width, height=height, labels=labels).to_json()


CLASS_WRITERS: dict[str, Callable[[str, int, int, Sequence[str]], bytes]] = {
    "coco": coco_classes,
    "coco-whole-boxes": coco_whole_boxes,
    "csv": csv_classes,
    "automl-jsonl": automl_jsonl_classes,
    "ground-truth": ground_truth_classes,
    "label-studio": label_studio_classes,
    "createml": createml_classes,
    "cvat": cvat_classes,
    "labelme": labelme_classes,
    "via": via_classes,
    "visionloop": per_image_classes,
}
