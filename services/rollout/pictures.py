"""Small pictures for a model card, as SVG text: precision over recall, or who is taken for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

SIDE, MARGIN = 240, 40
MOST_DRAWN = 12
"""Classes of a table of confusions: more would be no picture."""
_COLOURS = {"challenger": "#0b6", "champion": "#888"}
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
    'font-family="sans-serif" font-size="11" role="img"><title>{title}</title>'
)


def picture(by_model: Mapping[str, Mapping[str, Any]]) -> str:
    """The picture of what was measured, by `challenger` and `champion`; empty where there is none to draw."""
    curves = {name: found["precision_at_recall"] for name, found in by_model.items() if "precision_at_recall" in found}
    if any(curves.values()):
        return precision_over_recall(curves)
    table = by_model.get("challenger", {})
    return confusion(table["classes"], table["confusion"]) if "confusion" in table else ""


def precision_over_recall(curves: Mapping[str, Sequence[float]]) -> str:
    """Precision at evenly spaced recalls from 0 to 1, a line a model."""
    width, height = SIDE + 2 * MARGIN, SIDE + 2 * MARGIN
    parts = [_head(width, height, "Precision over recall, IoU 0.50"), _axes()]
    for number, (name, values) in enumerate(curves.items()):
        if len(values) < 2:
            continue
        points = " ".join(f"{_x(at / (len(values) - 1)):.1f},{_y(value):.1f}" for at, value in enumerate(values))
        colour = _COLOURS.get(name, "#06b")
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{MARGIN + 8}" y="{_y(0) - 22 + 14 * number}" fill="{colour}">{escape(name)}</text>')
    return "".join([*parts, "</svg>"])


def _head(width: int, height: int, title: str) -> str:
    """With its own ground, as a card may be read on a dark one, and its title where it is seen."""
    ground = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    return f'{_HEAD.format(width=width, height=height, title=title)}{ground}<text x="8" y="18">{title}</text>'


def _axes() -> str:
    frame = f'<rect x="{MARGIN}" y="{MARGIN}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#999"/>'
    ticks = "".join(
        f'<text x="{_x(v):.0f}" y="{_y(0) + 14:.0f}" text-anchor="middle">{v:g}</text>'
        f'<text x="{MARGIN - 6}" y="{_y(v) + 4:.0f}" text-anchor="end">{v:g}</text>'
        for v in (0.0, 0.5, 1.0)
    )
    middle = MARGIN + SIDE / 2
    names = (
        f'<text x="{middle:.0f}" y="{_y(0) + 30:.0f}" text-anchor="middle">recall</text>'
        f'<text x="{middle:.0f}" y="{MARGIN - 10}" text-anchor="middle">precision</text>'
    )
    return frame + ticks + names


def _x(share: float) -> float:
    return MARGIN + share * SIDE


def _y(share: float) -> float:
    return MARGIN + (1 - share) * SIDE


def confusion(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """A row a class of the labels, a column a class of the answers; the classes with most images where many."""
    order = sorted(range(len(classes)), key=lambda at: -sum(counts[at]))[:MOST_DRAWN]
    cell, left = 36, 110
    width, height = left + cell * len(order) + 10, 40 + cell * len(order) + 80
    parts = [_head(width, height, "Rows: labels. Columns: answers.")]
    for row, wanted in enumerate(order):
        y, most = 30 + row * cell, max(1, sum(counts[wanted]))
        parts.append(f'<text x="{left - 6}" y="{y + cell / 2 + 4}" text-anchor="end">{_short(classes[wanted])}</text>')
        for column, said in enumerate(order):
            parts.append(_cell(left + column * cell, y, cell, counts[wanted][said], most, hit=row == column))
    for column, said in enumerate(order):
        x, y = left + column * cell + cell / 2, 42 + cell * len(order)
        name = _short(classes[said])
        parts.append(f'<text x="{x}" y="{y}" text-anchor="end" transform="rotate(-40 {x} {y})">{name}</text>')
    return "".join([*parts, "</svg>"])


def _cell(x: int, y: int, side: int, count: int, most: int, *, hit: bool) -> str:
    colour = "#0b6" if hit else "#c33"
    return (
        f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="{colour}" fill-opacity="{count / most:.2f}" '
        f'stroke="#ccc"/><text x="{x + side / 2}" y="{y + side / 2 + 4}" text-anchor="middle">{count}</text>'
    )


def _short(name: str) -> str:
    return escape(name if len(name) <= 16 else name[:15] + "…")
