"""Holds answers against Microsoft's published types of resources, where ../shared has them.

Format: https://github.com/Azure/bicep-types-az; of a property's flags, 1 is required and 4 is write-only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cloud_process import ROOT

TYPES = ROOT.parent / "shared" / "openapi" / "bicep-types"
PROVIDER = "Microsoft.MachineLearningServices/workspaces"
REQUIRED, WRITE_ONLY = 1, 4
NEVER_TOLD = ("apiVersion", ".credentials.secrets is missing")
_PLAIN: dict[str, type | tuple[type, ...]] = {"StringType": str, "IntegerType": (int, float), "BooleanType": bool}
"""Of numbers the format knows one kind only."""


class Published:
    """The types of one api-version."""

    def __init__(self, version: str) -> None:
        file = TYPES / f"{version}.json"
        if not file.exists():
            pytest.skip(f"needs the published types {file.name}")
        self._types: list[dict[str, Any]] = json.loads(file.read_text())

    def wrong(self, kind: str, answer: dict[str, Any]) -> list[str]:
        """What of an answer does not fit the resource `kind`, such as `onlineEndpoints/deployments`."""
        name = f"{PROVIDER}/{kind}@"
        found = next(t for t in self._types if t["$type"] == "ResourceType" and t["name"].startswith(name))
        return [
            w for w in self._check(self._at(found["body"]), answer, "") if not any(part in w for part in NEVER_TOLD)
        ]

    def _at(self, reference: dict[str, str]) -> dict[str, Any]:
        return self._types[int(reference["$ref"].removeprefix("#/"))]

    def _check(self, wanted: dict[str, Any], value: Any, place: str) -> Iterator[str]:
        kind = wanted["$type"]
        if value is None or kind == "AnyType":
            return
        if kind in _PLAIN and not isinstance(value, _PLAIN[kind]):
            yield f"{place}: {value!r} is no {kind}"
        elif kind == "StringLiteralType" and str(value).lower() != wanted["value"].lower():
            yield f"{place}: {value!r} is not {wanted['value']}"
        elif kind == "UnionType":
            yield from self._union(wanted, value, place)
        elif kind == "ArrayType":
            for number, one in enumerate(value):
                yield from self._check(self._at(wanted["itemType"]), one, f"{place}[{number}]")
        elif kind == "ObjectType":
            yield from self._members(wanted["properties"], wanted.get("additionalProperties"), value, place)
        elif kind == "DiscriminatedObjectType":
            yield from self._discriminated(wanted, value, place)

    def _union(self, wanted: dict[str, Any], value: Any, place: str) -> Iterator[str]:
        found = [list(self._check(self._at(one), value, place)) for one in wanted["elements"]]
        if all(found):
            yield f"{place}: {value!r} is none of the {len(found)} that there are"

    def _discriminated(self, wanted: dict[str, Any], value: dict[str, Any], place: str) -> Iterator[str]:
        which = str(value.get(wanted["discriminator"]))
        if which not in wanted["elements"]:
            yield f"{place}.{wanted['discriminator']}: {which} is none of {sorted(wanted['elements'])}"
            return
        element = self._at(wanted["elements"][which])
        properties = {**wanted["baseProperties"], **element["properties"]}
        yield from self._members(properties, None, value, place)

    def _members(self, properties: dict[str, Any], rest: Any, value: Any, place: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{place}: {value!r} is no object"
            return
        for name, one in properties.items():
            if one["flags"] & REQUIRED and value.get(name) is None:
                yield f"{place}.{name} is missing"
            if one["flags"] & WRITE_ONLY and value.get(name) is not None:
                yield f"{place}.{name} is told"
        for name, one in value.items():
            if name in properties:
                yield from self._check(self._at(properties[name]["type"]), one, f"{place}.{name}")
            elif rest is not None:
                yield from self._check(self._at(rest), one, f"{place}.{name}")
            else:
                yield f"{place}.{name} is unknown"
