"""Uploads a folder into a loop; ends with 0 where all of it is there, 1 where something is not, 2 for misuse."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devtools.client import Client
from devtools.cloud import running
from devtools.console import Stop, numbered, say, step, tolerant_output
from devtools.folders import loop_files
from devtools.uploading.files import Local, Remote, Tally, is_there
from devtools.uploading.transfer import NotSignedIn, container, listed, sentence, transfer
from services.errors import BadRequest
from services.names import check_loop_name
from services.settings import Settings

MISUSE = 2
MOST_SHOWN = 20
SIGN_IN = "Nobody is signed in to Azure here: run `az login`, then the same command again."


@dataclass(frozen=True, slots=True)
class Target:
    """Where to: the blob service's address, and the container."""

    account: str
    container: str


def main(argv: Sequence[str]) -> int:
    """Upload one folder; returns the exit code."""
    tolerant_output()
    arguments = _parser().parse_args(argv)
    try:
        files = _files(Path(arguments.folder), check_loop_name(arguments.loop))
        return _run(arguments, _target(arguments), files)
    except NotSignedIn:
        print(SIGN_IN, file=sys.stderr)
        return 1
    except (Stop, BadRequest) as error:
        print(error, file=sys.stderr)
        return getattr(error, "code", MISUSE) if isinstance(error, Stop) else MISUSE
    except KeyboardInterrupt:
        say("\nInterrupted: the same command goes on where this one ended.")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py upload")
    parser.add_argument("folder")
    parser.add_argument("loop")
    parser.add_argument("--account")
    parser.add_argument("--container", default=Settings.model_fields["data_container"].default)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--cloud", type=Path)
    return parser


def _files(folder: Path, loop: str) -> list[Local]:
    """Images, then the rest, so that most labels find their image there."""
    if not folder.is_dir():
        raise Stop(f"There is no folder {folder}.", MISUSE)
    found = [Local(f"{loop}/{path}", file, file.stat().st_size) for path, file in loop_files(folder).items()]
    if not found:
        raise Stop(f"{folder} holds no files.", MISUSE)
    return sorted(found, key=lambda f: (not f.blob.startswith(f"{loop}/images/"), f.blob))


def _target(arguments: argparse.Namespace) -> Target:
    """Azure where an account is named, else the local cloud that runs, whose environment is taken over."""
    if arguments.account:
        account = arguments.account.rstrip("/")
        url = account if account.startswith("https://") else f"https://{account}.blob.core.windows.net"
        return Target(url, arguments.container)
    if running(arguments.cloud) is None:
        why = "No local cloud runs: start it with `python3 dev.py serve` in another terminal, or give --account."
        raise Stop(why, 3)
    environment = Client(arguments.cloud).environment
    os.environ.update(environment)
    return Target(environment["DataStorage__blobServiceUri"], environment["VISIONLOOP_DATA_CONTAINER"])


def _run(arguments: argparse.Namespace, target: Target, files: Sequence[Local]) -> int:
    prefix = f"{arguments.loop}/"
    with container(target.account, target.container, max(1, arguments.threads)) as client:
        with step(f"looking at what {target.account}/{target.container}/{prefix} has"):
            remote = _asked(lambda: listed(client, prefix))
        if arguments.dry_run:
            return _dry_run(files, remote)
        with step(f"uploading {numbered(len(files), 'file')} of {arguments.folder}") as shown:

            def told(tally: Tally) -> None:
                shown.note = tally.shown()

            tally = transfer(client, files, remote, max(1, arguments.threads), told)
        say(tally.shown())
        with step("verifying"):
            remote = _asked(lambda: listed(client, prefix))
    code = _verdict(files, remote, tally, prefix)
    if not code and not arguments.account:
        say(f"`python3 dev.py explain {arguments.loop}` says what the loop makes of them, and what it waits for.")
    return code


def _asked(ask: Callable[[], dict[str, Remote]]) -> dict[str, Remote]:
    """A listing, or a sentence that says why there is none."""
    from azure.core.exceptions import AzureError

    try:
        return ask()
    except AzureError as error:
        raise Stop(f"The container cannot be listed: {sentence(error)}") from None


def _dry_run(files: Sequence[Local], remote: Mapping[str, Remote]) -> int:
    missing = [f for f in files if not is_there(f, remote)]
    size = sum(f.size for f in missing) / 1e6
    say(f"{len(missing):,} of {numbered(len(files), 'file')} would be uploaded, {size:,.1f} MB")
    for local in missing[:MOST_SHOWN]:
        say(f"  {local.blob}")
    if len(missing) > MOST_SHOWN:
        say(f"  … and {len(missing) - MOST_SHOWN:,} more")
    return 0


def _verdict(files: Sequence[Local], remote: Mapping[str, Remote], tally: Tally, prefix: str) -> int:
    """Count what is there now, by size and MD5, whatever was said before."""
    missing = [f.blob for f in files if not _has(remote, f, tally.md5.get(f.blob))]
    others = len(remote.keys() - {f.blob for f in files})
    beside = f", beside {numbered(others, 'other file')}" if others else ""
    say(f"{len(files) - len(missing):,} of {numbered(len(files), 'file')} are in {prefix}{beside}")
    for blob in missing[:MOST_SHOWN]:
        print(f"  {blob}: {tally.failed.get(blob, 'it is not there, or is another file')}", file=sys.stderr)
    if len(missing) > MOST_SHOWN:
        print(f"  … and {len(missing) - MOST_SHOWN:,} more", file=sys.stderr)
    if missing:
        print("The same command uploads what is missing.", file=sys.stderr)
    return int(bool(missing))


def _has(remote: Mapping[str, Remote], local: Local, md5: str | None) -> bool:
    found = remote.get(local.blob)
    return found is not None and found.size == local.size and found.md5 == md5


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
