"""Jobs of a user's own script: what they are made of, when a script is another one, and what is said without one."""

from __future__ import annotations

from typing import Any

import pytest

from services.catalogue.listing import Listing
from services.catalogue.paths import kind_of
from services.cloud.fakes import FakeCloud
from services.config_file import read_config
from services.datasets.observe import observe
from services.decisions.budget import machines
from services.errors import ChangedMeanwhile, ConfigError
from services.loop_config import LoopConfig
from services.training import code
from services.training.code import downloaded
from services.training.job import config_hash
from services.training.stage import TrainingStage
from tests.support.stages import LOOP, World, state, version

OWN = {"kind": "command", "command": {"command": "python t.py ${{inputs.train}}", "environment": "azureml:own:3"}}


class Looking:
    """The part of the dataset stage that looks at the files, before the training stage."""

    name = "dataset"

    def step(self, context: Any) -> float | None:
        observe(context)
        return None


def world(files: dict[str, bytes], **training: Any) -> World:
    first = state(config={"training": OWN | training}, datasets=[version()])
    made = World([Looking(), TrainingStage()], first)
    for path, data in files.items():
        made.fake.data.write(f"{LOOP}/code/{path}", data)
    return made


def settings(**training: Any) -> LoopConfig:
    return LoopConfig.model_validate({"training": OWN | training})


def test_the_script_is_submitted_with_its_files_once() -> None:
    w = world({"t.py": b"print(1)", "lib/deep.py": b"x = 1"}, limits={"timeout_minutes": 30})
    w.wakes(3)
    [(spec, files)] = w.fake.workspace.commands.values()
    assert files == {"t.py": b"print(1)", "lib/deep.py": b"x = 1"}
    assert (spec.command, spec.environment) == ("python t.py ${{inputs.train}}", "azureml:own:3")
    assert spec.inputs == {"train": "vl-nuts-train:1", "validation": "vl-nuts-validation:1"}
    assert (spec.timeout_minutes, spec.compute) == (30, "gpu-cluster")
    assert w.fake.workspace.submissions == [w.state.runs[0].job]
    assert w.state.runs[0].machines == 1


def test_the_same_script_never_runs_twice_and_a_changed_one_is_another_job() -> None:
    w = world({"t.py": b"print(1)"}, cooldown_seconds=0)
    w.wakes(2)
    job = w.state.runs[0].job
    w.fake.workspace.finish(job, error="it broke", codes=["UserError"])
    w.wakes(3)
    assert w.fake.workspace.submissions == [job]
    w.fake.data.write(f"{LOOP}/code/t.py", b"print(2)")
    w.wakes(3)
    assert len(w.fake.workspace.submissions) == 2
    assert w.fake.workspace.commands[w.state.runs[1].job][1] == {"t.py": b"print(2)"}


def test_without_a_script_the_loop_says_so_and_submits_nothing() -> None:
    w = world({})
    w.wakes(2)
    assert w.fake.workspace.submissions == []
    [held] = [e for e in w.events if e.type.endswith("training.held")]
    assert "command: expected the script's files in the folder code/" in str(held.data["reason"])


def test_a_dry_run_tells_of_the_command() -> None:
    w = world({"t.py": b"print(1)"}, dry_run=True)
    w.wakes(2)
    assert w.fake.workspace.submissions == []
    [told] = [e for e in w.events if e.type.endswith("training.dry_run")]
    assert "python t.py" in str(told.data["parameters"])


def test_a_script_is_no_data() -> None:
    fake = FakeCloud()
    for name in ("code/train.py", "code/images/x.jpg", "images/a.jpg", "codes/x.py"):
        fake.data.write(f"{LOOP}/{name}", b"x")
    listing = Listing.of(LOOP, fake.data.list(f"{LOOP}/"))
    assert sorted(listing.files) == ["codes/x.py", "images/a.jpg"]
    assert kind_of("code/train.py", 3) == "ignored"
    fake.data.write(f"{LOOP}/images/b.jpg", b"x")
    assert Listing.of(LOOP, fake.data.list(f"{LOOP}/")).code == listing.code != ""
    fake.data.write(f"{LOOP}/code/more.py", b"x")
    assert Listing.of(LOOP, fake.data.list(f"{LOOP}/")).code != listing.code


def test_what_is_downloaded_is_what_was_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCloud()
    fake.data.write(f"{LOOP}/code/t.py", b"x")
    digest = Listing.of(LOOP, fake.data.list(f"{LOOP}/")).code
    with downloaded(fake.data, LOOP, digest) as folder:
        assert (folder / "t.py").read_bytes() == b"x"
    assert not folder.exists()
    monkeypatch.setattr(code, "MOST_BYTES", 0)
    with pytest.raises(ConfigError, match="expected at most"), downloaded(fake.data, LOOP, digest):
        pass
    fake.data.write(f"{LOOP}/code/t.py", b"y")
    with pytest.raises(ChangedMeanwhile), downloaded(fake.data, LOOP, digest):
        pass


def test_files_stay_below_the_folder() -> None:
    fake = FakeCloud()
    fake.data.write(f"{LOOP}/code/../../evil.py", b"x")
    digest = Listing.of(LOOP, fake.data.list(f"{LOOP}/")).code
    with pytest.raises(ConfigError, match="below code/"), downloaded(fake.data, LOOP, digest):
        pass


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"command": {"command": "python t.py"}}, r"\$\{\{inputs.train\}\}"),
        ({"command": {"command": "t ${{inputs.train}} ${{outputs.model}}"}}, "no placeholders but"),
        ({"parameters": {"number_of_epochs": 3}}, "parameters: expected nothing"),
        ({"search_space": [{"learning_rate": "uniform(0.1, 0.2)"}]}, "search_space: expected nothing"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        settings(**change)


def test_loop_yaml_says_it() -> None:
    text = b"training:\n  kind: command\n  command: {environment: 'azureml:own:3'}\n"
    config, problems = read_config(text, "nuts/loop.yaml")
    assert config is not None, problems
    found = config.training
    assert (found.kind, found.command.environment, machines(found)) == ("command", "azureml:own:3", 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"command": {"command": "python u.py ${{inputs.train}}"}},
        {"command": OWN["command"] | {"environment": "azureml:own:4"}},  # type: ignore[operator]
        {"command": OWN["command"] | {"environment_variables": {"EPOCHS": "3"}}},  # type: ignore[operator]
        {"limits": {"timeout_minutes": 5}},
        {"kind": "automl"},
    ],
)
def test_what_changes_the_model_changes_the_hash(changes: dict[str, Any]) -> None:
    known = config_hash(settings(), version(), "code")
    assert config_hash(settings(**changes), version(), "code") != known
    assert config_hash(settings(), version(), "other") != known
    assert config_hash(settings(cooldown_seconds=5), version(), "code") == known
