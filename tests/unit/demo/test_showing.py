from __future__ import annotations

import io
import json
import shlex
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from demo.__main__ import Failed, asked_image, check_closed, curl, most_to_see, save_picture, table
from demo.examples import Box, Example, Thing
from demo.scoring import Found, is_right, judge, predict
from demo.screen import LiveScreen, PlainScreen, Screen, screen
from demo.watching import NotClosed, Watch, failure, is_closed
from devtools.client import Client, Unreachable

NUT, BOLT = Thing("nut", (10, 10, 50, 50)), Thing("bolt", (60, 20, 120, 40))
EXAMPLE = Example("a.jpg", b"a", 160, 120, (NUT, BOLT))
RUN = {"number": 1, "job": "vl-1", "status": "completed", "rollout": "promoted", "reason": ""}
CLOSED = {"champion": {"run": 1}, "runs": [RUN], "datasets": [{}], "doing": "Waiting. Few new labels"}
EVENT = {"id": "n-1", "type": "visionloop.training.failed", "time": "2026-01-01T12:00:00Z", "data": {"reason": "[a]"}}


class FakeClient:
    """An app whose answers are given one after the other; the last one stays."""

    def __init__(self, *answers: dict[str, Any] | Exception, boxes: dict[bytes, list[Found]] | None = None) -> None:
        self._answers, self._boxes = list(answers), boxes or {}
        self.jobs: list[dict[str, Any]] = []

    def status(self, _: str) -> dict[str, Any]:
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    def timeline(self, _: str) -> list[dict[str, Any]]:
        return [EVENT]

    def training(self) -> dict[str, Any]:
        return {"jobs": self.jobs}

    def predict(self, _: str, image: bytes, kind: str) -> bytes:
        assert kind == "image/jpeg"
        listed = [{"label": f.name, "score": f.score, "box": _corners(f.box)} for f in self._boxes.get(image, [])]
        return json.dumps({"predictions": listed}).encode()


def _corners(box: Box | None) -> dict[str, float] | None:
    return dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)) if box else None


def _app(*answers: dict[str, Any] | Exception, boxes: dict[bytes, list[Found]] | None = None) -> Client:
    return cast("Client", FakeClient(*answers, boxes=boxes))


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def _said(console: Console) -> str:
    return cast("io.StringIO", console.file).getvalue()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.watching.time.sleep", lambda _: None)


