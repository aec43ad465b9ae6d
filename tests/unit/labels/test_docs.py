"""What docs/labels.md promises, held against the code."""

from __future__ import annotations

import re
from pathlib import Path

from services.labels.formats import open_labels
from services.labels.problems import CODES
from services.labels.record import ImageRecord

TEXT = (Path(__file__).parents[3] / "docs" / "labels.md").read_text(encoding="utf-8")


def test_every_code_is_documented_with_its_severity_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (error|warning|note) \| (.+) \|$", TEXT, re.MULTILINE)
    assert [(code, severity) for code, severity, _ in rows] == [(code, c.severity) for code, c in CODES.items()]
    assert all(len(meaning) > 20 for _, _, meaning in rows)


def test_the_examples_are_read_as_they_stand() -> None:
    examples = re.findall(r"```(json|xml|jsonl|csv|text)\n(.+?)```", TEXT, re.DOTALL)
    formats = []
    for _, text in examples:
        opened = open_labels("example", len(text), 1 << 20, iter([text.encode()]))
        formats.append(opened.format)
        found = list(opened.readings)
        assert found
        assert all(isinstance(f, ImageRecord) for f in found)
    assert formats == [
        "coco",
        "voc",
        "yolo",
        "csv",
        "csv",
        "csv",
        "automl-jsonl",
        "ground-truth",
        "label-studio",
        "createml",
        "cvat",
        "labelme",
        "via",
        "via-csv",
        "visionloop",
        "visionloop",
    ]
