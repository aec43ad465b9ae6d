"""What a job of CVAT says of its images: the documents of CVAT's API, brought to label files; pure.

Contract: CVAT's REST API: `annotations` (LabeledData), `data/meta` (DataMetaRead) and labels. Shapes become elements as
CVAT's own XML export has them, so that one reader says what both mean. Frames are numbered within the task; the list
of a job begins with the job's first one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from services.errors import BadRequest
from services.inbound.paths import below_images, image_file, label_file, with_all_folders
from services.labels.cvat import says_negative
from services.labels.cvat_shapes import label_of
from services.labels.label_file import LabelFile
from services.labels.problems import problem
from services.labels.record import ImageRecord, with_problems
from services.labels.references import image_path
from services.labels.shapes import reals
from services.labels.values import class_name, shown, side
from services.state import Problem

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

FOLDER = "cvat/"
"""Below labels/, so that nothing that people uploaded is written over."""
MOST_FRAMES = 10_000
_STEP = re.compile(r"step=([1-9][0-9]{0,8})")
_KINDS = {"rectangle": "box", "ellipse": "ellipse", "polygon": "polygon", "mask": "mask"}
"""Types of shapes to elements of the XML; of others the element has the type's name, which its reader refuses."""
_NUMBERS = {"rectangle": ("xtl", "ytl", "xbr", "ybr"), "ellipse": ("cx", "cy", "right", "top")}


@dataclass(frozen=True, slots=True)
class Documents:
    """What CVAT's API says of a job, each as parsed JSON."""

    job: Any
    annotations: Any
    meta: Any
    labels: Any
    """A list of labels."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of the job; without content CVAT says nothing of it."""

    number: int
    file: str
    content: str | None
    image: str = ""
    """The image's name, without folders."""
    whole: str = ""
    """The file with all folders of the image, where it may have to be told from others."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job comes to; problems are of frames that no label file can be about."""

    job: int
    at: datetime
    """When the job was changed last."""
    frames: Sequence[Frame]
    problems: Sequence[Problem]


@dataclass(frozen=True, slots=True)
class _Image:
    number: int
    path: str
    name: str
    """Below `images/`."""
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Read:
    image: _Image
    elements: Sequence[Element]
    record: ImageRecord


def read_job(documents: Documents) -> Outcome:
    """The label file of every image of a job.

    Raises:
        BadRequest: the documents are not what CVAT's API says, or the job is about a video or has too many frames.
    """
    job, at = _whole(documents.job, "job", "id"), changed_at(documents.job)
    found = [*_images(documents)]
    images = [each for each in found if isinstance(each, _Image)]
    elements = _elements(documents, {each.number for each in images})
    reads = [_read(each, elements.get(each.number, [])) for each in images]
    has_shapes = any(label.box for read in reads for label in read.record.labels)
    frames = [
        Frame(
            read.image.number,
            label_file(read.image.name, FOLDER),
            _content(f"CVAT, job {job}", read, has_shapes),
            read.image.name.rpartition("/")[2],
            with_all_folders(read.image.path, FOLDER),
        )
        for read in reads
    ]
    return Outcome(job, at, frames, [each for each in found if isinstance(each, Problem)])


def changed_at(job: Mapping[str, Any]) -> datetime:
    """When a job was changed last.

    Raises:
        BadRequest: it does not say.
    """
    try:
        found = datetime.fromisoformat(job["updated_date"])
    except (KeyError, TypeError, ValueError):
        raise BadRequest("job.updated_date: a time is expected") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _images(documents: Documents) -> Iterator[_Image | Problem]:
    """A job of chosen frames lists those only, or others too, by CVAT's version."""
    frames, first = _list(documents.meta, "meta", "frames"), _whole(documents.job, "job", "start_frame")
    if len(frames) > MOST_FRAMES:
        raise BadRequest(f"meta.frames: {len(frames)} are over the {MOST_FRAMES} that a job may have")
    if documents.job.get("mode") == "interpolation":
        raise BadRequest("job.mode: it is about a video; only images are read")
    chosen = _chosen(documents.meta, first)
    numbers = chosen if chosen and len(chosen) == len(frames) else range(first, first + len(frames))
    wanted = set(chosen or numbers)
    for index, (number, frame) in enumerate(zip(numbers, frames, strict=True)):
        if number in wanted:
            yield _image(number, f"meta.frames[{index}]", frame)


