"""The path of an image in the many ways in which tools refer to it."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

from services.labels.values import MOST_NAME, usable_text

_DATASTORE = ("azureml://", "amldatastore://", "azureml:")
_ENCODED = ("http://", "https://")
_MOST_URL = 4096
_UPLOADED = re.compile(r"(.*\bupload/(?:\d+/)?)[0-9a-f]{8}-([^/]+)", re.DOTALL)


def image_path(value: object) -> str | None:
    """A path whose last parts name the image, or None; how much of it is meant is up to who looks for the image.

    Of `azureml://…/paths/dir/a.jpg` it is what follows `/paths/`, of other addresses the path without query. Only web
    addresses and Azure ML's are percent-decoded: in a plain name `%` is a character like others.
    """
    text = usable_text(value, _MOST_URL)
    if text is None:
        return None
    lower = text.lower()
    if lower.startswith(_DATASTORE):
        text = unquote(text.partition("/paths/")[2] or text.partition(":")[2])
    elif lower.startswith(_ENCODED):
        text = _web_path(text)
    elif "://" in text:
        text = text.partition("://")[2]
    path = usable_text(text.lstrip("/"), MOST_NAME)
    return None if path is None or path.endswith("/") else path


def _web_path(address: str) -> str:
    try:
        return unquote(urlsplit(address).path)
    except ValueError:
        return ""


def query_value(address: str, name: str) -> str | None:
    """A parameter of a web address or path, decoded; None where there is none."""
    found = parse_qs(address.partition("?")[2]).get(name)
    return found[0] if found else None


def task_path(value: object) -> str | None:
    """The same as Label Studio names it: what follows `?d=`, or an upload without its eight characters.

    Names of uploads are percent-encoded, though their addresses begin without a host.
    """
    if not isinstance(value, str):
        return None
    local = query_value(value, "d") if "local-files" in value else None
    path = image_path(value.partition("?")[0] if local is None and value.startswith("/") else local or value)
    uploaded = _UPLOADED.fullmatch(path) if path else None
    if not uploaded:
        return path
    return unquote(uploaded[1] + uploaded[2]) if value.startswith("/") else uploaded[1] + uploaded[2]
