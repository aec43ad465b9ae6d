"""The command line of `dev.py`."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Iterable, Sequence

from devtools import commands, mutation
from devtools.console import Stop, say, tolerant_output
from devtools.processes import end_on_signals

INTERRUPTED = 130
MOST_THREADS = 64
EPILOG = """\
The first run of a command installs what it needs into .venv and .local (minutes, with network); later runs start in
seconds. The state of the local cloud is kept in .visionloop. Outside this folder only pip and npm keep their caches.
"""


def main(argv: Sequence[str]) -> int:
    """Run one command; returns the exit code: 2 wrong usage, 3 already running, 4 port taken, 130 interrupted."""
    tolerant_output()
    end_on_signals()
    top = parser()
    _check_command(top, argv)
    arguments, rest = top.parse_known_args(argv)
    if rest and not hasattr(arguments, "arguments"):
        top.error(_unknown(_commands(top)[arguments.command], arguments.command, rest))
    if hasattr(arguments, "arguments"):
        arguments.arguments = rest
    return _run(arguments.run, arguments)


def _check_command(top: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """A misspelt command gets the one that was meant, where argparse would list all of them."""
    word, names = next(iter(argv), "-"), _commands(top)
    if not word.startswith("-") and word not in names:
        top.error(f"there is no command {word}{_meant(word, names)}; `python3 dev.py --help` lists them")


def _unknown(command: argparse.ArgumentParser, name: str, rest: Sequence[str]) -> str:
    """Only what looks like an option is named: the value after it may have taken another one's place."""
    options = [word.partition("=")[0] for word in rest if word.startswith("-")] or list(rest)
    known = command._option_string_actions  # noqa: SLF001  # argparse lists its options nowhere else
    perhaps = "".join(_meant(word, known) for word in options[:1])
    return f"{name} does not know {' '.join(options)}{perhaps}; `python3 dev.py {name} --help` lists what it knows"


def _meant(word: str, names: Iterable[str]) -> str:
    """As `services.query.meant`; nothing of the product is imported here."""
    close = difflib.get_close_matches(word, list(names), 1, cutoff=0.7)
    return f" (did you mean {close[0]}?)" if close else ""


