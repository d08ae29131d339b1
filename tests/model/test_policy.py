"""What a pattern and a policy look like in files."""

from __future__ import annotations

import pytest

from lsst.ctrl.rapid.model import InputError, Mode, PatternSpec, Policy, Vary, parse


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


@pytest.mark.parametrize(
    ("text", "include", "exclude"),
    [
        ("raft_checkerboard", ("raft_checkerboard",), ()),
        ("5-on-a-die, R00", ("5-on-a-die", "R00"), ()),
        ("E2V,-R22,90..98,- 94", ("E2V", "90..98"), ("R22", "94")),
        ("-R22", ("all",), ("R22",)),
    ],
)
def test_a_pattern_is_read_from_one_line(
    text: str, include: tuple[str, ...], exclude: tuple[str, ...]
) -> None:
    assert PatternSpec.from_text(text) == PatternSpec(include=include, exclude=exclude)


@pytest.mark.parametrize("text", ["", "E2V,", ",E2V", "E2V,-", "-"])
def test_a_line_that_lacks_a_name_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="a name is missing"):
        PatternSpec.from_text(text)


def test_a_policy_is_overridden_key_by_key() -> None:
    base = {"mode": "waiting", "pattern": "E2V", "down_selection": {"pattern": "minimal"}}
    below = parse(Policy, base, "a pipeline")
    assert below.overridden(None) == below
    assert below.overridden(parse(Policy, {}, "a site")) == below
    found = below.overridden(parse(Policy, {"pattern": {"exclude": "R22"}}, "a site"))
    assert found == below.model_copy(update={"pattern": PatternSpec(exclude=("R22",))})
    found = below.overridden(parse(Policy, {"mode": "consuming", "down_selection": None}, "a site"))
    assert found.mode is Mode.CONSUMING, "a key counts that says what would hold anyway"
    assert found.down_selection is None
    assert found.pattern == below.pattern
