"""What is told of a loop.yaml that is uploaded, broken, mended, and uploaded again as it was."""

from __future__ import annotations

from services.config_stage import ConfigStage
from tests.support.stages import LOOP, World, state

FILE = f"{LOOP}/loop.yaml"


def uploads(world: World, text: str) -> list[str]:
    before = len(world.events)
    world.fake.data.write(FILE, text.encode())
    world.wake()
    return [f"{e.type.removeprefix('visionloop.')}: {e.data['reason']}" for e in world.events[before:]]


def test_each_change_is_told_once_and_the_same_file_again_is_no_news() -> None:
    world = World([ConfigStage()], state())
    assert uploads(world, "paused: true") == ["config.changed: loop.yaml changes paused"]
    assert uploads(world, "paused: true  # as it was") == []
    assert world.state.reasons["config"] == "loop.yaml changes paused"
    [broken] = uploads(world, "paused: perhaps")
    assert broken.startswith("config.rejected: ")
    assert world.state.config.config.paused
    mended = "config.changed: loop.yaml is understood again, and changes"
    assert uploads(world, "paused: true") == [f"{mended} nothing"]
    assert world.state.config.problems == []
    uploads(world, "paused: perhaps")
    assert uploads(world, "paused: false") == [f"{mended} paused"]
