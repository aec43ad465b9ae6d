"""`python -m demo`: on a local cloud that runs, upload a data set and watch the loop close. Started by dev.py."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from demo.examples import Example
from demo.folder import Unusable, read_folder
from demo.scoring import Found, content_type, is_right, judge, predict
from demo.screen import Screen, screen
from demo.source import Source, Upload, drawn
from demo.uploading import upload
from demo.watching import NotClosed, Watch, is_closed
from devtools.client import Client, Refused, Unreachable

MOST_SECONDS = 3600
DRAWN_LOOP = "conveyor"
SHOWN_SCORE = 0.3
"""Less certain boxes are not worth a line; the app leaves them out of its picture too."""


class Failed(Exception):
    """The demonstration did not end as it should; the message says what is wrong."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="of the local cloud that runs")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--loop")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--once", action="store_true", help="the cloud ends with us: nobody can ask it after")
    return parser


def main() -> int:
    """Returns 0 where the loop closed and the prediction is right."""
    arguments = _parser().parse_args()
    console = Console()
    try:
        run(arguments, console)
    except (Failed, NotClosed, Unusable, Refused, Unreachable) as error:
        console.print(f"\n{error}", style="red", highlight=False, markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def run(arguments: argparse.Namespace, console: Console) -> None:
    """The whole demonstration."""
    client = Client(arguments.folder)
    os.environ.update(client.environment)
    with screen(console) as shown:
        source = read_source(arguments)
        shown.say(f"The data set: {source.described}.")
        already = is_closed(client.status(source.loop))
        started = time.monotonic()
        status = close_loop(client, source, shown, already=already)
        example = most_to_see(source.held_out)
        found = [f for f in predict(client, source.loop, example) if f.score >= SHOWN_SCORE]
        seconds = time.monotonic() - started
        picture = save_picture(client, source.loop, example, arguments.folder / "demo")
        marks = judge(client, source.loop, source.held_out, lambda n: shown.bar("judging", n, len(source.held_out)))
    console.print(table(example, found))
    tell(console, f"The picture with its boxes: {picture}")
    tell(console, f"On {marks.images} held-out images: {marks.told}")
    if not already:
        tell(console, f"From first upload to first prediction: {seconds:.0f} s")
    if not arguments.once:
        tell(console, f"Ask it yourself: {curl(client, source.loop, asked_image(picture.parent, example))}")
    check_closed(status, found, example)


def tell(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def read_source(arguments: argparse.Namespace) -> Source:
    """The user's folder, or what is drawn."""
    if arguments.data is not None:
        return read_folder(arguments.data, arguments.loop, arguments.seed, fast=arguments.fast)
    return drawn(arguments.loop or DRAWN_LOOP, arguments.seed, fast=arguments.fast)


def close_loop(client: Client, source: Source, shown: Screen, *, already: bool) -> dict[str, Any]:
    """Upload, and watch; a loop that is closed already, since state survives, is only shown."""
    if already:
        shown.say(f"The loop {source.loop} is live already: its state survives. `python3 dev.py clean` forgets it.")
        return client.status(source.loop)
    files = [Upload("loop.yaml", source.config), *source.uploads]
    upload(client.environment, source.loop, files, lambda n: shown.bar("uploading", n, len(files)))
    return Watch(client, source.loop, shown).until_closed(MOST_SECONDS)


def most_to_see(examples: Sequence[Example]) -> Example:
    """The image with most classes on it, then with most things."""
    return max(examples, key=lambda e: (len({t.name for t in e.things}), len(e.things), e.name))


def asked_image(folder: Path, example: Example) -> Path:
    """Where the image is that was asked about, whatever folder it came from."""
    return folder / f"asked-{Path(example.name).name}"


def save_picture(client: Client, loop: str, example: Example, folder: Path) -> Path:
    """The prediction as the app draws it; the image itself lies beside it, to be asked about again."""
    picture = folder / "prediction.png"
    folder.mkdir(parents=True, exist_ok=True)
    asked_image(folder, example).write_bytes(example.data)
    picture.write_bytes(client.predict(loop, example.data, content_type(example), render=True))
    return picture


def table(example: Example, found: Sequence[Found]) -> Table:
    """What was found on one image that the model had never seen."""
    shown = Table(title=f"Prediction for {example.name}", title_justify="left")
    for column in ("label", "score", "box (pixels)", "right"):
        shown.add_column(column, justify="right" if column == "score" else "left")
    for each in found:
        box = ", ".join(f"{edge:.0f}" for edge in each.box) if each.box else "all of it"
        shown.add_row(each.name, f"{each.score:.2f}", box, "yes" if is_right(each, example) else "no")
    return shown


def curl(client: Client, loop: str, image: Path) -> str:
    """A command that predicts by hand."""
    url = f"{client.urls['host']}/api/loops/{loop}/predict"
    return f"curl --data-binary {shlex.quote(f'@{image}')} -H 'x-functions-key: {client.key}' {url}"


def check_closed(status: dict[str, Any], found: Sequence[Found], example: Example) -> None:
    """A version, a job, a champion, and a right box.

    Raises:
        Failed: naming what is missing.
    """
    there = {
        "dataset version": bool(status.get("datasets")),
        "training job": bool(status.get("runs")),
        "champion": bool(status.get("champion")),
        "right answer": any(is_right(each, example) for each in found),
    }
    missing = [name for name, is_there in there.items() if not is_there]
    if missing:
        raise Failed(f"The loop did not close: no {', no '.join(missing)}")


if __name__ == "__main__":
    sys.exit(main())
