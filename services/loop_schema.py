"""`python -m services.loop_schema`: the JSON Schema of loop.yaml, kept in docs/loop.schema.json."""

from __future__ import annotations

import json
import sys

from services.loop_config import LoopConfig


def schema() -> str:
    """The schema as text."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "loop.yaml"}
    return json.dumps({**LoopConfig.model_json_schema(), **head}, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema())
