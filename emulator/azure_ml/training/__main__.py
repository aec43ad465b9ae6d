"""`python -m emulator.azure_ml.training JOBDIR`: run the trials of JOBDIR/job.json, best model last.

Trials run one after another: on two cores that is faster than side by side, and an early stop knows more.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from emulator.azure_ml.training import parameters, policies, views
from emulator.azure_ml.training.features import Extractor, Sample
from emulator.azure_ml.training.job import Canceled, Job, Metrics, Trial, UserError, read_job, say
from emulator.lifetime import end_with_parent


class Training:
    """One job."""

    def __init__(self, job: Job) -> None:
        """Nothing is extracted or learnt yet."""
        self._job, self._cancelled = job, False
        self._settings = {
            t.name: parameters.read(t.hyperparameters, detection=job.is_detection, seed=job.seed) for t in job.trials
        }
        self._policy = policies.Policy(job.policy)
        self._best: tuple[float, Trial, Any, Metrics] | None = None

    def cancel(self) -> None:
        """End at the next chance."""
        self._cancelled = True

    def run(self) -> None:
        """All trials; says what happens.

        Raises:
            UserError: the data cannot be used.
            Canceled: the job was told to end.
        """
        say("started")
        train, validation = self._extract()
        for trial in self._job.trials:
            if self._best is not None and time.monotonic() > self._job.deadline:
                say("trial_failed", trial=trial.name, error={"code": "UserError", "message": "The time is over"})
                continue
            self._try(trial, train, validation)
        if self._best is None:
            raise UserError("No trial ended with a model")
        _, trial, _, metrics = self._best
        say("completed", best_trial=trial.name, metrics=metrics)

    @property
    def _size(self) -> int:
        from emulator.azure_ml.training import classification, detection

        return detection.SIZE if self._job.is_detection else classification.SIZE

    def _extract(self) -> tuple[list[list[Sample]], list[list[Sample]]]:
        most = max(s.views for s in self._settings.values())
        flips = any(s.flips for s in self._settings.values())
        extractor = Extractor(self._job.cache, self._job.threads, lambda: self._cancelled)
        every, plain = views.specs(most, self._size, flips=flips), views.specs(0, self._size, flips=False)
        rest = len(self._job.validation)

        def progress(offset: int) -> Callable[[int, int], None]:
            return lambda done, total: say("features", done=offset + done, total=offset + total)

        validation = extractor.samples(self._job.validation, plain, progress(0))
        return extractor.samples(self._job.train, every, progress(rest)), validation

    def _try(self, trial: Trial, train: list[list[Sample]], validation: list[list[Sample]]) -> None:
        from emulator.azure_ml.training import classification, detection, export

        say("trial_started", trial=trial.name)
        self._policy.begin()
        ends = min(time.monotonic() + self._job.trial_seconds, self._job.deadline)
        seen: dict[str, Any] = {"metrics": {}, "early": False}
        settings, classes = self._settings[trial.name], len(self._job.classes)

        def told(epoch: int, metrics: Metrics) -> bool:
            say("epoch", trial=trial.name, epoch=epoch, epochs=settings.epochs, metrics=metrics)
            if self._cancelled:
                raise Canceled
            if self._job.metric not in metrics:
                return time.monotonic() < ends
            seen["metrics"] = metrics
            seen["early"] = self._policy.stops(metrics[self._job.metric])
            return not seen["early"] and time.monotonic() < ends

        if self._job.is_detection:
            head: Any = detection.fit(train, validation, self._job.validation, classes, settings, told)
        else:
            multilabel = self._job.task == "image_classification_multilabel"
            head = classification.fit(train, validation, classes, settings, told, multilabel=multilabel)
        metrics: Metrics = seen["metrics"]
        folder = export.write(self._job, trial, head, self._size, metrics)
        ended = {"metrics": metrics, "model": str(folder), "terminated_early": bool(seen["early"])}
        say("trial_completed", trial=trial.name, **ended)
        value = metrics.get(self._job.metric, 0.0)
        if self._best is None or value > self._best[0]:
            self._best = (value, trial, head, metrics)


def main() -> int:
    """Run; the exit code is 0 only where a model came out."""
    parser = argparse.ArgumentParser(prog="python -m emulator.azure_ml.training", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of job.json")
    folder: Path = parser.parse_args().folder
    end_with_parent()
    try:
        job = read_job(folder.resolve())
        os.environ["OMP_NUM_THREADS"] = str(job.threads)
        training = Training(job)
        signal.signal(signal.SIGTERM, lambda *_: _cancel(training))
        training.run()
    except UserError as error:
        say("failed", error={"code": "UserError", "message": str(error)})
        return 1
    except Canceled:
        return 2
    return 0


def _cancel(training: Training) -> None:
    """End at the next epoch, or at the latest in a moment: the alarm's default action ends the process."""
    training.cancel()
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 1.5)


if __name__ == "__main__":
    sys.exit(main())
