from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.labels.coco_columns import Boxes, Images

hundredths = st.integers(-(10**9), 10**9).map(lambda n: n / 100)
anything = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.lists(hundredths, min_size=4, max_size=4)), st.lists(st.lists(anything, min_size=4, max_size=4)))
def test_boxes_come_back_as_they_were(first: list[list[float]], then: list[list[float]]) -> None:
    found = Boxes()
    for box in (*first, *then):
        found.append(box)
    assert [list(found.of(row)) for row in range(len(first) + len(then))] == [*first, *then]


def test_images_are_known_by_their_number_in_any_order() -> None:
    found = Images()
    found.add(3, "dräi.jpg", (640, 480), 0)
    found.add(0, "", (0, 0), 7)
    assert [n in found for n in range(6)] == [True, False, False, True, False, False]
    assert (found.name(3), found.size(3), found.index(3)) == ("dräi.jpg", (640, 480), 0)
    assert (found.name(0), found.size(0), found.index(0)) == ("", (0, 0), 7)
