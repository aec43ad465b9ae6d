"""`python -m emulator.azure_ml.training JOBDIR`: run the trials of JOBDIR/job.json, best model last.

Trials run one after another: on two cores that is faster than side by side, and an early stop knows more.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from emulator.azure_ml.training import parameters, policies, views
from emulator.azure_ml.training.features import Extractor, Sample
from emulator.azure_ml.training.job import Canceled, Job, Metrics, Trial, UserError, read_job, say
from emulator.lifetime import end_with_parent

if TYPE_CHECKING:
    from emulator.azure_ml.training.classification import Classifier
    from emulator.azure_ml.training.head import Head

Samples = list[list[Sample]]


@dataclass(frozen=True, slots=True)
class _Best:
    value: float
    trial: str
    metrics: Metrics


class Training:
    """One job."""

    def __init__(self, job: Job) -> None:
        """Nothing is extracted or learnt yet."""
        self._job, self._cancelled = job, False
        self._settings = {
            t.name: parameters.read(t.hyperparameters, detection=job.is_detection, seed=job.seed) for t in job.trials
        }
        self._policy = policies.Policy(job.policy)
        self._best: _Best | None = None

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
                error = {"code": "UserError", "message": "The job's time was over before this trial began"}
                say("trial_failed", trial=trial.name, error=error)
            else:
                self._try(trial, train, validation)
        if self._best is None:
            raise UserError("There is no trial to run")
        say("completed", best_trial=self._best.trial, metrics=self._best.metrics)

    @property
    def _size(self) -> int:
        from emulator.azure_ml.training import classification, detection

        return detection.SIZE if self._job.is_detection else classification.SIZE

    def _extract(self) -> tuple[Samples, Samples]:
        most = max(s.views for s in self._settings.values())
        flips = any(s.flips for s in self._settings.values())
        extractor = Extractor(self._job.cache, self._job.threads)
        every, plain = views.specs(most, self._size, flips=flips), views.specs(0, self._size, flips=False)

        def progress(done: int, total: int) -> None:
            say("features", done=done, total=total)
            if self._cancelled:
                raise Canceled
            if time.monotonic() > self._job.deadline:
                raise UserError(f"The job's time was over after reading {done} of {total} images")

        train = extractor.samples(self._job.train, every, progress)
        return train, extractor.samples(self._job.validation, plain, progress)

    def _try(self, trial: Trial, train: Samples, validation: Samples) -> None:
        from emulator.azure_ml.training import export

        say("trial_started", trial=trial.name)
        watch = _Watch(self._job, trial, self._settings[trial.name].epochs, self._policy, lambda: self._cancelled)
        model = self._fit(trial, train, validation, watch)
        folder = export.write(self._job, trial, model, self._size, watch.metrics)
        ended = {"metrics": watch.metrics, "model": str(folder), "terminated_early": watch.stopped}
        say("trial_completed", trial=trial.name, **ended)
        value = watch.metrics[self._job.metric]
        if self._best is None or value > self._best.value:
            self._best = _Best(value, trial.name, watch.metrics)

    def _fit(self, trial: Trial, train: Samples, validation: Samples, watch: _Watch) -> Head | Classifier:
        from emulator.azure_ml.training import classification, detection

        settings, classes = self._settings[trial.name], len(self._job.classes)
        if self._job.is_detection:
            return detection.fit(train, validation, self._job.validation, classes, settings, watch)
        multilabel = self._job.task == "image_classification_multilabel"
        return classification.fit(train, validation, classes, settings, watch, multilabel=multilabel)


class _Watch:
    """Says a trial's epochs, and when it ends before its last one."""

    def __init__(
        self, job: Job, trial: Trial, epochs: int, policy: policies.Policy, is_cancelled: Callable[[], bool]
    ) -> None:
        self._job, self._trial, self._epochs, self._is_cancelled = job, trial, epochs, is_cancelled
        policy.begin()
        self._policy = policy
        self._ends = min(time.monotonic() + job.trial_seconds, job.deadline)
        self.metrics: Metrics = {}
        self.stopped = False

    def over(self) -> bool:
        if self._is_cancelled():
            raise Canceled
        return time.monotonic() > self._ends

    def told(self, epoch: int, metrics: Metrics) -> bool:
        say("epoch", trial=self._trial.name, epoch=epoch, epochs=self._epochs, metrics=metrics)
        if self._job.metric in metrics:
            self.metrics = metrics
            self.stopped = epoch < self._epochs and self._policy.stops(metrics[self._job.metric])
        return not self.stopped


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
    except Exception as error:  # noqa: BLE001  # whatever it is, the emulator is told; the trace is for the log
        traceback.print_exc()
        say("failed", error={"code": "SystemError", "message": f"The trainer failed: {type(error).__name__}: {error}"})
        return 1
    return 0


def _cancel(training: Training) -> None:
    """End at the next epoch, or at the latest in a moment: the alarm's default action ends the process."""
    training.cancel()
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 1.5)


if __name__ == "__main__":
    sys.exit(main())
