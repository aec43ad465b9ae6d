"""Label Studio's webhooks: each annotation becomes the label file of its image.

Contract: Label Studio, "Webhook event format reference". They are not signed and sent once; what proves them is a
header that is set where the webhook is registered there. Deletions come as ids only.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.errors import BadRequest, Forged
from services.inbound.newest import Newest
from services.inbound.paths import below_images, label_file, with_all_folders
from services.labels.label_file import LabelFile
from services.labels.label_studio import changed_at, read_annotation
from services.labels.label_studio_images import TaskImages, is_choice, is_shape, object_names
from services.labels.record import ImageRecord
from services.labels.references import query_value

HEADER = "x-visionloop-secret"
FOLDER = "label-studio/"
"""Below labels/, so that nothing that people uploaded is written over."""
_WRITES = {"ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED"}
_DELETES = {"ANNOTATION_DELETED", "ANNOTATIONS_DELETED"}
_TASKS_DELETED = "TASKS_DELETED"


@dataclass(frozen=True, slots=True)
class Change:
    """What a message says of one annotation; without a file it was deleted, without content it was skipped."""

    annotation: str
    at: datetime | None = None
    file: str = ""
    content: str | None = None
    image: str = ""
    """The image's name, without folders."""
    whole: str = ""
    """The file with all folders of the image, where it may have to be told from others."""
    task: str = ""


def check_secret(secrets: Sequence[str], headers: Mapping[str, str]) -> None:
    """See that the header has one of the source's secrets.

    Raises:
        Forged: it does not.
    """
    said = headers.get(HEADER, "").encode(errors="replace")
    if not any([hmac.compare_digest(secret.encode(), said) for secret in secrets]):  # noqa: C419  # all are compared
        raise Forged(f"The header {HEADER} does not have the secret of this source")


def changes_of(body: bytes) -> list[Change]:
    """What a message says of annotations; nothing where it is about something else, such as the project; pure.

    Raises:
        BadRequest: it is no message of Label Studio, or none of it can be taken, as its task names no image.
    """
    return changes_and_refusals(body)[0]


def changes_and_refusals(body: bytes) -> tuple[list[Change], list[str]]:
    """The same, and what is wrong with the annotations that cannot be taken beside others: they are sent once; pure.

    Raises:
        BadRequest: as above.
    """
    message = _message(body)
    annotations = _objects(message.get("annotation")) + _objects(message.get("annotations"))
    if message["action"] in _DELETES:
        return [Change(_id(each)) for each in annotations or _objects(message)], []
    if message["action"] not in _WRITES:
        return [], []
    if "annotation" not in message and "annotations" not in message:
        raise BadRequest('annotation: it is missing; is "Send payload" on?')
    project = message.get("project")
    names = object_names(project.get("label_config") if isinstance(project, dict) else None)
    read = [*_written(annotations, _objects(message.get("task")) + _objects(message.get("tasks")), names)]
    found, refused = [r for r in read if isinstance(r, Change)], [r for r in read if isinstance(r, BadRequest)]
    if refused and not found:
        raise refused[0]
    return found, [each.detail for each in refused]


def deleted_tasks(body: bytes) -> set[str]:
    """The tasks that a message says are deleted, whose annotations go without a word of them; pure.

    Raises:
        BadRequest: it is no message of Label Studio, or names no tasks.
    """
    message = _message(body)
    if message["action"] != _TASKS_DELETED:
        return set()
    if not isinstance(tasks := message.get("tasks"), list):
        raise BadRequest('tasks: a list is expected; is "Send payload" on?')
    return {_id(each, "tasks") for each in _objects(tasks)}


