"""Registered models and the folders that they come from."""

from __future__ import annotations

import re
from pathlib import Path

from emulator.azure_ml.config import Config
from emulator.azure_ml.errors import not_found, user_error
from emulator.azure_ml.store import Store

_JOB_OUTPUT = re.compile(r"azureml://jobs/(?P<job>[^/]+)/outputs/artifacts/(?:paths/)?outputs/mlflow-model/?")
_MODEL = re.compile(r"(?:.*/models/|azureml:)(?P<name>[^/:]+)(?:/versions/|:)(?P<version>[^/:]+)")


class Models:
    """Finds the folder of a model."""

    def __init__(self, config: Config, store: Store) -> None:
        """Models are resources of the kind `models`."""
        self._config, self._store = config, store

    @staticmethod
    def job(uri: str) -> str | None:
        """The job whose output an address names."""
        match = _JOB_OUTPUT.fullmatch(uri)
        return match["job"] if match else None

    def trial_folder(self, uri: str) -> Path:
        """The folder that a job's output address names.

        Raises:
            AzureError: it names none, or the trial wrote no model.
        """
        match = _JOB_OUTPUT.fullmatch(uri)
        if match is None:
            raise user_error(f"{uri[:200]!r} is not azureml://jobs/<trial>/outputs/artifacts/outputs/mlflow-model")
        trial = self._store.get("jobs", match["job"])
        if trial is None:
            raise not_found(f"Run {match['job']}")
        folder = Path(str(trial["internal"].get("model") or ""))
        if not (folder / "MLmodel").exists():
            raise user_error(f"Run {match['job']} has no model in its outputs")
        return folder

    def folder(self, model: str) -> Path:
        """The folder of a registered model, by its resource id or `azureml:name:version`.

        Raises:
            AzureError: there is no such model.
        """
        match = _MODEL.fullmatch(model)
        found = self._store.get("models", f"{match['name']}/versions/{match['version']}") if match else None
        if found is None:
            raise not_found(f"Model {model}")
        return self.trial_folder(str(found["properties"]["modelUri"]))
