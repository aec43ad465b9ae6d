"""`python -m emulator up`: the laptop's Azure, until Ctrl-C."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from emulator.event_grid.settings import Chaos
from emulator.lifetime import end_with_parent
from emulator.state_files import BrokenFile
from emulator.storage.installation import InstallationError
from emulator.supervisor.cloud import ROOT, AlreadyRunning, DidNotStart, LocalCloud, Options
from emulator.supervisor.layout import Layout, PortTaken

ALREADY_RUNNING, PORT_TAKEN = 3, 4


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emulator", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start everything, and keep it running")
    up.add_argument("--folder", type=Path, default=ROOT / ".visionloop", help="where all state is kept")
    up.add_argument("--ports", choices=["default", "auto"], default="default")
    up.add_argument("--app", type=Path, default=ROOT, help="folder of function_app.py")
    up.add_argument("--no-app", action="store_true", help="everything but the Functions host")
    up.add_argument("--azurite", type=Path, default=ROOT / ".local" / "azurite", help="where Azurite is installed")
    up.add_argument("--schema", choices=["cloudevents", "eventgrid"], default="cloudevents")
    up.add_argument("--chaos", default="", help="copies=3,shuffle=5,delay=0,drop=0.2,seed=1")
    up.add_argument("--retry-scale", type=float, default=1, help="shorten Event Grid's retry schedule by this factor")
    return parser


def main() -> int:
    """Run; the exit code is 3 where a cloud already runs on the folder, 4 where a port is taken, 1 where it fails."""
    parser = _parser()
    arguments = parser.parse_args()
    try:
        Chaos.read(arguments.chaos)
    except ValueError as error:
        parser.error(str(error))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    ends = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ends.set())
    end_with_parent()
    options = Options(
        app=None if arguments.no_app else arguments.app.resolve(),
        azurite=arguments.azurite.resolve(),
        chaos=arguments.chaos,
        schema=arguments.schema,
        capture=os.environ.get("VISIONLOOP_EMULATOR_CAPTURE"),
        retry_scale=arguments.retry_scale,
    )
    try:
        return _run(LocalCloud(Layout.open(arguments.folder, arguments.ports), options), ends)
    except BrokenFile as error:
        return _say(str(error), 1)
    except OSError as error:
        return _say(f"The local cloud cannot use {error.filename or arguments.folder}: {error.strerror}", 1)


def _run(cloud: LocalCloud, ends: threading.Event) -> int:
    try:
        cloud.start(ends)
    except AlreadyRunning as error:
        return _say(str(error), ALREADY_RUNNING)
    except PortTaken as error:
        cloud.stop()
        return _say(str(error), PORT_TAKEN)
    except (InstallationError, DidNotStart) as error:
        cloud.stop()
        return _say(str(error), 1)
    try:
        if not ends.is_set():
            print("ready", flush=True)
        cloud.supervise(ends)
    finally:
        cloud.stop()
    return 0


def _say(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
