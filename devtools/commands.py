"""What each command of `dev.py` does."""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import shlex
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from devtools import doctor
from devtools.client import Client, Refused, Unreachable
from devtools.cloud import LocalCloud, check_can_start, dashboard, describe, local_cloud, running
from devtools.console import Stop, say, step
from devtools.folders import IMAGES, LOOP, LOOP_RULE, is_image, visible_files
from devtools.follow import follow
from devtools.install import ensure_installed, ensure_program
from devtools.layout import CLOUD, LOCAL, LOGS, ROOT, VENV, shown, venv_python
from devtools.processes import Command, run, run_logged

NOT_FOUND = 404
PROCESSES = str(min(4, (os.cpu_count() or 1) + 1))
SIDE_BY_SIDE = ["-n", PROCESSES, "--dist", "loadfile", "--no-loadscope-reorder"]
"""The whole suite waits a part of its time, its longest files come first; a selection runs in one process."""

DEEP = [
    "tests/safety",
    "tests/security/test_schemathesis.py",
    "tests/proofs",
    "tests/unit/rollout/test_machine.py",
    "tests/unit/rollout/test_machine_harmed.py",
    "-n",
    "auto",
    "--maxprocesses",
    "4",
    "--timeout",
    "3600",
]


def serve(arguments: argparse.Namespace) -> int:
    """The local cloud with the app, until Ctrl-C."""
    folder = _cloud_folder(arguments)
    check_can_start(folder, arguments.ports)
    ensure_installed("app")
    with _until_interrupted(), local_cloud(folder, arguments.ports, _options(arguments)) as (cloud, client):
        say(f"\nVisionloop runs on this machine; Ctrl-C ends it.\n\n{describe(client, folder)}\n")
        elsewhere = "" if folder == CLOUD else f" --folder {shlex.quote(str(folder))}"
        say(f"A loop begins with its first images: python3 dev.py upload FOLDER NAME{elsewhere}\n")
        return _stay(cloud, client)
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """The local cloud, and a loop that closes on it before one's eyes."""
    folder = _cloud_folder(arguments)
    _check_demo(arguments)
    check_can_start(folder, arguments.ports)
    drawing = _drawing(arguments.example) if arguments.example is not None else None
    ensure_installed("app")
    if drawing is not None:
        arguments.data = _drawn(drawing, folder, arguments.seed)
    with _until_interrupted(arguments.once), local_cloud(folder, arguments.ports) as (cloud, client):
        say(f"Watch it in a browser too: {dashboard(client)}")
        code = run([venv_python(), "-m", "demo", *_demo_options(arguments, folder)])
        if code or arguments.once:
            return code
        say(f"\nStill running, to look at; Ctrl-C ends it.\n\n{describe(client, folder)}\n")
        return cloud.wait()
    return 0


def test(arguments: argparse.Namespace) -> int:
    """Checks, then the test suite; pytest's words come last."""
    ensure_installed("dev")
    if arguments.deep:
        os.environ["HYPOTHESIS_PROFILE"] = "deep"  # the tests named in DEEP go by it
        return run([venv_python(), "-m", "pytest", *DEEP, *arguments.arguments])
    if arguments.label_studio:
        os.environ["VISIONLOOP_LABEL_STUDIO"] = str(ensure_program("label-studio"))  # tests/real goes by it
        return run([venv_python(), "-m", "pytest", "tests/real", *arguments.arguments])
    failed = [] if arguments.no_lint else _failed_checks()
    if failed:
        say(f"no  {', '.join(failed)} failed, see above; the tests are run all the same")
    code = run([venv_python(), "-m", "pytest", *(arguments.arguments or SIDE_BY_SIDE)])
    return code or int(bool(failed))


def lint(_: argparse.Namespace) -> int:
    """Style, types and the direction of imports."""
    ensure_installed("dev")
    return int(bool(_failed_checks()))


def bench(arguments: argparse.Namespace) -> int:
    """List the benchmarks, or run one."""
    found = {f.stem: f for f in sorted((ROOT / "benchmarks").glob("*.py")) if not f.name.startswith("_")}
    if arguments.name is None:
        say("\n".join(f"{name:<12} {_first_line(file)}" for name, file in found.items()))
        return 0
    if arguments.name not in found:
        raise Stop(f"There is no benchmark {arguments.name!r}; there are {', '.join(found)}.", 2)
    ensure_installed("app")
    return run([venv_python(), found[arguments.name], *arguments.arguments])


def explain(arguments: argparse.Namespace) -> int:
    """What would happen to a loop of the running local cloud now, and what is missing for it."""
    folder = _cloud_folder(arguments)
    if running(folder) is None:
        raise Stop("No local cloud runs: start it with `python3 dev.py serve` or `demo`, in another terminal.", 3)
    try:
        client = Client(folder)
        say("\n".join(client.explain(arguments.loop)))
    except Refused as error:
        raise Stop(f"{error}{_loops_there(client) if error.status == NOT_FOUND else ''}") from None
    except (Unreachable, FileNotFoundError) as error:
        raise Stop(str(error)) from None
    return 0


def _loops_there(client: Client) -> str:
    names = client.loops()
    return f"\nLoops that there are: {', '.join(names)}" if names else "\nThere is no loop yet."


def check_data(arguments: argparse.Namespace) -> int:
    """Everything that is wrong with a folder of images and labels, or with one label file."""
    with contextlib.redirect_stdout(sys.stderr):  # what --json prints is for programs
        ensure_installed("app")
    target = Path(arguments.target).resolve()
    given = {"--task": arguments.task, "--classes": arguments.classes}
    options = [part for name, value in given.items() if value is not None for part in (name, value)]
    switches = [f"--{name}" for name in ("json", "strict") if getattr(arguments, name)]
    return run([venv_python(), "-m", "devtools.checking", target, *options, *switches])


