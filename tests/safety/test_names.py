"""No name, however it is written, leads out of its loop: not a path, not what a label file calls an image, not a class."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalogue.paths import kind_of
from services.datasets.jsonl import blob_url
from services.labels.problems import printable
from services.labels.values import MOST_CLASS, MOST_NAME, UNSAFE, class_name, usable_text
from services.names import is_loop_name, job_name, loop_of_blob, loop_of_job
from tests.support.dataset_house import BOX, LOOP, House, coco, picture, voc

NAUGHTY = [
    "..", ".", "../x", "../../state/parts.json", "a/../../b", "a/./b", "..\\..\\x", "C:\\x", "/etc/passwd", "//host/share",
    "a\x00b", "a\nb", "a\rb", "a\tb", "\x1b[31mred", "\x7f", "\x85", "\u2028", "\u202egpj.exe", "\u200f", "\u2066a\u2069",
    "\ufeff", "a" * 1024, "a" * 1025, "é" * 600, "\U0001f600", "﷽" * 90, "Z̮̞̠͙͔ͅ", "ﬀ", "İ", "ß", "ǆ", "٠١٢", "①", "\u00a0", "\u3000",
    "null", "undefined", "NaN", "true", "0", "-1", "1e309", "CON", "NUL.txt", "com1", "$(id)", "`id`", "; rm -rf /", "&& x", "| x",
    "<script>alert(1)</script>", "\"'><img src=x>", "{{7*7}}", "${7*7}", "%s%n", "%00", "%2e%2e%2f", "%252e", "?x=1", "#frag", "a b",
    "a+b", "a%20b", "' OR 1=1 --", "=1+1", "@SUM(A1)", "-2+3", "\\\\?\\x", "~", "~root", "*", "[a-z]", "a|b", "a:b", 'a"b', "a'b", "a;b",
    "__proto__", "constructor", "toString", "hasOwnProperty", "loop.yaml", "images", "labels", "images/images", "labels/../images/x",
]  # fmt: skip
names = st.sampled_from(NAUGHTY) | st.text(max_size=40)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)


def fits(path: str) -> bool:
    """Whether storage itself would take it as a blob's name, below the loop."""
    return 0 < len(path) <= 1000 and not re.search("[\ud800-\udfff]", path)


@given(paths, st.sampled_from(["", "images/", "labels/"]), st.sampled_from(["", ".jpg", ".xml", ".json"]))
def test_what_is_used_has_no_way_out_and_nothing_hidden(path: str, below: str, extension: str) -> None:
    whole = f"{below}{path}{extension}"
    if kind_of(whole, 9) in {"image", "label", "class list", "unknown"} and "/" in whole:
        assert not UNSAFE.search(whole)
        assert not {"..", "."} & set(whole.split("/"))
        assert len(whole) <= MOST_NAME
        assert whole.startswith(("images/", "labels/"))


@given(paths)
def test_an_image_url_of_a_dataset_ends_where_the_image_is(path: str) -> None:
    if kind_of(f"images/{path}.jpg", 9) == "image":
        start = "azureml://subscriptions/s/resourcegroups/r/workspaces/w/datastores/d/paths/parts/"
        url = blob_url(start, f"images/{path}.jpg")
        assert url.startswith(start)
        assert not re.search(r"[\x00-\x1f\x7f]", url)
        assert unquote(url.removeprefix(start)) == f"images/{path}.jpg"
        assert "/../" not in url


@given(st.text(max_size=60) | paths)
def test_only_a_loops_name_is_a_loop(text: str) -> None:
    for found in (loop_of_blob(f"{text}/images/x.jpg"), loop_of_blob(text), loop_of_job(text)):
        assert found is None or is_loop_name(found)
    if is_loop_name(text):
        assert re.fullmatch("[a-z0-9-]{3,40}", text)
        assert loop_of_job(job_name(text, "a", "b")) == text


@given(names)
def test_classes_and_texts_are_fit_to_be_shown(text: str) -> None:
    found = class_name(text)
    assert found is None or (0 < len(found) <= MOST_CLASS and not UNSAFE.search(found) and found == found.strip())
    assert not UNSAFE.search(printable(text))
    assert usable_text(text, 5) is None or len(str(usable_text(text, 5))) <= 5


def look(house: House) -> None:
    house.step()
    written = [
        name for name in house.fakes.system.blobs if not name.startswith((f"state/{LOOP}.json", f"catalogue/{LOOP}/"))
    ]
    assert [name for name in written if not re.fullmatch(rf"datasets/{LOOP}/[\w.-]+/[\w./-]+", name)] == []


@pytest.mark.parametrize("name", [n for n in NAUGHTY if fits(n)], ids=ascii)
class TestThroughTheStage:
    def test_as_the_name_of_an_image_and_its_label(self, name: str) -> None:
        house = House()
        house.labelled(10)
        house.put(f"images/{name}.png", picture(99))
        house.put(f"images/{name}.xml", voc(("nut", BOX)))
        look(house)
        found = house.settle().catalogue
        codes = frozenset(p.code for p in found.problems)
        if kind_of(f"images/{name}.png", 9) == "image":
            assert found.images == 11
            assert (found.labelled, codes) in {(11, frozenset()), (10, frozenset({"label-waiting"}))}, (
                "never in silence"
            )
        else:
            assert found.labelled == 10
            assert codes <= {"name-unusable", "file-misplaced", "label-file-unknown"}
        assert not UNSAFE.search(json.dumps([p.model_dump() for p in found.problems], ensure_ascii=False))
        urls = [line["image_url"] for side in ("train", "validation") for line in house.lines(side)]
        assert all(f"/paths/{LOOP}/images/" in url and "/../" not in url for url in urls)

    def test_as_what_a_label_file_calls_an_image_and_a_class(self, name: str) -> None:
        house = House()
        house.labelled(10)
        house.put("labels/all.json", coco({name: [("nut", BOX)], f"x/{name}.png": [(name, BOX)]}))
        look(house)
        found = house.settle().catalogue
        assert found.labelled == 10, "nothing of it is about an image that is there"
        assert {p.code for p in found.problems} <= {
            "label-waiting",
            "coco-image-invalid",
            "class-invalid",
            "coco-annotation-invalid",
        }
        assert not UNSAFE.search(json.dumps(found.model_dump(mode="json"), ensure_ascii=False))
