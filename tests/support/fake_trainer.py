"""Speaks the trainer's protocol without learning: the trial with the highest learning rate is best.

Hyperparameters steer it: `fail` (a message) fails the job, `pause` (seconds) lengthens each epoch, `until` (a path) has
it wait after an epoch until there is such a file.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

EPOCHS = 3


def say(**event: Any) -> None:
    print(json.dumps(event), flush=True)


def metrics_of(job: dict[str, Any], trial: dict[str, Any], epoch: int) -> dict[str, float]:
    rate = float(trial["hyperparameters"].get("learning_rate", 0.005))
    return {job["primary_metric"]: round(rate * 10 + epoch / 100, 6), "train_loss": 1 / epoch}


def run_trial(job: dict[str, Any], trial: dict[str, Any], folder: Path) -> dict[str, float]:
    name, metrics = trial["name"], {}
    say(event="trial_started", trial=name)
    for epoch in range(1, EPOCHS + 1):
        time.sleep(float(trial["hyperparameters"].get("pause", 0)))
        metrics = metrics_of(job, trial, epoch)
        say(event="epoch", trial=name, epoch=epoch, epochs=EPOCHS, metrics=metrics)
        while not Path(trial["hyperparameters"].get("until", "/")).exists():
            time.sleep(0.02)
    model = folder / "trials" / name / "mlflow-model"
    shutil.rmtree(model, ignore_errors=True)
    model.mkdir(parents=True)
    (model / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: none\n")
    (model / "manifest.json").write_text(json.dumps({"task": job["task"], "classes": ["cat"], "metrics": metrics}))
    say(event="trial_completed", trial=name, metrics=metrics, model=str(model), terminated_early=False)
    return metrics


def main() -> int:
    folder = Path(sys.argv[-1])
    job = json.loads((folder / "job.json").read_text())
    say(event="started")
    with (folder / "starts").open("a") as starts:
        starts.write("started\n")
    for row in job["train"] + job["validation"]:
        assert Path(row["image"]).read_bytes(), row
    failure = next((t["hyperparameters"]["fail"] for t in job["trials"] if "fail" in t["hyperparameters"]), None)
    if failure:
        say(event="failed", error={"code": "UserError", "message": failure})
        return 1
    say(event="features", done=len(job["train"]), total=len(job["train"]))
    found = {t["name"]: run_trial(job, t, folder) for t in job["trials"]}
    best = max(found, key=lambda name: found[name][job["primary_metric"]])
    say(event="completed", best_trial=best, metrics=found[best])
    return 0


if __name__ == "__main__":
    sys.exit(main())
