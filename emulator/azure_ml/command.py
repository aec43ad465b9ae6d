"""Command jobs: the user's own code, run in a subprocess of this Python with its inputs downloaded."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from emulator.azure_ml.errors import AzureError, JobFailed, user_error
from emulator.azure_ml.processes import end_tree

if TYPE_CHECKING:
    from emulator.azure_ml.runner import Runner
    from emulator.azure_ml.store import Body

PROCESS_FILE = "command.process"
METRICS = Path("outputs", "metrics.json")
ROWS_FILE = "annotations.jsonl"
TABLE = f"""\
type: mltable
paths: [{{file: ./{ROWS_FILE}}}]
transformations:
  - read_json_lines: {{encoding: utf8, invalid_lines: error, include_path_column: false}}
"""
_PLACEHOLDER = re.compile(r"\$\{\{(inputs|outputs)\.(\w+)\}\}")


def run_command(runner: Runner, name: str, body: Body) -> None:
    """Run a command job to its end; its output is the job's log, its model the folder outputs/mlflow-model.

    Raises:
        JobFailed: the command ended with another code than 0.
    """
    properties, folder = body["properties"], runner.folder(name)
    _end_left_over(folder / PROCESS_FILE)
    code = folder / "code"
    code.mkdir(parents=True, exist_ok=True)
    if properties.get("codeId"):
        runner.download_code(str(properties["codeId"]), code)
    (code / "outputs").mkdir(exist_ok=True)
    command = _PLACEHOLDER.sub(lambda m: shlex.quote(_value(runner, folder, properties, m)), properties["command"])
    environment = {**os.environ, **(properties.get("environmentVariables") or {}), "AZUREML_RUN_ID": name}
    paths = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    with (folder / "user.log").open("wb") as out:
        # a command job is a shell line by its contract
        process = subprocess.Popen(  # noqa: S602
            command,
            shell=True,
            cwd=code,
            env={**environment, "PATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _remember(folder / PROCESS_FILE, process.pid)
        limit = (properties.get("limits") or {}).get("timeout")
        runner.follow(name, process, limit, lambda: _look(runner, name, code / METRICS))
    if runner.is_over(name):
        return
    if process.returncode != 0:
        last = (folder / "user.log").read_text(errors="replace").splitlines()[-5:]
        raise JobFailed("UserError", f"The command ended with {process.returncode}: {' | '.join(last)[:500]}")
    runner.note_metrics(name, read_metrics(code / METRICS))
    model = code / "outputs" / "mlflow-model"
    if (model / "MLmodel").exists():
        runner.note_model(name, model)


def _look(runner: Runner, name: str, file: Path) -> None:
    """Show what the script has told so far; it may be writing just now, and is not refused before its end."""
    with contextlib.suppress(AzureError):
        runner.note_metrics(name, read_metrics(file))


def read_metrics(file: Path) -> dict[str, list[float]]:
    """What a script reports of its model, the local cloud's stand-in for `mlflow.log_metric`.

    Each metric is a number, or a list of numbers, one an epoch.

    Raises:
        AzureError: the file is there and holds something else.
    """
    if not file.exists():
        return {}
    try:
        found = json.loads(file.read_bytes())
        return {str(name): _numbers(value) for name, value in found.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        told = 'an object of numbers, or lists of one an epoch, such as {"accuracy": [0.5, 0.9]}'
        raise user_error(f"outputs/metrics.json: expected {told}") from None


def _numbers(value: object) -> list[float]:
    return [_number(one) for one in value] if isinstance(value, list) else [_number(value)]


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("no number")
    return float(value)


def _remember(file: Path, pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        file.write_text(f"{pid} {psutil.Process(pid).create_time()}")


def _end_left_over(file: Path) -> None:
    """End the command that outlived a power cut, so that the job does not run twice at once."""
    try:
        pid, born = file.read_text().split()
        process = psutil.Process(int(pid))
        if process.create_time() == float(born):
            end_tree(process.pid)
            process.wait(5)
    except (OSError, ValueError, psutil.Error):
        return


def _value(runner: Runner, folder: Path, properties: dict[str, Any], match: re.Match[str]) -> str:
    kind, key = match.groups()
    if kind == "outputs":
        target = folder / "outputs" / key
        target.mkdir(parents=True, exist_ok=True)
        return str(target)
    given = (properties.get("inputs") or {}).get(key)
    if given is None:
        raise user_error(f"The command names the input {key}, which the job does not have")
    if given.get("jobInputType") == "literal":
        return str(given["value"])
    target = folder / "inputs" / key
    if given.get("jobInputType") == "mltable":
        return str(_table(runner.table_rows(str(given["uri"])), target))
    return str(runner.download_input(str(given["uri"]), target))


def _table(rows: list[dict[str, Any]], target: Path) -> Path:
    """An MLTable folder like the asset's, all of whose images are local files."""
    target.mkdir(parents=True, exist_ok=True)
    (target / "MLTable").write_text(TABLE)
    with (target / ROWS_FILE).open("w") as out:
        for row in rows:
            details = {"width": row["width"], "height": row["height"]}
            out.write(json.dumps({"image_url": row["image"], "image_details": details, "label": row["label"]}) + "\n")
    return target