def upload(arguments: argparse.Namespace) -> int:
    """A folder into a loop's, here or in Azure."""
    ensure_installed("app")
    given = {"--account": arguments.account, "--container": arguments.container, "--threads": arguments.threads}
    options = [part for name, value in given.items() if value is not None for part in (name, str(value))]
    switches = ["--dry-run"] if arguments.dry_run else []
    where = [Path(arguments.target).resolve(), arguments.loop, "--cloud", _cloud_folder(arguments)]
    return run([venv_python(), "-m", "devtools.uploading", *where, *options, *switches])


def check(_: argparse.Namespace) -> int:
    """See whether this machine can run everything."""
    return doctor.main()


def clean(arguments: argparse.Namespace) -> int:
    """Remove the local cloud's state, and with --all what was installed."""
    folder = _cloud_folder(arguments)
    owner = running(folder)
    if owner is not None:
        raise Stop(f"The local cloud on {shown(folder)} runs (process {owner}): end it first, with Ctrl-C.", 3)
    doomed = [f for f in (folder, *((VENV, LOCAL) if arguments.all else ())) if f.exists()]
    if not doomed:
        say("There is nothing to remove.")
        return 0
    _check_is_ours(folder)
    names = ", ".join(map(shown, doomed))
    if not arguments.yes and not _agreed(f"Remove {names}, with all that is in it? [y/N] "):
        say("Nothing was removed.")
        return 1
    for target in doomed:
        with step(f"removing {shown(target)}"):
            shutil.rmtree(target)
    return 0


def _cloud_folder(arguments: argparse.Namespace) -> Path:
    folder = Path(arguments.folder).resolve() if arguments.folder else CLOUD
    if folder.exists() and not folder.is_dir():
        raise Stop(f"{folder} is a file: --folder takes a folder, which is made where there is none.", 2)
    return folder


def _check_is_ours(folder: Path) -> None:
    """`--folder` is typed by hand: a folder that is no local cloud's is left alone."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "keys.json").exists():
        raise Stop(f"{folder} does not look like a local cloud's folder (no keys.json): remove it yourself.", 2)


def _agreed(question: str) -> bool:
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        say()
        return False


def _options(arguments: argparse.Namespace) -> list[str]:
    return ["--chaos", arguments.chaos] if arguments.chaos else []


def _drawing(name: str) -> Path:
    """The program that draws an example's data."""
    found = {f.parent.name: f for f in sorted((ROOT / "examples").glob("*/draw.py"))}
    if name not in found:
        raise Stop(f"There is no example {name!r}; there are {', '.join(found)}.", 2)
    return found[name]


def _drawn(drawing: Path, folder: Path, seed: int | None) -> Path:
    """The folder of an example's data: images, loop.yaml and training script."""
    target = folder / "examples" / drawing.parent.name
    code = run([venv_python(), drawing, target, *([] if seed is None else ["--seed", str(seed)])])
    if code:
        raise Stop(f"{shown(drawing)} ended with {code}.")
    return target


def _check_demo(arguments: argparse.Namespace) -> None:
    """What the demonstration would refuse only once everything is installed and started."""
    data = None if arguments.data is None else Path(arguments.data)
    if data is not None and not data.is_dir():
        raise Stop(f"There is no folder {data}: --data takes a folder of images and labels.", 2)
    if data is not None and not any(map(is_image, visible_files(data))):
        raise Stop(f"{data} holds no images ({', '.join(sorted(IMAGES))}).", 2)
    if arguments.loop is not None and not LOOP.fullmatch(arguments.loop):
        raise Stop(f"'{arguments.loop}' is not a loop's name: {LOOP_RULE}.", 2)


def _demo_options(arguments: argparse.Namespace, folder: Path) -> list[str]:
    data = Path(arguments.data).resolve() if arguments.data is not None else None  # the child runs in our folder
    given = {"--data": data, "--loop": arguments.loop, "--seed": arguments.seed}
    pairs = [part for name, value in given.items() if value is not None for part in (name, str(value))]
    switches = [f"--{name}" for name in ("fast", "once") if getattr(arguments, name)]
    return ["--folder", str(folder), *pairs, *switches]


@contextlib.contextmanager
def _until_interrupted(is_error: bool = False) -> Iterator[None]:
    """Ctrl-C is how serving is meant to end, and no error, unless an end of its own was asked for."""
    try:
        yield
    except KeyboardInterrupt:
        if is_error:
            raise


def _stay(cloud: LocalCloud, client: Client) -> int:
    over = threading.Event()
    telling = threading.Thread(target=follow, args=(client, over), daemon=True)
    telling.start()
    try:
        return cloud.wait()
    finally:
        over.set()


def _failed_checks() -> list[str]:
    """Names of the checks that found something, each with its words shown."""
    scripts = venv_python().parent
    checks: dict[str, Command] = {
        "ruff check": [venv_python(), "-m", "ruff", "check", "."],
        "ruff format": [venv_python(), "-m", "ruff", "format", "--check", "."],
        "mypy": [venv_python(), "-m", "mypy"],
        "import-linter": [scripts / "lint-imports"],
    }
    return [name for name, command in checks.items() if not _passes(name, command)]


def _passes(name: str, command: Command) -> bool:
    log = LOGS / f"{name.replace(' ', '-')}.log"
    with contextlib.suppress(_CheckFailed), step(name):
        if run_logged(command, log) == 0:
            return True
        raise _CheckFailed
    say(log.read_text(encoding="utf-8"))
    return False


class _CheckFailed(Exception):
    """A check found something."""


def _first_line(file: Path) -> str:
    words = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return words.partition("\n")[0]
