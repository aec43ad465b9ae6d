"""`python -m tests.support.faked_host FOLDER`: the product's app over fakes, by our host, on a free port of loopback.

A loop `cards` has something of each kind. What a caller needs is one line of JSON on the output: the address and keys.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

from services.cloud.fakes import FakeCloud
from services.names import state_blob
from services.training.trials import KeptRun, KeptTrial, place
from tests.support.in_process import KEY, Host, faked_host
from tests.support.predictions import loop_state, picture
from tests.support.stages import run, version


def furnish_loop(fakes: FakeCloud) -> None:
    """Give `cards` a dataset version, and a training run with its curve."""
    state = loop_state()
    state.datasets = [version()]
    state.runs = [run(metrics={"map50": 0.5})]
    fakes.system.write(state_blob("cards"), state.model_dump_json().encode())
    curve = KeptTrial(name="t_0", status="completed", metrics={"map50": [(1, 0.2), (2, 0.6)]})
    fakes.system.write(place("cards", 1), KeptRun(run=1, job="j", trials=[curve]).model_dump_json().encode())


def furnish(host: Host, fakes: FakeCloud) -> dict[str, Any]:
    """Give the loop `cards` one of each, and another of what may be removed; returns what they are called."""
    furnish_loop(fakes)
    hook = _made(host, "webhooks", url="https://receiver.example/")
    asked: dict[str, Any] = {"headers": {"prefer": "respond-async"}, "content": picture(40, 30)}
    later = host.ask("POST", "/api/loops/cards/predict", **asked).json()
    source = _made(host, "inbound", kind="label_studio", loop="cards")
    return {
        "key": KEY,
        "client": _made(host, "loops/cards/keys", scopes=["admin"])["key"],
        "label_studio": source["secret"],
        "delivery": _made(host, f"webhooks/{hook['id']}/test")["delivery"],
        "ids": {
            "webhooks": hook["id"], "inbound": source["id"], "label-studio": source["id"], "predictions": later["id"],
            "keys": _made(host, "loops/cards/keys")["id"],
        },
        "doomed": {
            "webhooks": _made(host, "webhooks", url="https://receiver.example/")["id"],
            "inbound": _made(host, "inbound", kind="generic", loop="cards")["id"],
            "keys": _made(host, "loops/cards/keys")["id"],
        },
    }  # fmt: skip


def _made(host: Host, path: str, **asked: object) -> dict[str, Any]:
    found: dict[str, Any] = host.ask("POST", f"/api/{path}", json=asked).json()
    return found


def main(folder: Path) -> None:
    """Serve until the process is ended."""
    # asyncio sends at once only on sockets that say TCP, and a client waits 40 ms for the rest of an answer otherwise
    with faked_host(folder) as (host, fakes), socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # whoever reads the address may ask before uvicorn is there
        found = furnish(host, fakes)
        print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}/api", **found}), flush=True)
        uvicorn.Server(uvicorn.Config(host.application, log_level="critical", access_log=False)).run(
            sockets=[listening]
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
