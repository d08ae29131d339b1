"""What a benchmark found."""

from __future__ import annotations

import pydantic
import pytest

from lsst.ctrl.rapid.bench import Curve, Goal, Series


def test_a_series_has_its_median_and_spread() -> None:
    series = Series(unit="ms", values=(5.0, 1.0, 2.0, 4.0))
    assert (series.low, series.median, series.high) == (1.0, 3.0, 5.0)


def test_a_series_has_something_in_it() -> None:
    with pytest.raises(pydantic.ValidationError):
        Series(unit="ms", values=())


@pytest.mark.parametrize(
    ("bound", "value", "met"),
    [
        ("least", 10.0, True),
        ("least", 9.99, False),
        ("most", 10.0, True),
        ("most", 10.01, False),
        ("least", None, False),
        ("most", None, False),
    ],
)
def test_a_goal_is_met_on_its_side_of_the_target_and_only_when_it_was_measured(
    bound: str, value: float | None, met: bool
) -> None:
    assert Goal(name="a goal", bound=bound, target=10.0, value=value, unit="x").met is met


def test_a_curve_has_one_measurement_a_place() -> None:
    with pytest.raises(pydantic.ValidationError, match="overhead: 2 places, but 1 measurements"):
        Curve(label="overhead", x=(1.0, 2.0), y=(Series(unit="ms", values=(1.0,)),))
