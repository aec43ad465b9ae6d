"""The controller's own time from an event to the submitted job, and from the job's end to the first traffic step."""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks._waiting import Clock, Stretch, listening, until  # noqa: E402
from benchmarks.decision import image  # noqa: E402

if TYPE_CHECKING:
    from services.state import LoopState

CONFIG = b"""
quiet_period_seconds: 0
training:
  first_threshold: {images: 20, per_class: 5}
  retrain_threshold: {new_images: 10, growth: null}
  cooldown_seconds: 0
  max_jobs_per_day: 100
  limits: {max_trials: 1, max_concurrent_trials: 1}
  sampling: grid
  parameters: {number_of_epochs: 2}
  search_space: [{model_name: [vitb16r224], learning_rate: [0.003]}]
promotion: {metric: accuracy}
rollout: {canary: [10], bake_seconds: 0}
"""
CLASSES = ("dark", "light")
PAUSE = 0.25
PARTS = ("event_to_job", "job_to_traffic")


class Loop:
    """One loop on the local cloud, of two classes of images in folders."""

    def __init__(self, name: str, clock: Clock) -> None:
        """Nothing is uploaded yet."""
        self.name, self._clock = name, clock

    def upload(self, numbers: range, draw: Callable[[int], bytes]) -> None:
        """Labelled images, odd ones of the one class and even ones of the other."""
        from services import wiring

        store = wiring.data_store()

        def put(number: int) -> None:
            store.write(f"{self.name}/images/{CLASSES[number % 2]}/{number:04}.jpg", draw(number))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, numbers))

    def configure(self) -> None:
        """Upload loop.yaml."""
        from services import wiring

        wiring.data_store().write(f"{self.name}/loop.yaml", CONFIG)

    def cycle(self, number: int) -> dict[str, Stretch]:
        """From uploaded images to the first traffic step of the model that they bring."""
        found = {part: Stretch() for part in PARTS}
        self._until(found["event_to_job"], lambda s: len(s.runs) >= number and s.runs[-1].status == "submitted")
        self._until_the_job_ended()
        self._until(found["job_to_traffic"], lambda s: _has_traffic(s, number))
        self._until(Stretch(), lambda s: s.rollout is not None and s.rollout.step == "done")
        return found

    def outcome(self, number: int) -> str:
        """What became of a run's model: the first traffic step is only there where it was better."""
        return self._state().run(number).rollout

    def _state(self) -> LoopState:
        from services import wiring

        return wiring.states().read(self.name)

    def _until(self, stretch: Stretch, over: Callable[[LoopState], bool]) -> None:
        from services import wiring

        controller = wiring.controller()
        until(self._clock, stretch, lambda: controller.wake(self.name), lambda: over(self._state()), PAUSE)

    def _until_the_job_ended(self) -> None:
        """Looked at beside the controller: how long others train is no time of ours."""
        from services import wiring

        job = self._state().runs[-1].job
        while (view := wiring.cloud().workspace.job(job)) is None or view.phase in ("waiting", "running"):
            time.sleep(PAUSE)


def _has_traffic(state: LoopState, number: int) -> bool:
    """The model of a run has its first share; or it was not better, and there is none to give."""
    if state.run(number).rollout in ("promoted", "rejected", "failed"):
        return True
    return state.rollout is not None and state.rollout.run == number and state.rollout.share > 0


def shown(stretch: Stretch) -> dict[str, float]:
    """Of one part of a cycle, in seconds."""
    return {
        "own_s": round(stretch.own, 3),
        "cpu_s": round(stretch.cpu, 3),
        "waiting_s": round(stretch.waiting, 3),
        "wakes": stretch.wakes,
        "requests": stretch.requests,
    }


def telling(number: int) -> bytes:
    """A picture that shows its class, unlike those of the first model: the second one is the better."""
    from PIL import Image

    shade = 190 * (number % 2) + number % 60
    out = io.BytesIO()
    Image.new("RGB", (320, 240), (shade, shade, shade)).save(out, "JPEG")
    return out.getvalue()


def measure(clock: Clock, loops: int, images: int) -> dict[str, object]:
    """The very first cycle pays for importing the SDK; each loop then has a first model, and a second one beside it."""
    cycles: list[dict[str, Any]] = []
    for each in range(loops):
        loop = Loop(f"bench-{each}", clock)
        loop.configure()
        for number, draw in ((1, image), (2, telling)):
            loop.upload(range(images * (number - 1), images * number), draw)
            parts = {part: shown(stretch) for part, stretch in loop.cycle(number).items()}
            cycles.append({"model": number, "outcome": loop.outcome(number), **parts})
    return {"images": images, "cycles": cycles, "warm": {part: _summary(cycles[1:], part) for part in PARTS}}


def _summary(cycles: Sequence[dict[str, Any]], part: str) -> dict[str, float]:
    """Of what came after the very first cycle."""
    own, cpu = ([cycle[part][key] for cycle in cycles] for key in ("own_s", "cpu_s"))
    return {"own_median_s": statistics.median(own), "own_worst_s": max(own), "cpu_median_s": statistics.median(cpu)}


@contextmanager
def _clock() -> Iterator[Clock]:
    from tests.support.cloud_process import running_cloud

    with tempfile.TemporaryDirectory() as folder, running_cloud(Path(folder), "--no-app"), listening() as clock:
        yield clock


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60, help="of each of the two versions")
    parser.add_argument("--loops", type=int, default=3)
    arguments = parser.parse_args()
    with _clock() as clock:
        print(json.dumps(measure(clock, arguments.loops, arguments.images), indent=2))


if __name__ == "__main__":
    main()
