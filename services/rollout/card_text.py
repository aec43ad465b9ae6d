"""A model card as Markdown, of the same values as its JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def markdown(card: Mapping[str, Any]) -> str:
    """The card as a page of Markdown; names that people chose are no markup in it."""
    model = card["model"]
    what = f"A model for {card['task'].replace('_', ' ')}, loop `{card['loop']}`."
    parts = [
        f"# {model['name']}:{model['version']}",
        f"{what} **{card['outcome']}**: {_plain(card['decision'])}",
        *_metrics(card),
        *_classes(card),
        *([card["picture"]] if card["picture"] else []),
        *_data(card["data"]),
        *_lineage(card["lineage"]),
        *_training(card["training"]),
    ]
    return "\n\n".join(parts) + "\n"


def _metrics(card: Mapping[str, Any]) -> list[str]:
    models = list(card["metrics"])
    names = sorted({metric for found in card["metrics"].values() for metric in found})
    rows = [[name, *(_number(card["metrics"][m].get(name)) for m in models)] for name in names]
    rows.append(["95 % of single images within, ms", *(_number(card["latency_ms"].get(m)) for m in models)])
    said = f"Measured on {card['holdout_images']} validation images, through the slots; compared: `{card['metric']}`."
    return ["## Metrics", _table(["", *models], rows), said, *_interval(card["interval"])]


def _interval(interval: Mapping[str, Any] | None) -> list[str]:
    if interval is None:
        return []
    drawn = f"Difference, {interval['level']:.0%} interval by {interval['resamples']} resamples of the images"
    better = f"the challenger is better in {interval['better']:.0%}"
    return [f"{drawn}: {interval['low']:+.4f} to {interval['high']:+.4f}; {better}."]


def _classes(card: Mapping[str, Any]) -> list[str]:
    columns = [(model, metric) for model, found in card["per_class"].items() for metric in _metric_names(found)]
    names = sorted({name for found in card["per_class"].values() for name in found})
    rows = [[_cell(name), *(_number(card["per_class"][m].get(name, {}).get(k)) for m, k in columns)] for name in names]
    return ["## By class", _table(["class", *(f"{m} {k}" for m, k in columns)], rows)] if rows else []


def _metric_names(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(metric for each in found.values() for metric in each))


def _data(data: Mapping[str, Any]) -> list[str]:
    counts, images = data["annotations_per_class"], data["images_per_class"]
    rows = [[_cell(name), str(images.get(name, 0)), str(counts.get(name, 0))] for name in data["classes"]]
    said = (
        f"Dataset version {data['number']} of {data['created'][:10]}: {data['train_images']} images to learn from "
        f"(`{data['train_asset']}`), {data['validation_images']} to measure with (`{data['validation_asset']}`)."
    )
    return ["## Data", said, _table(["class", "images", "labels"], rows)]


def _lineage(lineage: Mapping[str, Any]) -> list[str]:
    return ["## Lineage", _list((name, value) for name, value in lineage.items() if value not in (None, "", {}))]


def _training(training: Mapping[str, Any]) -> list[str]:
    return ["## Training", _list((name, value) for name, value in training.items() if value not in (None, "", {}, []))]


def _list(items: Iterable[tuple[str, Any]]) -> str:
    return "\n".join(f"- {name.replace('_', ' ')}: {_value(value)}" for name, value in items)


def _value(value: Any) -> str:
    return f"`{_said(value).replace('`', chr(39))}`"


def _said(value: Any) -> str:
    """As people write it: names without underscores, numbers without digits that nobody measured."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_said(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return _WORDS.get(value, str(value)) if value is None or isinstance(value, bool) else str(value)


_WORDS = {None: "none", True: "yes", False: "no"}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None) -> str:
    return "\u2013" if value is None else f"{value:.4g}"


def _cell(text: str) -> str:
    return _plain(text).replace("|", r"\|")


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;")
