"""Who decides what is processed: the pipeline, then the site, then the command line."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from lsst.ctrl.rapid.cli._policy import mode_option, pattern_option, told_policy, vary_option
from lsst.ctrl.rapid.model import DownSelection, Mode, PatternSpec, Policy, RapidFile, SiteFile, Vary, parse

PIPELINE = {
    "mode": "waiting",
    "pattern": {"include": "raft_checkerboard", "vary": "alternating"},
    "down_selection": {"pattern": "minimal"},
}


def decided(site: dict[str, object] | None, *arguments: str) -> Policy:
    """Return the policy that is decided with these options."""
    found: list[Policy] = []
    rapid = parse(RapidFile, {"policy": PIPELINE}, "a test")
    facts = parse(SiteFile, {} if site is None else {"policy": site}, "a test")

    @click.command()
    @pattern_option
    @vary_option
    @mode_option
    def command(**options: Any) -> None:
        found.append(told_policy(rapid, facts, options))

    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    return found[0]


BOARD = PatternSpec(include=("raft_checkerboard",), vary=Vary.ALTERNATING)
MINIMAL = DownSelection(pattern=PatternSpec(include=("minimal",)))


@pytest.mark.parametrize(
    ("site", "arguments", "expected"),
    [
        (None, [], Policy(mode=Mode.WAITING, pattern=BOARD, down_selection=MINIMAL)),
        ({"mode": "preemptive"}, [], Policy(mode=Mode.PREEMPTIVE, pattern=BOARD, down_selection=MINIMAL)),
        (
            {"mode": "preemptive", "down_selection": None},
            ["--mode", "consuming"],
            Policy(mode=Mode.CONSUMING, pattern=BOARD),
        ),
        (
            {"pattern": "E2V", "down_selection": None},
            ["--pattern", "R22,-R22_S11", "--pattern", "0..8"],
            Policy(mode=Mode.WAITING, pattern=PatternSpec(include=("R22", "0..8"), exclude=("R22_S11",))),
        ),
        (
            {"down_selection": None},
            ["--vary", "alternating-by-twos"],
            Policy(
                mode=Mode.WAITING,
                pattern=PatternSpec(include=("raft_checkerboard",), vary=Vary.ALTERNATING_BY_TWOS),
            ),
        ),
        (
            {"pattern": "E2V", "down_selection": None},
            ["--pattern", "-5-on-a-die", "--vary", "alternating"],
            Policy(mode=Mode.WAITING, pattern=PatternSpec(exclude=("5-on-a-die",), vary=Vary.ALTERNATING)),
        ),
    ],
)
def test_the_command_line_wins_over_the_site_and_the_site_over_the_pipeline(
    site: dict[str, object] | None, arguments: list[str], expected: Policy
) -> None:
    assert decided(site, *arguments) == expected
