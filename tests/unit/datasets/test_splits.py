from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.datasets.splits import NEGATIVE, Side, assign

contents = st.text("0123456789abcdef", min_size=6, max_size=6)
one_class = st.sampled_from(["ace", "king", "ten"]).map(lambda name: frozenset({name}))
some_classes = st.frozensets(st.sampled_from(["ace", "king", "ten", "two"]), max_size=3)
shares = st.floats(0.05, 0.85)


def tally(classes: dict[str, frozenset[str]], sides: dict[str, Side]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for content, side in sides.items():
        for name in classes[content] or {NEGATIVE}:
            found.setdefault(name, Counter())[side] += 1
    return found


@given(st.dictionaries(contents, one_class, max_size=40), shares)
def test_every_class_of_two_images_gets_both_sides_in_the_wanted_share(
    new: dict[str, frozenset[str]], share: float
) -> None:
    sides = assign(new, {}, share)
    assert sides.keys() == new.keys()
    for counts in tally(new, sides).values():
        total = sum(counts.values())
        if total == 1:
            assert counts["train"] == 1
        else:
            assert counts["validation"] == min(max(round(share * total), 1), total - 1)


@given(st.dictionaries(contents, some_classes, max_size=30), shares, st.randoms())
def test_the_order_of_uploads_changes_nothing(new: dict[str, frozenset[str]], share: float, random: object) -> None:
    items = list(new.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert assign(dict(items), {}, share) == assign(new, {}, share)


@given(st.lists(st.dictionaries(contents, some_classes, max_size=12), max_size=5), shares)
def test_a_side_is_for_ever_and_classes_are_served_over_many_bursts(
    bursts: list[dict[str, frozenset[str]]], share: float
) -> None:
    classes: dict[str, frozenset[str]] = {}
    sides: dict[str, Side] = {}
    for burst in bursts:
        new = {content: names for content, names in burst.items() if content not in sides}
        before = dict(sides)
        sides |= assign(new, tally(classes, sides), share)
        classes |= new
        assert {c: sides[c] for c in before} == before
    for name, counts in tally(classes, sides).items():
        own = sum(1 for names in classes.values() if (names or {NEGATIVE}) == {name})
        if own >= 2 and own == sum(counts.values()):
            assert counts["validation"] >= 1
            assert counts["train"] >= 1


def test_a_class_that_gets_its_second_image_later_gets_validation_then() -> None:
    ace = frozenset({"ace"})
    assert assign({"a": ace}, {}, 0.2) == {"a": "train"}
    assert assign({"b": ace}, {"ace": {"train": 1}}, 0.2) == {"b": "validation"}
    assert assign({"c": ace}, {"ace": {"train": 1, "validation": 1}}, 0.2) == {"c": "train"}


def test_a_rare_class_is_served_before_the_common_one_it_comes_with() -> None:
    common = {f"{i:02}": frozenset({"nut"}) for i in range(20)}
    rare = {"aa": frozenset({"nut", "bolt"}), "bb": frozenset({"nut", "bolt"})}
    counts = tally(common | rare, assign(common | rare, {}, 0.2))
    assert counts["bolt"] == {"train": 1, "validation": 1}
    assert counts["nut"]["validation"] == 4


def test_negatives_get_both_sides_too() -> None:
    new = {f"{i}": frozenset[str]() for i in range(10)}
    assert Counter(assign(new, {}, 0.2).values()) == {"train": 8, "validation": 2}
