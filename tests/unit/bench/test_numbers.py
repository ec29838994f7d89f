"""How measured values are summed up and written."""

from __future__ import annotations

import pytest

from bench.numbers import Spread, milliseconds, ratio, seconds, spread


def test_a_spread_holds_the_middle_half_between_its_quartiles():
    found = spread([5.0, 1.0, 2.0, 4.0, 3.0])

    assert Spread(median=3.0, low=2.0, high=4.0, least=1.0, most=5.0, count=5) == found


def test_one_value_is_its_own_spread():
    assert Spread(median=7.0, low=7.0, high=7.0, least=7.0, most=7.0, count=1) == spread([7.0])


def test_nothing_measured_is_no_spread():
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])


def test_a_ratio_says_how_far_its_pairs_lie_apart():
    text = ratio(spread([0.8, 0.7, 0.9, 0.75, 0.85]))

    assert "0.80 (middle half 0.75 to 0.85, all 0.70 to 0.90, 5 pairs)" == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.0011, 0.0009, 0.02], "1.1 ms (0.9 to 20)"),
        ([0.25], "250 ms (250 to 250)"),
        ([-0.002, -0.002], "-2.0 ms (-2.0 to -2.0)"),
    ],
)
def test_milliseconds_have_a_digit_behind_the_point_when_they_are_few(values, text):
    assert text == milliseconds(spread(values))


def test_seconds_are_written_with_their_range():
    assert "1.50 s (1.00 to 2.00)" == seconds(spread([1.0, 1.5, 2.0]))
