"""A loop with a live model, and images to ask it about."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from PIL import Image

from services.state import CatalogueState, Champion, LoopState, ModelRef

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORIENTATION = 0x0112


def champion(**changes: Any) -> Champion:
    fields: dict[str, Any] = {
        "run": 1,
        "model": ModelRef(name="vl-cards", version="1"),
        "dataset_version": 1,
        "task": "object_detection",
        "classes": ["ace", "jack"],
        "endpoint": "vl-cards-abc",
        "slot": "blue",
        "scoring_uri": "https://cards.example/score",
        "metric": "mean_average_precision",
        "score": 0.71,
        "promoted": NOW,
    }
    return Champion(**fields | changes)


def loop_state(*, live: bool = True, **changes: Any) -> LoopState:
    """A loop of 12 labelled images; `changes` are the champion's."""
    catalogue = CatalogueState(images=20, labelled=12, classes=["ace", "jack"], images_per_class={"ace": 10, "jack": 2})
    state = LoopState(loop="cards", created=NOW, catalogue=catalogue)
    state.champion = champion(**changes) if live else None
    return state


def picture(width: int, height: int, kind: str = "JPEG", *, orientation: int = 1) -> bytes:
    """Red in the upper left quarter as it is stored, else blue; with an EXIF orientation where it is not 1."""
    image = Image.new("RGB", (width, height), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, width // 2, height // 2))
    exif, out = Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = orientation
    image.save(out, kind, **({"exif": exif} if orientation != 1 else {}))
    return out.getvalue()


def jpeg(width: int, height: int) -> bytes:
    return picture(width, height)
