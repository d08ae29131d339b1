"""What a command imports before it has anything to do: users wait for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from lsst.ctrl.rapid.cli import main
from support.processes import environment

HEAVY = {
    "astropy", "astro_metadata_translator", "boto3", "distributed", "dask", "fitsio", "lsst.ctrl.mpexec",
    "lsst.daf.butler", "lsst.pipe.base", "lsst.resources", "lsst.images", "matplotlib", "numba", "numpy",
    "pandas", "pyarrow", "sep", "sqlalchemy",
}  # fmt: skip
SCRIPT = """
import json, sys
from lsst.ctrl.rapid.cli import main
try:
    main(sys.argv[1:], prog_name="rapid-exec")
finally:
    print(json.dumps([sys.argv[1:], list(sys.modules)]), file=sys.stderr)
"""
COMMANDS = main.list_commands(click.Context(main))


def imported(*arguments: str, cwd: Path) -> set[str]:
    """Return the modules that a command in a new interpreter has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        cwd=cwd, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    typed, modules = json.loads(done.stderr.splitlines()[-1])
    assert typed == list(arguments)
    return set(modules)


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_imports_nothing_heavy(command: str | None, tmp_path: Path) -> None:
    assert imported(*[command] * (command is not None), "--help", cwd=tmp_path) & HEAVY == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ("control", "status"),
        ("control", "pause"),
        ("catchup", "--since", "20261122"),
        ("run", "summit.yaml", "--skip-existing"),
        ("run-graph", "x.qg", "--extend-run"),
        ("run",),
        ("run", "summit.yaml", "-j", "many"),
        ("run-graph", "x.qg"),
        ("no-such-command",),
        ("--version",),
    ],
)
def test_what_ends_at_once_imports_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """No executor listens here, and nothing of what is asked for can be done."""
    assert imported(*arguments, cwd=tmp_path) & HEAVY == set()


def test_the_list_of_commands_says_what_each_says_of_itself() -> None:
    context = click.Context(main, info_name="rapid-exec")
    ours, theirs = click.HelpFormatter(width=1000), click.HelpFormatter(width=1000)
    main.format_commands(context, ours)
    click.Group.format_commands(main, context, theirs)
    assert ours.getvalue() == theirs.getvalue()
    assert ours.getvalue().count("\n") == len(COMMANDS) + 1