class TestWatch:
    def test_it_looks_until_the_loop_is_closed_and_tells_each_thing_once(self, console: Console) -> None:
        rolling = {**CLOSED, "champion": None, "doing": "Rolling out run 1 in slot blue: smoke"}
        rolling["runs"] = [{**RUN, "rollout": "pending"}]
        app = _app({}, Unreachable("the host is being started"), rolling, rolling, CLOSED)
        assert Watch(app, "nuts", PlainScreen(console)).until_closed(60) == CLOSED
        assert _said(console).count("training.failed     [a]") == 1
        assert _said(console).count("slot blue: smoke") == 1

    def test_epochs_of_the_loops_own_runs_are_shown(self, console: Console) -> None:
        trial = {"epochs": [3, 10], "metrics": {"map50": 0.81234}, "parameters": {"learning_rate": "0.003"}}
        fake = FakeClient(CLOSED)
        fake.jobs = [{"name": n, "features": [7, 7], "trials": [trial]} for n in ("vl-1", "vl-of-another-loop")]
        Watch(cast("Client", fake), "nuts", PlainScreen(console)).until_closed(60)
        assert _said(console).count("run 1, trial 1, epochs: 3/10 lr 0.003  mAP50 0.812") == 1
        assert "features of the images: 7/7" in _said(console)

    def test_epochs_of_a_script_of_ones_own_are_shown(self, console: Console) -> None:
        fake = FakeClient(CLOSED)
        history = {"train_loss": [1.5, 0.5], "accuracy": [0.3, 0.9]}
        fake.jobs = [{"name": "vl-1", "features": None, "trials": [], "history": history, "metrics": {"accuracy": 0.9}}]
        Watch(cast("Client", fake), "nuts", PlainScreen(console)).until_closed(60)
        assert "run 1, epochs: 2/2 accuracy 0.900" in _said(console)

    def test_judged_images_of_a_rollout_are_shown(self, console: Console) -> None:
        status = {**CLOSED, "rollout": {"evaluated": {"blue": 8}, "holdout_images": 12}}
        Watch(_app(status), "nuts", PlainScreen(console)).until_closed(60)
        assert "holdout images judged in blue: 8/12" in _said(console)

    def test_a_failure_ends_it_with_the_apps_words(self, console: Console) -> None:
        status = {"runs": [{**RUN, "status": "failed", "reason": "no GPU left"}]}
        with pytest.raises(NotClosed, match="run 1 failed: no GPU left"):
            Watch(_app(status), "nuts", PlainScreen(console)).until_closed(60)

    def test_it_does_not_wait_for_ever(self, console: Console) -> None:
        times = iter(range(0, 1000, 10))
        watch = Watch(_app({"doing": "Waiting: 3 of 40 images"}), "n", PlainScreen(console))
        with pytest.raises(NotClosed, match=r"within 1 minutes\. It says: Waiting: 3 of 40 images"):
            watch.until_closed(60, lambda: next(times))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({}, ""),
        (CLOSED, ""),
        ({"config": {"problems": [{"place": "line 2", "expected": "a number", "found": "x"}]}}, "line 2: a number"),
        ({"runs": [{**RUN, "status": "canceled"}]}, "run 1 canceled"),
        ({"runs": [{**RUN, "rollout": "failed"}], "champion": None}, "rollout of run 1 was failed"),
        ({"runs": [{**RUN, "rollout": "rejected"}], "champion": {"run": 0}}, ""),
    ],
)
def test_only_what_stays_so_is_a_failure(status: dict[str, Any], said: str) -> None:
    assert said in failure(status)
    assert bool(failure(status)) == bool(said)


def test_closed_means_live_and_settled() -> None:
    assert is_closed(CLOSED)
    assert not is_closed({})
    assert not is_closed({**CLOSED, "champion": None})
    assert not is_closed({**CLOSED, "runs": [{**RUN, "rollout": "pending"}]})


class TestScoring:
    def test_the_surest_comes_first_and_right_means_there_and_so_called(self) -> None:
        boxes = {b"a": [Found("bolt", 0.4, (62, 20, 118, 42)), Found("nut", 0.9, (12, 10, 50, 48))]}
        found = predict(_app(boxes=boxes), "nuts", EXAMPLE)
        assert [f.name for f in found] == ["nut", "bolt"]
        assert all(is_right(f, EXAMPLE) for f in found)
        assert not is_right(Found("bolt", 0.9, NUT.box), EXAMPLE)
        assert not is_right(Found("nut", 0.9, (30, 30, 90, 90)), EXAMPLE)

    def test_marks_are_those_of_coco(self) -> None:
        heard: list[int] = []
        right = [Found(t.name, 0.9, t.box) for t in EXAMPLE.things]
        marks = judge(_app(boxes={b"a": right}), "nuts", [EXAMPLE], heard.append)
        assert (marks.figures, marks.images) == ({"mAP50": pytest.approx(1), "mAP": pytest.approx(1)}, 1)
        assert heard == [1]
        half = judge(_app(boxes={b"a": right[:1]}), "nuts", [EXAMPLE], heard.append)
        assert half.figures["mAP50"] == pytest.approx(0.5)

    def test_nothing_found_is_nought(self) -> None:
        assert judge(_app(), "nuts", [EXAMPLE], lambda _: None).figures["mAP50"] == 0.0
        unknown = {b"a": [Found("spring", 0.9, NUT.box)]}
        assert judge(_app(boxes=unknown), "nuts", [EXAMPLE], lambda _: None).figures["mAP50"] == 0.0

    def test_a_class_of_the_whole_image_is_right_by_its_name(self) -> None:
        cans = Example("can.jpg", b"c", 10, 10, (Thing("can", None),))
        app = _app(boxes={b"c": [Found("can", 0.9, None), Found("carton", 0.1, None)]})
        marks = judge(app, "fridge", [cans], lambda _: None)
        assert (marks.figures, marks.told) == ({"accuracy": 1.0}, "accuracy 1.000")
        wrong = _app(boxes={b"c": [Found("carton", 0.9, None), Found("can", 0.1, None)]})
        assert judge(wrong, "fridge", [cans], lambda _: None).figures == {"accuracy": 0.0}


