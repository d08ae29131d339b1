"""What a pattern and a policy look like in files."""

from __future__ import annotations

import pytest

from lsst.ctrl.rapid.model import InputError, PatternSpec, Policy, Vary, parse


@pytest.mark.parametrize(
    ("written", "include"),
    [
        ("raft_checkerboard", ("raft_checkerboard",)),
        (94, ("94",)),
        (["R22", 94, "0..8"], ("R22", "94", "0..8")),
        ({"include": "E2V"}, ("E2V",)),
        ({"exclude": ["R01"]}, ("all",)),
    ],
)
def test_a_pattern_may_be_written_short(written: object, include: tuple[str, ...]) -> None:
    assert parse(PatternSpec, written, "a file").include == include


def test_a_pattern_tells_what_it_is() -> None:
    spec = PatternSpec(include=("E2V", "R00"), exclude=("R22",), vary=Vary.ALTERNATING)
    assert str(spec) == "E2V, R00 without R22 (alternating)"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"mod": "waiting"}, "unknown key 'mod'; did you mean 'mode'?"),
        ({"mode": "eager"}, "mode: "),
        ({"pattern": {"include": []}}, "pattern.include: "),
        ({"down_selection": {"pattern": "minimal", "above": 5, "below": 9}}, "must be less than 'above'"),
        ({"pattern": {"include": ["all"], "vary": "sometimes"}}, "alternating-by-twos"),
    ],
)
def test_a_policy_that_is_not_one_is_refused(written: object, told: str) -> None:
    with pytest.raises(InputError, match="a file: ") as caught:
        parse(Policy, written, "a file")
    assert told in str(caught.value)
