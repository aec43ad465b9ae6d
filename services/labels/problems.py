"""Every kind of problem that images and labels can have: one code, one meaning, one way to mend it.

docs/labels.md lists the same codes; a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from services.labels.values import UNSAFE
from services.state import Problem

Severity = Literal["error", "warning", "note"]
_RANK: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}
MOST_TEXT = 200


class Code(NamedTuple):
    """`error`: something is left out; `warning`: something was assumed; `note`: nothing needs to be done."""

    severity: Severity
    help: str


CODES: dict[str, Code] = {
    "file-misplaced": Code("warning", "Put images below images/ and labels below labels/ or beside their images."),
    "name-unusable": Code("error", "Upload the file under a name without .. and without control characters."),
    "image-unreadable": Code("error", "Upload the image again as JPEG, PNG, BMP, WebP or TIFF."),
    "image-too-large": Code("error", "Upload a smaller file, or raise the setting VISIONLOOP_MAX_IMAGE_BYTES."),
    "image-too-many-pixels": Code("error", "Scale the image down, or raise the setting VISIONLOOP_MAX_IMAGE_PIXELS."),
    "image-truncated": Code("error", "Copy the image again: the file ends before its last pixel."),
    "image-ambiguous": Code(
        "error", "Give the images different names, name the folder in the label file as well, or name it as 1.jpg.txt."
    ),
    "label-file-unknown": Code("warning", "Convert the file to one of the formats that docs/labels.md shows."),
    "label-file-too-large": Code("error", "Split the file, or raise the limit that is named."),
    "label-waiting": Code("note", "Upload the image; the label is kept until it comes."),
    "label-kind": Code("error", "Label the images in the way of the loop's task, or change task in loop.yaml."),
    "label-beside": Code("note", "Nothing, unless the loop should learn these instead: then change task in loop.yaml."),
    "label-superseded": Code("note", "Nothing, if the later file is right; else delete it, or upload this one again."),
    "label-several": Code("error", "Leave one class, or set task: image_classification_multilabel in loop.yaml."),
    "json-invalid": Code("error", "Export the labels again; the file is cut off or is no JSON."),
    "xml-invalid": Code("error", "Export the labels again; the file is cut off, is no XML, or declares entities."),
    "coco-structure": Code("error", "A COCO file is an object with the lists images, annotations and categories."),
    "coco-image-invalid": Code("error", "Each of images needs an id of its own and a file_name."),
    "coco-category-invalid": Code("error", "Each of categories needs an id of its own and a name."),
    "coco-annotation-invalid": Code("error", "Each of annotations needs the image_id and category_id of listed ones."),
    "coordinates-unclear": Code(
        "error", "Put labels: {coordinates: normalised} into loop.yaml if the boxes are shares of the image."
    ),
    "coco-no-annotations": Code("note", "The file lists images only; they stay unlabelled."),
    "voc-structure": Code("error", "A VOC file is an <annotation> with <size> and an <object> for each box."),
    "automl-structure": Code("error", "Each line is an object with an image_url and a label."),
    "ground-truth-structure": Code("error", "Upload output.manifest of a finished labelling job, not its input."),
    "label-studio-structure": Code("error", "Export as JSON: a list of tasks, each with data and annotations."),
    "createml-structure": Code("error", "A Create ML file is a list of objects, each with image and annotations."),
    "cvat-structure": Code("error", "Export as CVAT for images 1.1; videos and their tracks are not read."),
    "inbound-failed": Code(
        "error", "Mend what it says; then save it again in Label Studio, or complete the job again in CVAT."
    ),
    "yolo-line-invalid": Code(
        "error", "Each line is a class and x, y, width, height, or a class and an outline's points."
    ),
    "csv-line-invalid": Code("error", "Each line names an image, and its class; docs/labels.md shows the columns."),
    "class-list-invalid": Code("warning", "Give data.yaml its names, as a list or by number, or remove the file."),
    "class-names-missing": Code(
        "error", "Upload data.yaml, classes.txt or obj.names; the labels are kept until it comes."
    ),
    "class-number-unknown": Code("error", "Add the class to the list of names, or correct the number."),
    "labelme-structure": Code("error", "A LabelMe file is an object with the list shapes."),
    "via-structure": Code("error", "Export annotations as JSON: an object with filename and regions for each image."),
    "label-structure": Code("error", "Hold the file against the schema docs/label.schema.json."),
    "class-invalid": Code("error", "A class is a text of 1 to 256 characters without control characters."),
    "class-unknown": Code("error", "Correct the class, or add it to classes in loop.yaml."),
    "box-invalid": Code("error", "A box is four finite numbers: COCO x, y, width, height; VOC xmin, ymin, xmax, ymax."),
    "box-empty": Code("error", "Draw the box again: it has no area."),
    "box-outside": Code("error", "Draw the box again within the image, or upload the image that it was drawn on."),
    "box-clamped": Code("note", "The box reached at most one pixel beyond the image and was cut to it."),
    "box-duplicate": Code("warning", "Remove one of the two equal labels; one is used."),
    "box-rotated": Code("note", "The box around the rotated one is used, and its corners where outlines are learnt."),
    "shape-unsupported": Code("error", "Draw a box or a polygon instead; shapes of this kind are not read."),
    "image-turned": Code(
        "error", "Turn the image back in the labelling tool, or turn the file itself and label it again."
    ),
    "polygon-invalid": Code("error", "A polygon is x and y of at least three points: x1, y1, x2, y2, x3, y3."),
    "polygon-empty": Code("error", "Draw that part of the outline again, or remove it: it has no area."),
    "polygon-outside": Code("error", "Draw the outline again within the image, or upload the image it was drawn on."),
    "polygon-clamped": Code("note", "The outline reached at most one pixel beyond the image and was cut to it."),
    "size-mismatch": Code("error", "Upload the image that was labelled, or correct width and height in the label."),
    "exif-rotation": Code(
        "warning", "The label has the size of the unrotated image; its boxes are taken as displayed."
    ),
    "dataset-too-small": Code("warning", "Label more images: AutoML refuses a data set of fewer."),
    "class-too-few-images": Code("warning", "Label more images of the class: each side of the split needs one."),
    "class-few-images": Code("note", "Label more images of the class where you can: Azure ML advises 10 to 15."),
    "class-imbalance": Code("note", "Label more images of the rare class, or fewer of the common one."),
    "class-names-alike": Code("warning", "Give one class one name in every label file; they are learnt as different."),
    "image-unlabelled": Code("note", "Label them when you like; until then they are not trained on."),
    "image-duplicate": Code("note", "Remove all but one, unless the picture is meant to count more than others."),
}


def problem(code: str, file: str, place: str = "", *, expected: str = "", found: object = "") -> Problem:
    """A problem of a known code; `file` is below the loop's folder, `place` a line or path within it."""
    known = CODES[code]
    return Problem(
        code=code,
        severity=known.severity,
        file=printable(file),
        place=printable(place),
        expected=printable(expected),
        found=printable(str(found)),
        help=known.help,
    )


def printable(text: str) -> str:
    """Text of unknown origin, cut and without what a terminal or a page would act on."""
    return UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text[:MOST_TEXT])


def worst_first(problems: Iterable[Problem], most: int | None = None) -> list[Problem]:
    """The first of them, or all: errors before warnings before notes, else in their order."""
    return sorted(problems, key=lambda p: _RANK[p.severity])[:most]
