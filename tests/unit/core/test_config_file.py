from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.config_file import MOST_BYTES, read_config
from services.loop_config import LoopConfig
from services.loop_schema import schema

ROOT = Path(__file__).resolve().parents[3]


def problems(text: str | bytes) -> list[tuple[str, str, str]]:
    data = text.encode() if isinstance(text, str) else text
    config, found = read_config(data, "cards/loop.yaml")
    assert config is None
    assert {p.file for p in found} == {"cards/loop.yaml"}
    return [(p.place, p.expected, p.found) for p in found]


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_an_empty_file_is_all_defaults(text: str) -> None:
    assert read_config(text.encode(), "f") == (LoopConfig(), [])


def test_every_default_may_be_left_out_and_every_field_has_a_sentence() -> None:
    found = json.loads(schema())
    for name, part in {"loop.yaml": found, **found["$defs"]}.items():
        assert not part.get("required"), name
        for field, described in part["properties"].items():
            referred = found["$defs"].get(str(described.get("$ref", "")).rpartition("/")[2], {})
            assert (described | referred)["description"].endswith("."), f"{name}.{field}"


def test_the_published_schema_is_the_code_s() -> None:
    assert (ROOT / "docs" / "loop.schema.json").read_text() == schema(), (
        "python -m services.loop_schema > docs/loop.schema.json"
    )


def test_a_good_file_is_read() -> None:
    text = "classes: [nut, bolt]\ntraining:\n  first_threshold: {images: 30}\n  parameters: {number_of_epochs: 4}\n"
    config, found = read_config(text.encode(), "f")
    assert found == []
    assert config is not None
    assert config.classes == ["nut", "bolt"]
    assert config.training.first_threshold.images == 30
    assert config.training.parameters == {"number_of_epochs": 4}


def test_a_wrong_value_is_told_with_its_line_and_field() -> None:
    (place, expected, found), *rest = problems("classes: [nut]\ntraining:\n  first_threshold:\n    images: three\n")
    assert rest == []
    assert place == "line 4, training.first_threshold.images"
    assert "integer" in expected
    assert found == "'three'"


@pytest.mark.parametrize("name", ["gpu-cluster-2", "g", "2nd", "a" * 25, "gpu-"])
def test_a_cluster_name_that_azure_refuses_is_told_before_it_is_asked(name: str) -> None:
    place, expected, found = problems(f"training:\n  compute:\n    name: {name}\n")[0]
    assert place == "line 3, training.compute.name"
    assert "dash and a number" in expected or "match pattern" in expected
    assert found == repr(name)


def test_an_unknown_field_is_told_with_its_line() -> None:
    assert problems("\n\nclases: [nut]\n")[0][0] == "line 3, clases"


def test_two_wrong_fields_are_both_told() -> None:
    assert [p[0] for p in problems("paused: maybe\nvalidation_share: 2\n")] == [
        "line 2, validation_share",
        "line 1, paused",
    ]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("a: [1\nb: 2", "line 2", "expected"),
        ("paused: true\npaused: false\n", "line 2", "each key once"),
        ("classes: &a [x]\ntask: *a\n", "line 1", "no aliases"),
        ("1: 2\n? [a]\n: 3\n", "line 2", "a text as key"),
        ("classes: !!python/object/apply:os.getcwd []\n", "line 1", "no tags"),
        ("task: !!python/name:os.system x\n", "line 1", "no tags"),
        ("[" * 60 + "]" * 60, "line 1", "levels"),
        ("[" * 9000, "line 1", ""),
        ('classes: ["\\ud800"]\n', "line 1", "control characters"),
        ('paused: false\nclasses:\n  - "nut\\u202e"\n', "line 3", "control characters"),
        ('"\\ud800": 1\n', "line 1", "a text as key"),
        ("training:\n  retrain_threshold:\n    growth: .inf\n", "line 3", "finite"),
        ("training:\n  parameters: {learning_rate: .nan}\n", "line 2", ""),
        ("training:\n  search_space:\n    - learning_rate: " + "9" * 400, "line 3", "whole numbers up to"),
        ("quiet_period_seconds: 0x" + "f" * 6000, "line 1", "whole numbers up to"),
        ("paused: false\nclasses: [" + "-" + "9" * 20 + "]", "line 2", "whole numbers up to"),
    ],
)
def test_yaml_that_is_not_plain_is_refused_with_its_line(text: str, place: str, what: str) -> None:
    found = problems(text)[0]
    assert found[0].startswith(place)
    assert what in found[2] or what in found[1]


def test_a_nest_of_aliases_is_refused_at_once() -> None:
    bomb = "a: &a [x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    assert "no aliases" in problems(bomb)[0][2]


def test_bytes_that_are_no_text_and_files_too_big_are_told() -> None:
    assert problems(b"\xff\xfe\x00")[0][1] == "UTF-8 text"
    assert problems(b"#" * (MOST_BYTES + 1))[0][1] == f"at most {MOST_BYTES} bytes"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_is_uploaded_gives_a_config_or_problems(data: bytes) -> None:
    config, found = read_config(data, "f")
    assert (config is None) == bool(found)
