"""Follows `<loop>/loop.yaml`; a bad file changes nothing but what is told."""

from __future__ import annotations

from services.config_file import read_config
from services.context import LoopContext
from services.errors import NotFound
from services.loop_config import LoopConfig
from services.names import CONFIG_FILE
from services.state import ConfigState


class ConfigStage:
    """Keeps the last good config in the state."""

    name = "config"

    def step(self, context: LoopContext) -> float | None:
        """Take over a changed loop.yaml, or tell what is wrong with it, once each."""
        etag, text = self._read(context)
        if etag != context.state.config.etag:
            self._take(context, etag, text)
        return None

    def _read(self, context: LoopContext) -> tuple[str, bytes]:
        try:
            blob = context.cloud.data.read(f"{context.loop}/{CONFIG_FILE}")
        except NotFound:
            return "", b""
        return blob.etag, blob.data

    def _take(self, context: LoopContext, etag: str, text: bytes) -> None:
        old = context.state.config
        config, problems = read_config(text, f"{context.loop}/{CONFIG_FILE}")
        context.state.config = ConfigState(etag=etag, config=config or old.config, problems=problems)
        if config is None:
            first = problems[0]
            reason = (
                f"{first.file}, {first.place}: expected {first.expected}, found {first.found}; the last good one holds"
            )
            context.tell("config.rejected", reason, problems=[p.model_dump() for p in problems])
            context.state.reasons[self.name] = reason
        elif (changed := _changed(old.config, config)) or old.problems:
            again = "is understood again, and changes" if old.problems else "changes"
            reason = f"loop.yaml {again} {', '.join(changed) or 'nothing'}"
            context.tell("config.changed", reason, fields=changed)
            context.state.reasons[self.name] = reason
        context.save()


def _changed(old: LoopConfig, new: LoopConfig) -> list[str]:
    before, after = old.model_dump(), new.model_dump()
    return [name for name in after if before[name] != after[name]]
