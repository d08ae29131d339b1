"""What can be asked, and what comes of it."""

from __future__ import annotations

import pytest

from lsst.ctrl.rapid.control import CatchUpRequest, Changes, LiveSettings, PauseRequest, SetRequest
from lsst.ctrl.rapid.model import InputError, Mode, Vary, parse


def changes(**asked: object) -> Changes:
    return parse(Changes, asked, "test")


def test_what_is_not_named_stays() -> None:
    live = LiveSettings().changed(
        changes(mode="preemptive", pattern="minimal", vary="alternating", guaranteed=[7], gather_timeout=5)
    )
    live = live.changed(changes(pattern=["R22", 94], guaranteed_where="exposure.observation_reason = 'x'"))
    policy = live.policy
    assert policy.mode is Mode.PREEMPTIVE
    assert policy.pattern.include == ("R22", "94")
    assert policy.pattern.vary is Vary.ALTERNATING
    assert policy.guaranteed.exposures == (7,)
    assert policy.guaranteed.where == "exposure.observation_reason = 'x'"
    assert live.gather_timeout == 5
    live = live.changed(changes(pattern={"include": "all", "vary": "fixed"}, guaranteed=[]))
    assert live.policy.pattern.vary is Vary.FIXED
    assert live.policy.guaranteed.exposures == ()


def test_down_selection_comes_and_goes() -> None:
    live = LiveSettings().changed(changes(down_selection="minimal", down_selection_above=30))
    down = live.policy.down_selection
    assert down is not None
    assert (down.pattern.include, down.above, down.below) == (("minimal",), 30, 10)
    live = live.changed(changes(down_selection_below=20))
    assert live.policy.down_selection is not None
    assert (live.policy.down_selection.above, live.policy.down_selection.below) == (30, 20)
    with pytest.raises(InputError, match="must be less than 'above'"):
        live.changed(changes(down_selection_above=15))
    assert live.changed(changes(down_selection="off")).policy.down_selection is None


def test_limits_without_a_down_selection_are_refused() -> None:
    with pytest.raises(InputError, match="there is no down-selection; name its pattern"):
        LiveSettings().changed(changes(down_selection_above=15))
    with pytest.raises(InputError, match="there is no down-selection"):
        LiveSettings().changed(changes(down_selection="off", down_selection_above=15))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "nothing is to be changed; there are mode, pattern"),
        ({"patern": "all"}, "unknown key 'patern'; did you mean 'pattern'?"),
        ({"mode": "eager"}, "mode: Input should be 'waiting', 'consuming' or 'preemptive'"),
        ({"gather_timeout": 0}, "gather_timeout: "),
        ({"gather_timeout": float("inf")}, "gather_timeout: "),
        ({"guaranteed": [-1]}, "guaranteed.0: "),
        ({"guaranteed": [1] * 1001}, "at most 1000 items"),
        ({"guaranteed_where": "x" * 2001}, "at most 2000 characters"),
        ({"pattern": ["R22"] * 401}, "more than 400 names"),
        ({"pattern": "R" * 65}, "more than 64 letters"),
        ({"down_selection": ["R22"] * 401}, "more than 400 names"),
    ],
)
def test_what_cannot_be_is_refused(asked: dict[str, object], told: str) -> None:
    with pytest.raises(InputError) as caught:
        changes(**asked)
    assert told in str(caught.value)


def test_a_change_is_told_as_it_is_typed() -> None:
    asked = changes(mode="waiting", pattern=["R22", "R11"], guaranteed=[1, 2], gather_timeout=2.5)
    assert str(asked) == "mode=waiting pattern=R22, R11 guaranteed=1,2 gather_timeout=2.5"


@pytest.mark.parametrize("by", ["", "x" * 65, "a\nb", "a|b"])
def test_nobody_is_refused(by: str) -> None:
    with pytest.raises(InputError, match="by: "):
        parse(PauseRequest, {"by": by}, "pause")


def test_a_typo_inside_names_the_nearest_key() -> None:
    with pytest.raises(
        InputError, match=r"unknown key 'changes\.gather_timout'; did you mean 'gather_timeout'"
    ):
        parse(SetRequest, {"by": "me", "changes": {"gather_timout": 5}}, "set")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "either 'since' or 'where'"),
        ({"since": 20261399}, "is not a day like"),
        ({"where": " "}, "either"),
    ],
)
def test_a_catch_up_says_what(asked: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse(CatchUpRequest, {"by": "me", **asked}, "catchup")
