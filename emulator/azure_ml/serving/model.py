"""A model folder as a function from images to Azure ML's answers."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from emulator.azure_ml.serving.decode import detections

MOST_PIXELS = 50_000_000
Answer = dict[str, Any]


class BadImage(Exception):
    """The bytes are no image that is taken."""


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
            with Image.open(io.BytesIO(data)) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise BadImage(f"Image {number} declares more than {MOST_PIXELS} pixels")
                # a JPEG is decoded at a smaller scale where that loses nothing at this size
                image.draft("RGB", (self._size * 2, self._size * 2))
                shown = ImageOps.exif_transpose(image).convert("RGB")
                return np.asarray(shown.resize((self._size, self._size), Image.Resampling.BILINEAR))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            raise BadImage(f"Image {number} cannot be read") from None

    def _boxes(self, boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> Answer:
        found = detections(boxes, scores, self._threshold)
        return {"boxes": [self._box(*one) for one in zip(*found, strict=True)]}

    def _box(self, box: NDArray[np.float32], score: float, label: int) -> Answer:
        names = ("topX", "topY", "bottomX", "bottomY")
        place = {name: round(float(v), 6) for name, v in zip(names, box, strict=True)}
        return {"box": place, "label": self._classes[int(label)], "score": round(float(score), 6)}
