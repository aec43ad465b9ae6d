from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.distributions import Distribution
from services.errors import ConfigError
from services.training.search_space import check_sampling, parse, read, read_space


@pytest.mark.parametrize(
    ("text", "kind", "arguments"),
    [
        ("uniform(0.001, 0.01)", "uniform", (0.001, 0.01)),
        (" UNIFORM ( 1e-4 ,1 ) ", "uniform", (0.0001, 1)),
        ("loguniform(-9.2, -4.6)", "loguniform", (-9.2, -4.6)),
        ("quniform(10, 30, 5)", "quniform", (10, 30, 5)),
        ("qloguniform(-3, 0, 0.1)", "qloguniform", (-3, 0, 0.1)),
        ("normal(0, 1)", "normal", (0, 1)),
        ("lognormal(0, .5)", "lognormal", (0, 0.5)),
        ("qnormal(10, 2, 1)", "qnormal", (10, 2, 1)),
        ("qlognormal(1, 2, 1)", "qlognormal", (1, 2, 1)),
        ("randint(8)", "randint", (8,)),
        ("choice(small, medium)", "choice", ("small", "medium")),
        ("choice('sgd', \"adam\")", "choice", ("sgd", "adam")),
        ("choice([600, 800])", "choice", (600, 800)),
        ("choice(true, False, 3, 1.5, yolov5)", "choice", (True, False, 3, 1.5, "yolov5")),
    ],
)
def test_distributions_are_read(text: str, kind: str, arguments: tuple[object, ...]) -> None:
    found = parse(text)
    assert (found.kind, found.arguments) == (kind, arguments)
    assert [type(a) for a in found.arguments] == [type(a) for a in arguments]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "uniform",
        "uniform(1)",
        "uniform(2, 1)",
        "uniform(1, 1)",
        "uniform(a, b)",
        "uniform(true, 2)",
        "uniform(nan, 1)",
        "uniform(0, inf)",
        "uniform(0, 1e999)",
        "uniform(0, 1) + 1",
        "quniform(0, 1, 0)",
        "quniform(0, 1)",
        "normal(0, 0)",
        "randint(0)",
        "randint(1.5)",
        "choice()",
        "choice(a,,b)",
        "choice(a b)",
        "gauss(0, 1)",
        "__import__('os').system('true')",
        "choice(__import__('os'))",
        "choice(" + "a," * 400 + "a)",
        "uniform(" + "9" * 5000 + ", 1)",
    ],
)
def test_what_is_none_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "search_space.0.learning_rate")
    assert caught.value.detail.startswith("search_space.0.learning_rate: expected ")
    assert caught.value.extra["place"] == "search_space.0.learning_rate"
    assert len(caught.value.detail) < 400


@given(st.text(max_size=60))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except ConfigError:
        return
    assert found.arguments


@given(st.floats(-1e6, 1e6), st.floats(0.001, 1e6), st.sampled_from(["uniform", "normal", "loguniform"]))
def test_what_is_shown_reads_the_same(least: float, more: float, kind: str) -> None:
    text = f"{kind}({least!r}, {least + more if kind != 'normal' else more!r})"
    assert parse(str(parse(text))) == parse(text)


def test_lists_and_single_values_are_choices() -> None:
    assert read([15, 30]) == Distribution("choice", (15, 30))
    assert read("adam") == Distribution("choice", ("adam",))
    assert read(0.1) == Distribution("choice", (0.1,))
    assert read(True) == Distribution("choice", (True,))
    with pytest.raises(ConfigError, match="an empty list"):
        read([])


@pytest.mark.parametrize("value", ["loguniform(0.0001, 0.01)", "uniform(0.1, 10)", [0.1, 2], 3, "uniform(-1, 0.1)"])
def test_a_learning_rate_beyond_its_range_is_a_mistake(value: object) -> None:
    with pytest.raises(ConfigError, match="learning_rate: expected a learning rate from 0 to 1"):
        read_space({"learning_rate": value})  # type: ignore[dict-item]


def test_loguniform_takes_exponents() -> None:
    assert read_space({"learning_rate": "loguniform(-9.2, -4.6)"})
    with pytest.raises(ConfigError, match="exponents"):
        read_space({"learning_rate": "loguniform(0.0001, 0.01)"})


@pytest.mark.parametrize(
    ("sampling", "value", "fine"),
    [
        ("random", "normal(0, 1)", True),
        ("grid", [1, 2], True),
        ("grid", "uniform(0, 1)", False),
        ("bayesian", "quniform(0, 10, 1)", True),
        ("bayesian", "loguniform(-3, 0)", False),
    ],
)
def test_a_sampling_draws_from_what_it_can(sampling: str, value: object, fine: bool) -> None:
    spaces = [{}, read_space({"momentum": value})]  # type: ignore[dict-item]
    if fine:
        check_sampling(sampling, spaces)
        return
    with pytest.raises(ConfigError, match=r"search_space\.1\.momentum: expected choice.*which is what"):
        check_sampling(sampling, spaces)