def _chosen(meta: Mapping[str, Any], first: int) -> list[int]:
    """The frames of a job that has but some, as annotations number them.

    They are listed as numbered before the task left some out: from where the job begins, by the filter's step.
    """
    begins, step = meta.get("start_frame"), _STEP.fullmatch(str(meta.get("frame_filter")))
    by = int(step[1]) if step else 1
    start = begins if isinstance(begins, int) else first
    return [first + (number - start) // by for number in _numbers(meta.get("included_frames"))]


def _image(number: int, place: str, frame: Any) -> _Image | Problem:
    content = frame if isinstance(frame, dict) else {}
    path = image_path(content.get("name"))
    name = below_images(path) if path else ""
    try:
        image_file(name)
        label_file(name, FOLDER)
    except BadRequest:
        expected, found = "the name of an image", shown(content.get("name"))
        return problem("cvat-structure", f"labels/{FOLDER}", f"{place}.name", expected=expected, found=found)
    return _Image(number, path or "", name, side(content.get("width")), side(content.get("height")))


def _elements(documents: Documents, numbers: set[int]) -> dict[int, list[Element]]:
    """The shapes, tags and tracks of each frame, deleted ones left out, in CVAT's order."""
    names = {str(label.get("id")): class_name(label.get("name")) for label in _dicts(documents.labels, "labels")}
    left = numbers.difference(_numbers(documents.meta.get("deleted_frames")))
    found: dict[int, list[Element]] = {}
    for member, make in (("shapes", _shape), ("tags", _tag), ("tracks", _track)):
        for each in _dicts(_list(documents.annotations, "annotations", member), f"annotations.{member}"):
            number, name = each.get("frame"), names.get(str(each.get("label_id")))
            if isinstance(number, int) and number in left:
                found.setdefault(number, []).append(make(each, {"label": name} if name else {}))
    return found


def _tag(_: Mapping[str, Any], label: dict[str, str]) -> Element:
    return _made("tag", label)


def _track(_: Mapping[str, Any], label: dict[str, str]) -> Element:
    return _made("track", label)


def _shape(shape: Mapping[str, Any], label: dict[str, str]) -> Element:
    kind = str(shape.get("type"))
    plain = kind if kind.isascii() and kind.isidentifier() and kind != "tag" else "shape"
    return _made(_KINDS.get(kind, plain), label | _attributes(kind, shape))


def _made(tag: str, values: dict[str, str]) -> Element:
    from xml.etree.ElementTree import Element

    return Element(tag, values)


def _attributes(kind: str, shape: Mapping[str, Any]) -> dict[str, str]:
    """Points that do not fit the kind are given as they are: the reader refuses them, and shows that text."""
    points = shape.get("points")
    numbers = reals(points) if isinstance(points, list) else None
    if numbers is None:
        return {"points": shown(points)}
    if kind == "mask" and len(numbers) > 4:
        return _mask(numbers)
    turned = {"rotation": shown(shape["rotation"])} if shape.get("rotation") else {}
    if kind in _NUMBERS and len(numbers) == 4:
        values = dict(zip(_NUMBERS[kind], numbers, strict=True))
        return {name: repr(value) for name, value in _radii(values).items()} | turned
    return {"points": ";".join(",".join(map(repr, numbers[i : i + 2])) for i in range(0, len(numbers), 2))} | turned


def _radii(values: dict[str, float]) -> dict[str, float]:
    """An ellipse's last two numbers are its rightmost x and its topmost y."""
    if "cx" not in values:
        return values
    x, y, right, top = values.values()
    return {"cx": x, "cy": y, "rx": right - x, "ry": y - top}


def _mask(numbers: Sequence[float]) -> dict[str, str]:
    """The last four are the box around it, its last column and row included."""
    left, top, right, bottom = numbers[-4:]
    frame = {"left": left, "top": top, "width": right - left + 1, "height": bottom - top + 1}
    return {"rle": ",".join(f"{n:.0f}" for n in numbers[:-4]), **{name: f"{n:.0f}" for name, n in frame.items()}}


def _read(image: _Image, elements: Sequence[Element]) -> _Read:
    bare = ImageRecord(image.name, "labels", width=image.width, height=image.height)
    found = (each for element in elements for each in label_of("", "labels", element))
    return _Read(image, elements, next(e for e in with_problems(bare, found) if isinstance(e, ImageRecord)))


def _content(source: str, read: _Read, has_shapes: bool) -> str | None:
    """Our own label file; where something cannot be read CVAT's own, whose problems the loop then shows."""
    if not read.elements:
        return None
    is_empty = has_shapes and says_negative(read.record)
    try:
        if not read.record.broken:
            record = replace(read.record, labels=()) if is_empty else read.record
            return LabelFile.of(record, source).to_json().decode()
    except ValueError:
        pass
    return _xml(read.image, read.elements)


def _xml(image: _Image, elements: Sequence[Element]) -> str:
    from xml.etree.ElementTree import Element, SubElement, tostring

    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    size = {"width": str(image.width), "height": str(image.height)} if image.width and image.height else {}
    SubElement(root, "image", {"id": str(image.number), "name": image.name, **size}).extend(elements)
    return tostring(root, encoding="unicode")


def _whole(document: Any, where: str, member: str) -> int:
    found = document.get(member) if isinstance(document, dict) else None
    if isinstance(found, bool) or not isinstance(found, int):
        raise BadRequest(f"{where}.{member}: a whole number is expected")
    return found


def _list(document: Any, where: str, member: str) -> list[Any]:
    found = document.get(member) if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise BadRequest(f"{where}.{member}: a list is expected")
    return found


def _numbers(found: Any) -> list[int]:
    return [each for each in found if isinstance(each, int)] if isinstance(found, list) else []


def _dicts(found: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise BadRequest(f"{where}: a list of objects is expected")
    return found
