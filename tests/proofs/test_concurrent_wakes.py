"""Sixty-four processes look at one loop at once, on real storage: one version, one job."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from services.cloud.blobs import AzureBlobStore
from services.cloud.fakes import FakeCloud, FakeQueue
from services.config_stage import ConfigStage
from services.context import Cloud
from services.controller import Controller
from services.datasets.stage import DatasetStage
from services.outbox import Outbox
from services.settings import read_settings
from services.state_store import StateStore
from services.timeline import Timeline
from services.training.stage import TrainingStage
from services.wake import Waker
from tests.support.cloud_process import running_cloud
from tests.support.dataset_house import BOX, picture, voc
from tests.support.living_loop import CONFIG, LOOP

WAKES = 64


class Told:
    """Nobody listens."""

    def dispatch(self, events: object) -> None:
        return


def test_one_job(tmp_path: Path) -> None:
    fake = FakeCloud()
    with running_cloud(tmp_path / "cloud", "--no-app") as running:
        settings = read_settings(running.environment)
        data = AzureBlobStore(settings.data_blob_uri, settings.data_container)
        system = AzureBlobStore(settings.system_blob_uri, settings.system_container)
        cloud = Cloud(settings, data, system, fake.workspace, fake.scorer, fake.clock)
        queue, states = FakeQueue(), StateStore(system, fake.clock)

        def wake(_: int) -> None:
            stages = (ConfigStage(), DatasetStage(), TrainingStage())
            waker = Waker(queue, fake.clock, 1)
            Controller(cloud, stages, waker, Outbox(Timeline(system), Told()), states).wake(LOOP)

        data.write(f"{LOOP}/loop.yaml", json.dumps(CONFIG).encode())
        for number in range(12):
            data.write(f"{LOOP}/images/{number}.png", picture(number))
            data.write(f"{LOOP}/labels/{number}.xml", voc((("bolt", "nut")[number % 2], BOX)))
        fake.clock.now = max(blob.modified for blob in data.list())
        for _ in range(3):
            with ThreadPoolExecutor(WAKES) as pool:
                list(pool.map(wake, range(WAKES)))
            fake.clock.advance(30)
        state = states.read(LOOP)
        assert [v.status for v in state.datasets] == ["registered"]
        assert fake.workspace.submissions == [state.runs[0].job]
        assert len(fake.workspace.tables) == 2
