"""The names of numbered classes: `names` of a data.yaml, or one a line of classes.txt or obj.names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from services.config_file import MOST_BYTES, MOST_DEPTH, open_brackets
from services.labels.problems import problem
from services.labels.values import class_name, shown
from services.state import Problem

ClassList = dict[int, str]
"""Names by number."""
MOST_CLASSES = 10_000
POSE = "kpt_shape"
"""What a data.yaml says whose labels are key points."""
_IMAGE = re.compile(r"\.(jpe?g|png|bmp|webp|tiff?)\b", re.IGNORECASE)
_YAML = (".yaml", ".yml")
_Said = Iterator[tuple[str, str, object]]
"""Place, number as a text, and name."""


class _Refused(ValueError):
    pass


def read_class_list(file: str, text: bytes) -> tuple[ClassList, list[Problem]]:
    """The names, and what is wrong with the file or with single names. Never raises."""
    found: ClassList = {}
    problems: list[Problem] = []
    try:
        if len(text) > MOST_BYTES:
            raise _Refused(f"{len(text)} bytes, which are more than {MOST_BYTES}")
        for place, number, said in _yaml(text) if file.lower().endswith(_YAML) else _lines(text):
            if (name := class_name(said)) is None or not _is_number(number):
                shown_as = f"{number}: {shown(said)}"
                problems.append(problem("class-invalid", file, place, expected="a class's name", found=shown_as))
            else:
                found[int(number)] = name
    except ValueError as error:
        expected = "names as a list or by number in YAML, or one name a line"
        problems.append(problem("class-list-invalid", file, expected=expected, found=str(error)[:200]))
    return found, problems


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 6 and int(text) < MOST_CLASSES


def _lines(text: bytes) -> _Said:
    names = text.decode("utf-8-sig").rstrip().splitlines()
    if any(_IMAGE.search(name) for name in names):
        raise _Refused("names of images")
    yield from ((f"line {n + 1}", str(n), name) for n, name in enumerate(names) if name.strip())


def _yaml(text: bytes) -> _Said:
    """Only `names` is looked at, and there only plain texts: no alias is followed, and `no` is a name, not False."""
    import yaml

    if open_brackets(text) > MOST_DEPTH:
        raise _Refused(f"more than {MOST_DEPTH} brackets within each other")
    try:
        root = yaml.compose(text.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise _Refused(str(error)) from None
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    members = {str(key.value): value for key, value in reversed(pairs)}
    if POSE in members:  # boxes with key points have as many numbers as outlines
        raise _Refused(f"{POSE}: key points, which are not read")
    names = members.get("names")
    if isinstance(names, yaml.MappingNode):
        yield from (_said(value, str(key.value)) for key, value in names.value)
    elif isinstance(names, yaml.SequenceNode):
        yield from (_said(value, str(number)) for number, value in enumerate(names.value))
    else:
        raise _Refused("YAML without names" if names is None else "names that are neither")


def _said(node: Any, number: str) -> tuple[str, str, object]:
    return f"line {node.start_mark.line + 1}", number, node.value