def _message(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("The body must be JSON, as Label Studio's webhooks send it") from None
    if not isinstance(message, dict) or not isinstance(message.get("action"), str):
        raise BadRequest("The body must be an object with an action, as Label Studio's webhooks send it")
    return message


def apply(changes: Sequence[Change], newest: Newest, now: datetime) -> list[str]:
    """Bring the label files to what some changes say; returns them. Deletions are of `now`."""
    found: list[str] = []
    for change in changes:
        if change.at is None:
            found.append(newest.delete(change.annotation, now))
        else:
            file = newest.own(change.file, change.image, change.whole)
            newest.put(change.annotation, file, change.at, change.content, change.task)
            found.append(file)
    return [*filter(None, found)]


def _objects(value: object) -> list[dict[str, Any]]:
    each = value if isinstance(value, list) else [value]
    return [found for found in each if isinstance(found, dict)]


def _id(annotation: Mapping[str, Any], where: str = "annotation") -> str:
    found = annotation.get("id")
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise BadRequest(f"{where}.id: a number is expected")
    return str(found).encode("ascii", "backslashreplace").decode()[:100]


def _written(
    annotations: list[dict[str, Any]], tasks: list[dict[str, Any]], names: Mapping[str, str]
) -> Iterator[Change | BadRequest]:
    """Of several tasks an annotation's is the one that it names."""
    by_id = {str(task.get("id")): task for task in tasks}
    only = tasks[0] if len(tasks) == len(annotations) == 1 else {}
    for annotation in annotations:
        try:
            yield _change(annotation, by_id.get(str(annotation.get("task")), only), names)
        except BadRequest as error:
            yield error


def _change(annotation: dict[str, Any], task: dict[str, Any], names: Mapping[str, str]) -> Change:
    image = _image(annotation, task, names)
    content = None if annotation.get("was_cancelled") else _content(image, annotation, task)
    file, whole = label_file(below_images(image), FOLDER), with_all_folders(image, FOLDER)
    of_task = _id(task, "task") if "id" in task else ""
    return Change(_id(annotation), changed_at(annotation), file, content, image.rpartition("/")[2], whole, of_task)


def _image(annotation: Mapping[str, Any], task: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """The one image that an annotation is about: shapes in several would all become those of one.

    Raises:
        BadRequest: the task names none, or nobody can tell which.
    """
    first, images = image_of_task(task), TaskImages(_members(task), names)
    results = _objects(annotation.get("result"))
    shapes = [each for each in results if is_shape(each)]
    if not images.tells_apart(shapes):
        raise BadRequest(_SEVERAL)
    found = {images.of(each) for each in shapes or [each for each in results if is_choice(each)]}
    if not found and annotation.get("was_cancelled"):
        return first  # nothing is said of any of them
    [image] = found if len(found) == 1 else [None if found else images.of_nothing()]
    if image is None:
        raise BadRequest(_SEVERAL)
    return image


_SEVERAL = (
    "annotation.result: it is about several images of one task, or it is not told which; one image a task is expected, "
    "or shapes in one of them, whose object has the name of its member of data"
)


def image_of_task(task: Mapping[str, Any]) -> str:
    """The path of its image; of one in a storage that Label Studio stands before, the path there.

    Raises:
        BadRequest: it names none.
    """
    found = TaskImages(_members(task)).first
    if found is None:
        raise BadRequest("task.data: the path or address of an image is expected")
    return found


def _members(task: Mapping[str, Any]) -> dict[str, Any]:
    data = task.get("data")
    return {name: _stored(value) for name, value in data.items()} if isinstance(data, dict) else {}


def _stored(value: Any) -> Any:
    """Of `/tasks/5/resolve/?fileuri=<base64>` the address that is encoded there; everything else as it is."""
    if isinstance(value, list):
        return [_stored(each) for each in value if isinstance(each, str)]
    encoded = query_value(value, "fileuri") if isinstance(value, str) and "fileuri=" in value else None
    if not encoded:
        return value
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return value


def _content(image: str, annotation: dict[str, Any], task: dict[str, Any]) -> str:
    """Our own label file. Where something of it cannot be read, it is kept as Label Studio has it.

    The loop reads that too, and then shows what is wrong with it among its problems.
    """
    readings = read_annotation("", "annotation", image, annotation)
    record = next((each for each in readings if isinstance(each, ImageRecord)), None)
    if record is not None and not record.broken:
        try:
            return LabelFile.of(record, f"Label Studio, annotation {_id(annotation)}").to_json().decode()
        except ValueError:
            pass
    kept = {name: annotation[name] for name in ("id", "result", "updated_at", "created_at") if name in annotation}
    return json.dumps({**kept, "task": {"id": task.get("id"), "data": {"image": image}}})
