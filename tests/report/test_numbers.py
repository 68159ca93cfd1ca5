"""Numbers as they are written."""

import math

import pytest

from mmbench.report import numbers


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (numbers.fixed(-0.04, 1), "0.0"),
        (numbers.fixed(-1.25, 2), "\N{MINUS SIGN}1.25"),
        (numbers.fixed(2.0, 1, sign=True), "+2.0"),
        (numbers.fixed(math.nan, 1), numbers.DASH),
        (numbers.interval(None, 1.0, 1), ""),
        (numbers.p_value(0.0004), "< 0.001"),
        (numbers.p_value(0.0031), "0.003"),
        (numbers.p_value(0.25), "0.25"),
        (numbers.count(20000), "20,000"),
        (numbers.power(3.1e13), "3.10 \N{MULTIPLICATION SIGN} 10¹³"),
        (numbers.power(9.999e5), "1.00 \N{MULTIPLICATION SIGN} 10⁶"),
        (numbers.millions(2_310_000), "2.31 M"),
        (numbers.seconds(0.0062), "6.20 ms"),
        (numbers.seconds(300), "5.00 min"),
        (numbers.seconds(99.96), "100 s"),
        (numbers.seconds(0.9999), "1,000 ms"),
        (numbers.seconds(19.04), "19.0 s"),
        (numbers.memory(3 * 2**29), "1.50 GiB"),
        (numbers.percent(0.0152, 2), "1.52%"),
        (numbers.join(["a", "b", "c"]), "a, b and c"),
    ],
)
def test_written(made, expected):
    assert made == expected


def test_digits_follow_the_interval_within_bounds():
    assert numbers.digits_for([1.3, 2.0], 1) == 1
    assert numbers.digits_for([0.04], 1) == 2
    assert numbers.digits_for([], 3) == 3
    assert numbers.digits_for([1e-16], 3) == 3
