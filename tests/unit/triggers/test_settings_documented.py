"""local.settings.sample.json lists every app setting, and host.json holds what the code relies on."""

from __future__ import annotations

import json
from pathlib import Path

from services.settings import Settings, read_settings

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
OF_THE_HOST = {
    "FUNCTIONS_WORKER_RUNTIME",
    "PYTHON_THREADPOOL_THREAD_COUNT",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__queueServiceUri",
    "VISIONLOOP_SWEEP_SCHEDULE",
}


def test_every_setting_has_a_sample_and_no_sample_is_left_over() -> None:
    ours = {str(field.alias) for field in Settings.model_fields.values()}
    assert set(SAMPLE) == ours | OF_THE_HOST


def test_the_samples_of_optional_settings_are_their_defaults() -> None:
    read = read_settings(SAMPLE)
    for name, field in Settings.model_fields.items():
        if not field.is_required():
            assert getattr(read, name) == field.default, name


def test_queue_functions_leave_threads_for_requests() -> None:
    queues = json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]
    most = 2 * (queues["batchSize"] + queues["newBatchThreshold"])
    assert most <= int(SAMPLE["PYTHON_THREADPOOL_THREAD_COUNT"]) - 8


def test_nothing_but_the_product_is_deployed() -> None:
    ignored = set((ROOT / ".funcignore").read_text().split())
    assert {
        "tests",
        "emulator",
        "demo",
        "devtools",
        "docs",
        "examples",
        "benchmarks",
        "dev.py",
        "local.settings*.json",
    } <= ignored
    assert not {"services", "triggers", "host.json", "requirements.txt", "function_app.py"} & ignored