class TestScreen:
    def test_without_a_terminal_many_small_steps_are_a_few_lines(self, console: Console) -> None:
        with screen(console) as plain:
            assert isinstance(plain, PlainScreen)
            for number in range(1, 101):
                plain.bar("uploading", number, 100)
        lines = _said(console).splitlines()
        assert len(lines) == 5
        assert lines[-1].strip() == "uploading: 100/100"

    def test_a_note_that_changes_is_told(self, console: Console) -> None:
        plain: Screen = PlainScreen(console)
        for note in ("mAP 0.1", "mAP 0.1", "mAP 0.2"):
            plain.bar("trial 1", 1, 20, note)
        assert len(_said(console).splitlines()) == 2

    def test_on_a_terminal_bars_move(self) -> None:
        console = Console(file=io.StringIO(), force_terminal=True, width=120)
        with screen(console) as live:
            assert isinstance(live, LiveScreen)
            live.bar("uploading", 5, 10)
            live.bar("uploading", 10, 10, "done")
            live.say("told")
        assert "10/10" in _said(console)
        assert "told" in _said(console)


def test_the_table_says_what_is_right(console: Console) -> None:
    console.print(table(EXAMPLE, [Found("nut", 0.93, NUT.box), Found("nut", 0.4, BOLT.box)]))
    [right, wrong] = [line for line in _said(console).splitlines() if "nut" in line]
    assert ("yes" in right, "0.93" in right, "10, 10, 50, 50" in right) == (True, True, True)
    assert "no" in wrong


def test_the_image_with_most_to_see_is_shown() -> None:
    one_class = Example("b.jpg", b"", 1, 1, (NUT, NUT, NUT))
    assert most_to_see([one_class, EXAMPLE, Example("c.jpg", b"", 1, 1, ())]) is EXAMPLE


@pytest.mark.parametrize("missing", ["datasets", "runs", "champion"])
def test_what_is_missing_fails_the_demonstration(missing: str) -> None:
    found = [Found("nut", 0.9, NUT.box)]
    check_closed(CLOSED, found, EXAMPLE)
    with pytest.raises(Failed):
        check_closed({**CLOSED, missing: None}, found, EXAMPLE)
    with pytest.raises(Failed, match="no right answer"):
        check_closed(CLOSED, [Found("nut", 0.9, BOLT.box)], EXAMPLE)


def test_it_is_started_by_dev_py_only(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Client(tmp_path)


def test_the_command_to_ask_by_hand_can_be_run_as_it_is(tmp_path: Path) -> None:
    class Drawing:
        urls, key = {"host": "http://h"}, "secret"  # nobody changes it

        def predict(self, *_: object, render: bool) -> bytes:
            return b"a picture" if render else b""

    client, folder = cast("Client", Drawing()), tmp_path / "Eigene Bilder"
    example = Example("shelf/prediction.png", b"an image", 160, 120, (NUT,))
    assert save_picture(client, "nuts", example, folder).read_bytes() == b"a picture"
    said = shlex.split(curl(client, "nuts", asked_image(folder, example)))
    image = Path(said[2].removeprefix("@"))
    assert (said[:2], image.read_bytes()) == (["curl", "--data-binary"], b"an image")
    assert said[-1] == "http://h/api/loops/nuts/predict"
