"""Every error of services/errors.py."""

from __future__ import annotations

from services import errors
from services.errors import VisionloopError


def tree(root: type[VisionloopError] = VisionloopError) -> list[type[VisionloopError]]:
    found = [child for child in root.__subclasses__() if child.__module__ == errors.__name__]
    return [root, *(one for child in found for one in tree(child))]
