"""How MLflow loads and asks the model: MLflow's `loader_module`, copied into the model's folder by saving.py.

Contract: https://mlflow.org/docs/latest/api_reference/python_api/mlflow.pyfunc.html#filesystem-format. The request is
that of AutoML's image models, a column `image` of base64; so is the answer, rows of `probs` and `labels`.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def _load_pyfunc(path: str) -> Scorer:
    """MLflow calls this with the folder `data` of the model."""
    return Scorer(Path(path))


class Scorer:
    """The model, loaded."""

    def __init__(self, folder: Path) -> None:
        """From model.onnx and manifest.json."""
        manifest = json.loads((folder / "manifest.json").read_text())
        self._classes, self._size = manifest["classes"], manifest["input_size"]
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])

    def predict(self, table: Any, params: dict[str, Any] | None = None) -> Any:  # noqa: ARG002  # MLflow's own
        """Rows of `probs` and `labels` for a DataFrame with a column `image` of base64."""
        import pandas as pd  # type: ignore[import-untyped]

        return pd.DataFrame(self.answers(table["image"]))

    def answers(self, images: Iterable[str]) -> list[dict[str, Any]]:
        """One answer an image."""
        pixels = np.stack([self._pixels(base64.b64decode(image)) for image in images])
        (scores,) = self._session.run(None, {"images": pixels})
        return [{"probs": [float(score) for score in row], "labels": self._classes} for row in scores]

    def _pixels(self, data: bytes) -> Any:
        with Image.open(io.BytesIO(data)) as image:
            shown = ImageOps.exif_transpose(image).convert("RGB")
        return np.asarray(shown.resize((self._size, self._size), Image.Resampling.BILINEAR))
