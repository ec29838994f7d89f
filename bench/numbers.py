"""Medians and spreads of measured values, and how they are written: pure. Used by `rows`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Several measurements of one thing; `low` and `high` hold the middle half of them."""

    median: float
    low: float
    high: float
    least: float
    most: float
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value; quartiles as `statistics.quantiles` counts them, inclusive."""
    if not values:
        raise ValueError("nothing was measured")
    low, median, high = (
        statistics.quantiles(values, n=4, method="inclusive")
        if len(values) > 1
        else 3 * [values[0]]
    )
    return Spread(
        median=median, low=low, high=high, least=min(values), most=max(values), count=len(values)
    )


def ratio(values: Spread) -> str:
    """`0.81 (middle half 0.78 to 0.84, all 0.70 to 0.90, 12 pairs)`."""
    half = f"middle half {values.low:.2f} to {values.high:.2f}"
    return (
        f"{values.median:.2f} ({half}, all {values.least:.2f} to {values.most:.2f}, "
        f"{values.count} pairs)"
    )


def milliseconds(values: Spread) -> str:
    """`23 ms (20 to 31)`, the median and the range, from seconds."""
    return f"{_ms(values.median)} ms ({_ms(values.least)} to {_ms(values.most)})"


def _ms(seconds: float) -> str:
    value = seconds * 1000
    return f"{value:.1f}" if abs(value) < 10 else f"{value:.0f}"


def seconds(values: Spread) -> str:
    """`1.21 s (1.10 to 1.40)`."""
    return f"{values.median:.2f} s ({values.least:.2f} to {values.most:.2f})"
