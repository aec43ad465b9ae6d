from __future__ import annotations

from collections.abc import Iterator

import pytest

from services import errors


def tree(kind: type[errors.VisionloopError]) -> Iterator[type[errors.VisionloopError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


@pytest.mark.parametrize("kind", list(tree(errors.VisionloopError)))
def test_the_file_opens_with_the_whole_tree(kind: type[errors.VisionloopError]) -> None:
    assert errors.__doc__ is not None
    line = next(line for line in errors.__doc__.splitlines() if line.lstrip("├│└─ ").split(" ")[0] == kind.__name__)
    assert kind is errors.VisionloopError or f"({kind.status})" in line


@pytest.mark.parametrize("kind", list(tree(errors.VisionloopError)))
def test_every_error_has_a_sentence_and_a_title(kind: type[errors.VisionloopError]) -> None:
    assert kind.__doc__
    assert kind.title
    assert kind.status == 202 if kind is errors.Waking else 400 <= kind.status < 600


def test_an_error_carries_its_detail_and_members() -> None:
    error = errors.UpstreamBusy("come later", retry_after=3)
    assert (str(error), error.detail, error.extra) == ("come later", "come later", {"retry_after": 3})
