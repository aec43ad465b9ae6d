"""What the training policy is asked about, and what follows from it without deciding anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.decisions import budget
from services.decisions.budget import UNLISTED, Estimate, Machine
from services.state import DatasetVersion, LoopState, TrainingRun
from services.training_config import Training


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules are asked about."""

    state: LoopState
    config_hash: str
    """Hash of all that changes the trained model on the newest dataset version; empty where there is none."""
    now: datetime
    machine: Machine = UNLISTED
    """The size of machine that would train."""
    misfit: str = ""
    """Why the training settings do not fit the version's task, where they do not."""
    pace: str = ""
    """Hash of the settings that a run's duration depends on; empty where there is no version."""

    @property
    def policy(self) -> Training:
        """The loop's training settings."""
        return self.state.config.config.training

    @property
    def version(self) -> DatasetVersion | None:
        """The newest registered dataset version."""
        return self.state.dataset

    @property
    def trained(self) -> TrainingRun | None:
        """The last completed run of the same task; a model of another task cannot be retrained, only replaced."""
        version = self.version
        return next((r for r in reversed(self.state.runs) if version and self._same_task(r, version)), None)

    def _same_task(self, run: TrainingRun, version: DatasetVersion) -> bool:
        trained_on = self.version_of(run)
        return run.status == "completed" and trained_on is not None and trained_on.task == version.task

    @property
    def new(self) -> int:
        """Distinct images labelled, or labelled anew, since the last completed run."""
        version = self.version
        base = self.version_of(self.trained) if self.trained else None
        if version is None or (base is not None and base.content_hash == version.content_hash):
            return 0
        return version.new_since_trained

    @property
    def wanted(self) -> bool:
        """Whether a person asked for a run: thresholds and cooldown are skipped, caps are not."""
        return self.state.train_now is not None

    @property
    def last_attempt(self) -> TrainingRun | None:
        """The last run on the newest version's content with the same settings."""
        version, runs = self.version, reversed(self.state.runs)
        return next((r for r in runs if version and self._is_same(r, version)), None)

    @property
    def retry(self) -> TrainingRun | None:
        """The run that failed in a way that passes, where it may be repeated: thresholds and cooldown were met then."""
        run = self.last_attempt
        if run is None or run.status != "failed" or run.failure != "transient":
            return None
        return run if run.attempt <= self.policy.retries.most else None

    @property
    def urged(self) -> bool:
        """Whether thresholds do not matter: a person asked, or they were met before a failure that passes."""
        return self.wanted or self.retry is not None

    @property
    def attempt(self) -> int:
        """Which attempt the next run on this content with these settings would be."""
        return self.last_attempt.attempt + 1 if self.last_attempt else 1

    def _is_same(self, run: TrainingRun, version: DatasetVersion) -> bool:
        trained_on = self.version_of(run)
        same_data = trained_on is not None and trained_on.content_hash == version.content_hash
        return same_data and run.config_hash == self.config_hash

    @property
    def key(self) -> str:
        """What would be trained, how, on which cluster and for which time: another key is another decision."""
        compute, content = self.policy.compute, self.version.content_hash if self.version else ""
        return "/".join([content, self.config_hash, str(self.attempt), compute.name, compute.size])

    @property
    def estimate(self) -> Estimate:
        """What the next run would cost."""
        images = self.version.images if self.version else 0
        return budget.estimate(self.state.runs, self.policy, self.machine, self.pace, images)

    def version_of(self, run: TrainingRun) -> DatasetVersion | None:
        """The dataset version that a run was trained on, while it is remembered."""
        return next((d for d in self.state.datasets if d.number == run.dataset_version), None)
