"""Curves over epochs as SVG text: nothing is drawn with a library on the app's way, and a browser shows it as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle

Points = Sequence[tuple[int, float]]

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 320, 56, 34, 170, 40
MOST_NAMED = 16
STYLE = (
    "<style>@media (prefers-color-scheme: dark) { .ground { fill: #18202a } text { fill: #e6ebf2 } "
    "line { stroke: #2b3542 } [stroke='#000000'] { stroke: #fff } [fill='#000000'] { fill: #fff } }</style>"
)
"""A white picture on a dark page dazzles."""
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8a00", "#000000")
"""Okabe and Ito's, which people who confuse colours can tell apart."""


def line_chart(title: str, series: Mapping[str, Points], *, steps: str = "epoch") -> str:
    """A line a series, named beside it; `steps` names the axis below."""
    held = {name: points for name, points in series.items() if points}
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="11" role="img"><title>{escape(title)}</title>{STYLE}'
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<text x="{LEFT}" y="20" font-size="13" font-weight="bold">{escape(title)}</text>'
    )
    if not held:
        return f'{head}<text x="{LEFT}" y="{HEIGHT / 2}" fill="#666">Nothing was measured yet.</text></svg>'
    frame = _Frame(held)
    lines = [_line(number, name, points, frame) for number, (name, points) in enumerate(held.items())]
    return "".join([head, frame.axes(steps), *lines, "</svg>"])


class _Frame:
    """Where a step and a value are on the picture."""

    def __init__(self, series: Mapping[str, Points]) -> None:
        steps = [step for points in series.values() for step, _ in points]
        values = [value for points in series.values() for _, value in points]
        self.first, self.last = min(steps), max(*steps, min(steps) + 1)
        low, high = min(values), max(values)
        self.low, self.high = (low, high) if high > low else (low - 0.5, high + 0.5)

    def x(self, step: float) -> float:
        return LEFT + (step - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.low) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)

    def axes(self, steps: str) -> str:
        rows = [self.low + part * (self.high - self.low) / 4 for part in range(5)]
        lines = "".join(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{self.y(v):.1f}" y2="{self.y(v):.1f}" stroke="#e4e4e4"/>'
            f'<text x="{LEFT - 6}" y="{self.y(v) + 4:.1f}" text-anchor="end" fill="#555">{v:.3g}</text>'
            for v in rows
        )
        ends = "".join(
            f'<text x="{self.x(step):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle" fill="#555">{step}</text>'
            for step in (self.first, self.last)
        )
        middle = (LEFT + WIDTH - RIGHT) / 2
        below = f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle" fill="#555">{escape(steps)}</text>'
        return lines + ends + below


def _line(number: int, name: str, points: Points, frame: _Frame) -> str:
    colour = next(c for i, c in enumerate(cycle(COLOURS)) if i == number)
    path = " ".join(f"{frame.x(step):.1f},{frame.y(value):.1f}" for step, value in points)
    marks = "".join(f'<circle cx="{frame.x(s):.1f}" cy="{frame.y(v):.1f}" r="2.5" fill="{colour}"/>' for s, v in points)
    drawn = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{marks}'
    if number >= MOST_NAMED:
        return drawn
    y = TOP + 12 + 15 * number
    short = name if len(name) <= 24 else f"{name[:23]}…"
    key = f'<rect x="{WIDTH - RIGHT + 10}" y="{y - 8}" width="10" height="10" fill="{colour}"/>'
    return f'{drawn}{key}<text x="{WIDTH - RIGHT + 26}" y="{y + 1}">{escape(short)}</text>'
