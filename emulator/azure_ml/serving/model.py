"""A model folder as a function from images to Azure ML's answers."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.azure_ml.serving import pictures
from emulator.azure_ml.serving.decode import detections
from emulator.azure_ml.serving.pictures import BadImage

Answer = dict[str, Any]


class Model:
    """An ONNX file and its manifest, loaded."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Load the model and run it once, so that the first request is as fast as the others."""
        import onnxruntime

        manifest = json.loads((folder / "manifest.json").read_text())
        self._task: str = manifest["task"]
        self._classes: list[str] = manifest["classes"]
        self._size: int = manifest["input_size"]
        self._threshold = float(manifest["score_threshold"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        file = str(folder / "model.onnx")
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self._session.run(None, {"images": np.zeros((1, self._size, self._size, 3), dtype=np.uint8)})

    def predict(self, images: list[bytes]) -> list[Answer]:
        """One answer an image.

        Raises:
            BadImage: one of them cannot be read; the message says which.
        """
        batch = np.stack([self._pixels(number, data) for number, data in enumerate(images)])
        outputs = self._session.run(None, {"images": batch})
        if self._task == "object_detection":
            return [self._boxes(boxes, scores) for boxes, scores in zip(*outputs, strict=True)]
        return [{"probs": [round(float(p), 6) for p in scores], "labels": self._classes} for scores in outputs[0]]

    def _pixels(self, number: int, data: bytes) -> NDArray[np.uint8]:
        try:
            return pictures.square(pictures.upright(io.BytesIO(data), 2 * self._size), self._size)
        except BadImage as error:
            raise BadImage(f"Image {number} {error}") from None

    def _boxes(self, boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> Answer:
        found = detections(boxes, scores, self._threshold)
        return {"boxes": [self._box(*one) for one in zip(*found, strict=True)]}

    def _box(self, box: NDArray[np.float32], score: float, label: int) -> Answer:
        names = ("topX", "topY", "bottomX", "bottomY")
        place = {name: round(float(v), 6) for name, v in zip(names, box, strict=True)}
        return {"box": place, "label": self._classes[int(label)], "score": round(float(score), 6)}
