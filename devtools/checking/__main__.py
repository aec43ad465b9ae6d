"""Prints what is wrong with a folder of images and labels; ends with 0 where nothing is, 1 for errors, 2 for misuse."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from devtools.checking.look import Checked, NothingThere, look
from devtools.checking.show import lines
from devtools.console import Stop, say, step, tolerant_output
from services.errors import ConfigError
from services.loop_config import Task

MISUSE = 2


def main(argv: Sequence[str]) -> int:
    """Check one folder or label file; returns the exit code."""
    tolerant_output()
    arguments = _parser().parse_args(argv)
    try:
        found = _look(arguments).document(arguments.target)
    except ValidationError as error:
        print("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()), file=sys.stderr)
        return MISUSE
    except (NothingThere, ConfigError, Stop) as error:
        print(error, file=sys.stderr)
        return MISUSE
    if arguments.json:
        print(json.dumps(found, indent=1))
    else:
        say("\n".join(lines(found)))
    counts = found["by_severity"]
    return int(bool(counts["error"] or (arguments.strict and counts["warning"])))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py check")
    parser.add_argument("target")
    parser.add_argument("--task", choices=get_args(Task))
    parser.add_argument("--classes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--strict", action="store_true")
    return parser


def _look(arguments: argparse.Namespace) -> Checked:
    target = Path(arguments.target)
    if not target.exists():
        raise Stop(f"There is no folder or label file {target}.", MISUSE)
    overrides = _overrides(arguments)
    if arguments.json:
        return look(target, overrides, lambda *_: None)
    with step(f"reading {target}") as shown:

        def told(done: int, of: int) -> None:
            shown.note = f"{done} of {of} files"

        return look(target, overrides, told)


def _overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    given = {"task": arguments.task}
    if arguments.classes is not None:
        given["classes"] = [name for text in arguments.classes.split(",") if (name := text.strip())]
    return {name: value for name, value in given.items() if value is not None}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