def _commands(top: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = next(a for a in top._actions if isinstance(a, Commands))  # noqa: SLF001  # as above
    return dict(found.choices)


def _run(command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    try:
        return command(arguments)
    except Stop as stop:
        print(f"\n{stop}", file=sys.stderr, flush=True)
        return stop.code
    except OSError as error:
        print(f"\n{_sentence(error)}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted.")
        return INTERRUPTED


def _sentence(error: OSError) -> str:
    """What the system refused, and where: a full disk, a folder of somebody else."""
    where = f": {error.filename}" if error.filename else ""
    return f"The system refused: {error.strerror or error}{where}. `python3 dev.py doctor` looks for the cause."


def parser() -> argparse.ArgumentParser:
    """All commands with their explanations."""
    top = argparse.ArgumentParser(
        prog="dev.py",
        description="Visionloop on your own machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _demo(found)
    _serve(found)
    _explain(found)
    _check(found)
    _upload(found)
    _test(found)
    _add(found, "lint", commands.lint, "Run ruff, mypy --strict and import-linter over everything.")
    _mutate(found)
    _bench(found)
    _add(found, "doctor", commands.check, "Look at versions, disk, memory and ports; say what is missing and the cure.")
    _clean(found)
    return top


Commands = argparse._SubParsersAction  # noqa: SLF001  # argparse gives its own helper no public name


def _add(
    found: Commands[argparse.ArgumentParser], name: str, run: Callable[[argparse.Namespace], int], explained: str
) -> argparse.ArgumentParser:
    command = found.add_parser(name, help=explained, description=explained, allow_abbrev=False)
    command.set_defaults(run=run)
    return command


def _demo(found: Commands[argparse.ArgumentParser]) -> None:
    demo = _add(
        found,
        "demo",
        commands.demo,
        "Start the local cloud, upload a drawn data set (or your own) and watch the loop close: dataset version, "
        "training, rollout, prediction.",
    )
    demo.add_argument("--once", action="store_true", help="end after the prediction; 0 only if the loop closed")
    data = demo.add_mutually_exclusive_group()
    data.add_argument("--data", metavar="FOLDER", help="your images with labels in any format that the app reads")
    data.add_argument("--example", metavar="NAME", help="a folder of examples/, such as hand_signs: a loop of its own")
    demo.add_argument("--loop", metavar="NAME", help="name of the loop (default: conveyor, or the folder's name)")
    demo.add_argument("--seed", type=int, help="of the drawn data set, and of what is held out of a folder")
    demo.add_argument("--fast", action="store_true", help="a smaller set and fewer epochs: sooner, and less precise")
    _cloud_options(demo)


def _serve(found: Commands[argparse.ArgumentParser]) -> None:
    serve = _add(
        found,
        "serve",
        commands.serve,
        "Start the local cloud with the app, without data; shows addresses, keys and what the loops do.",
    )
    serve.add_argument("--chaos", metavar="HOW", help="disturb events: copies=3,shuffle=5,drop=0.2,seed=1")
    _cloud_options(serve)


def _explain(found: Commands[argparse.ArgumentParser]) -> None:
    explain = _add(
        found,
        "explain",
        commands.explain,
        "Say what a loop of the running local cloud would do now, and what it lacks for it: registration, training, "
        "promotion, rollout.",
    )
    explain.add_argument("loop", metavar="LOOP", help="name of the loop")
    explain.add_argument("--folder", metavar="FOLDER", help="the local cloud's folder (default: .visionloop)")


def _check(found: Commands[argparse.ArgumentParser]) -> None:
    check = _add(
        found,
        "check",
        commands.check_data,
        "Say what is wrong with images and labels before they are uploaded, by the app's own code. Ends with 0 where "
        "there is no error, 1 where there is one, 2 where there is nothing to check.",
    )
    check.add_argument("target", metavar="FOLDER", help="images and labels, as you have them; or a single label file")
    check.add_argument("--task", help="object_detection, image_classification, …; default: loop.yaml, or the labels")
    check.add_argument("--classes", metavar="A,B,C", help="the classes that are meant; default: loop.yaml, or all")
    check.add_argument("--json", action="store_true", help="the whole report as JSON")
    check.add_argument("--strict", action="store_true", help="warnings end with 1 too")


def _upload(found: Commands[argparse.ArgumentParser]) -> None:
    upload = _add(
        found,
        "upload",
        commands.upload,
        "Upload images and labels into a loop of the running local cloud, or of Azure with --account: several at once, "
        "without what is there already. Ends with 0 where all of the folder is there.",
    )
    upload.add_argument("target", metavar="FOLDER", help="images and labels, as you have them, and loop.yaml")
    upload.add_argument("loop", metavar="LOOP", help="name of the loop")
    upload.add_argument("--account", metavar="NAME", help="storage account, or its https address; uses `az login`")
    upload.add_argument("--container", metavar="NAME", help="the account's data container (default: visionloop-data)")
    upload.add_argument("--threads", metavar="N", type=_threads, help="files at once, 1 to 64 (default: 8)")
    upload.add_argument("--dry-run", action="store_true", help="say what would be uploaded")
    upload.add_argument("--folder", metavar="FOLDER", help="the local cloud's folder (default: .visionloop)")


def _threads(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_THREADS):
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 to {MOST_THREADS}")
    return int(text)


def _test(found: Commands[argparse.ArgumentParser]) -> None:
    test = _add(
        found,
        "test",
        commands.test,
        "Run the checks of lint, then the test suite; other arguments go to pytest (such as -k rollout).",
    )
    test.add_argument("--no-lint", action="store_true", help="tests only")
    test.add_argument(
        "--deep", action="store_true", help="an hour of 100,000 hostile inputs a parser and 2,000 histories"
    )
    test.add_argument(
        "--label-studio", action="store_true", help="install Label Studio (1 GB) and connect it, instead: minutes"
    )
    test.set_defaults(arguments=[])


def _mutate(found: Commands[argparse.ArgumentParser]) -> None:
    mutate = _add(
        found,
        "mutate",
        mutation.command,
        "Change the decisions' code in small ways, one at a time, and see whether their tests notice; lists those that "
        "they do not. Ends with 0 where enough are noticed. Ten minutes.",
    )
    mutate.add_argument("only", metavar="NAME", nargs="*", help="mutants or patterns: 'services.decisions.budget.*'")
    mutate.add_argument("--children", metavar="N", type=int, default=2, help="mutants tried at once (default: 2)")


def _bench(found: Commands[argparse.ArgumentParser]) -> None:
    bench = _add(found, "bench", commands.bench, "Run a benchmark; without a name, list them.")
    bench.add_argument("name", nargs="?")
    bench.set_defaults(arguments=[])


def _clean(found: Commands[argparse.ArgumentParser]) -> None:
    clean = _add(found, "clean", commands.clean, "Remove the local cloud's state: loops, models, everything uploaded.")
    clean.add_argument("--all", action="store_true", help="also what was installed: .venv and .local")
    clean.add_argument("--yes", action="store_true", help="do not ask")
    clean.add_argument("--folder", metavar="FOLDER", help="the local cloud's folder (default: .visionloop)")


def _cloud_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--folder", metavar="FOLDER", help="where all state is kept (default: .visionloop)")
    command.add_argument(
        "--ports", choices=["default", "auto"], default="default", help="auto: free ports, kept for this folder"
    )
