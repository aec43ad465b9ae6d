"""A process that dies at any write after a label file was overwritten by a broken one loses none of its labels."""

from __future__ import annotations

from itertools import count

import pytest

from services.catalogue import refresh, working
from tests.support.dataset_house import BOX, voc
from tests.support.stages import Killed
from tests.unit.catalogue.test_kept import FILE, GOOD, IMAGES, codes, good, slices


def test_killed_at_any_write_after_a_broken_overwrite_no_label_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "BATCH", 4)
    monkeypatch.setattr(working, "BUCKET_FILES", 8)
    number = 0
    while True:
        house = good()
        before = house.state.catalogue
        house.put(FILE, GOOD[:200])
        for image in range(0, IMAGES, 3):
            house.put(f"images/{image:03}.xml", voc(("washer", BOX)))
        slices(house)
        left = count(number, -1)

        def die(call: str, left: count[int] = left) -> None:
            if call == "before:blob.write" and next(left) == 0:
                raise Killed(call)

        house.fakes.on_call = die
        try:
            house.settle()
            break
        except Killed:
            assert house.state.catalogue.labelled == before.labelled
            house.settle()
        found = house.state.catalogue
        assert (found.labelled, found.images_per_class["washer"], codes(found)) == (IMAGES, 4, ["json-invalid"])
        number += 1
    assert number > 6
