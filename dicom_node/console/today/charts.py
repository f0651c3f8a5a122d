"""Small charts as numbers that a template draws as SVG; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HEIGHT", "WIDTH", "Bar", "Chart", "bars"]

WIDTH: Final = 480
HEIGHT: Final = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One step of time; ``height`` 0 where there is nothing."""

    x: float
    y: float
    width: float
    height: float
    at: float
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Bars and the largest value."""

    bars: tuple[Bar, ...]
    top: float


def bars(values: Sequence[tuple[float, float | None]]) -> Chart:
    """A chart of (unix seconds, value)."""
    top = max((value for _, value in values if value is not None), default=0.0)
    step = WIDTH / max(1, len(values))
    made = []
    for place, (at, value) in enumerate(values):
        height = 0.0 if not value or not top else max(2.0, value / top * HEIGHT)
        made.append(
            Bar(
                x=round(place * step, 2),
                y=round(HEIGHT - height, 2),
                width=round(max(1.0, step - 1.5), 2),
                height=round(height, 2),
                at=at,
                value=value,
            )
        )
    return Chart(bars=tuple(made), top=top)
