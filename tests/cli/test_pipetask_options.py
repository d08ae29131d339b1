"""Every option that users of ``pipetask`` may type: taken, or answered with what to use instead."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner
from lsst.ctrl.mpexec.cli.cmd import qgraph as pipetask_qgraph
from lsst.ctrl.mpexec.cli.cmd import run as pipetask_run
from lsst.ctrl.mpexec.cli.pipetask import cli as pipetask

from lsst.ctrl.rapid.cli import main
from lsst.ctrl.rapid.cli._run_command import run
from support.processes import SUMMIT, rapid_here

OURS = ("run", "plan", "run-graph", "test-channels", "doctor")


def options(command: click.Command) -> set[str]:
    """Return all names of a command's options."""
    names = [(*one.opts, *one.secondary_opts) for one in command.params if isinstance(one, click.Option)]
    # Upstream's headings between options are options, too.
    return {name for opts in names for name in opts if not name.startswith("--option-section")}


UPSTREAM = sorted((options(pipetask_run) | options(pipetask_qgraph) | options(pipetask)) - {"--help", "-h"})


def test_upstream_has_options() -> None:
    assert {"--extend-run", "-g", "-t", "-@", "--log-label", "--no-cov-report"} <= set(UPSTREAM)


@pytest.mark.parametrize("name", OURS)
def test_no_option_of_pipetask_is_unknown(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    for option in sorted(set(UPSTREAM) - options(command)):
        done = CliRunner().invoke(main, [name, "x", option])
        assert done.exit_code == 2, option
        assert f"Error: {option} is an option of pipetask: " in done.output
        assert "did you mean" not in done.output.lower(), option
        assert len(done.output.strip().splitlines()) == 4, "usage, hint and one line"


def test_input_collections_may_be_separated_by_commas() -> None:
    words = ["x.yaml", "-i", "a/b,c", "-i", "d"]
    assert run.make_context("run", words).params["inputs"] == ("a/b", "c", "d")


def test_other_options_get_the_usual_answer() -> None:
    told = rapid_here("run", SUMMIT, "--simulat", 1, code=2)
    assert "No such option '--simulat'" in told
    assert "'--simulate'" in told


@pytest.mark.parametrize("name", main.list_commands(click.Context(main)))
def test_workers_have_the_short_name_that_pipetask_has(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    for parameter in command.params:
        if "--workers" in parameter.opts:
            assert "-j" in parameter.opts
