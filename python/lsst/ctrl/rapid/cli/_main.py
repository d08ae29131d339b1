"""The command group, and what all commands share."""

from __future__ import annotations

__all__ = ("main",)

import importlib
import signal
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, NamedTuple, NoReturn, override

import click

from .. import __version__
from .._startup import fork_server_from_here, start_fork_server, uncollected, worker_environment
from ._logging import log_options


class _Entry(NamedTuple):
    """Where a command is, and what the list of commands says of it.

    Attributes
    ----------
    module
        Module whose import defines the command's options.
    help
        Beginning of the command's own help, at least its first sentence.
    needs
        Modules that a command which starts workers runs with: workers are forked from what they import.
    """

    module: str
    help: str
    needs: tuple[str, ...] = ()


_COMMANDS: Mapping[str, _Entry] = {
    "run": _Entry(
        "._run_command",
        "Run PIPELINE on raws as they arrive, on warm workers, and register what they give.",
        needs=("._run", "lsst.ctrl.rapid.channels"),
    ),
    "run-graph": _Entry(
        "._run_graph_command",
        "Run the quantum graph in the file GRAPH on warm workers, into the RUN that it was made for.",
        needs=("._run_graph", "lsst.ctrl.rapid.channels"),
    ),
    "doctor": _Entry(
        "._doctor", "Look whether a run with the same options could do its work tonight; nothing is changed."
    ),
    "control": _Entry("._control", "Ask and steer an executor that runs."),
    "status": _Entry("._control", "Show how far it is, what waits, and what was changed by whom."),
    "catchup": _Entry(
        "._control",
        "Have the executor that runs process registered raws without an outcome, newest first.",
    ),
    "init-repo": _Entry(
        "._repository", "Make a repository at REPO that takes raws, or add instruments to one."
    ),
    "ingest-raws": _Entry(
        "._repository",
        "Register raw FILES in a repository; a raw that is there already stays as it is.",
    ),
    "simulate": _Entry("._simulate", "Write simulated raws, in the real format, to DIRECTORY."),
    "plan": _Entry(
        "._plan",
        "Show how PIPELINE and its companions are planned: steps, dimensions, tasks, where inputs come from.",
    ),
    "export-graph": _Entry(
        "._export_graph",
        "Write the quantum graph of what was run in RUN, for 'pipetask report' and other tools of upstream.",
    ),
    "report": _Entry("._report", "Show where the time of the shards in a report went, and draw it."),
    "check": _Entry(
        "._check",
        "Tell what became of every file that was sent, and whether nothing is registered twice or half.",
    ),
    "new-channel": _Entry(
        "._new_channel",
        "Write a channel NAME that already runs: task, config, connections, unit test, a line in a pipeline.",
    ),
    "test-channels": _Entry(
        "._test_channels",
        "Test the channels of PIPELINE and its companions with plain pipetask, on simulated exposures.",
    ),
    "bench": _Entry(
        "._bench",
        "Measure SUITE: the executor and what it is compared with, on this machine, in one run.",
    ),
    "soak": _Entry(
        "._soak",
        "Have an executor run PIPELINE under random faults, then tell whether everything balances.",
    ),
}
_TERMINATED = 128 + signal.SIGTERM
_PRELOAD = f"{__package__}._forked"


class _Lazy(click.Group):
    """A group that imports a command only when it is used, so that ``--help`` is quick."""

    _is_program = False

    @override
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Be the program of this process, not something that another program calls."""
        self._is_program = True
        return super().__call__(*args, **kwargs)

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name].module, __package__)
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any of them."""
        limit = formatter.width - 6 - max(map(len, _COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, click.Command(name, help=entry.help).get_short_help_str(limit))
                    for name, entry in _COMMANDS.items()
                ]
            )

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Import the command, and have its workers forked from what is imported."""
        needs = _COMMANDS[args[0]].needs if args[0] in _COMMANDS else ()
        if not needs or {"-h", "--help"} & set(args) or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        if not self._is_program:
            start_fork_server([_PRELOAD])
            return super().resolve_command(ctx, args)
        from .._phases import arm

        with uncollected(), worker_environment():
            found = name, command, words = super().resolve_command(ctx, args)
            assert command is not None, "Otherwise click has refused it."
            # What is wrong in the options is said before the rest is imported.
            command.make_context(name, list(words), parent=ctx).close()
            for module in needs:
                importlib.import_module(module, __package__)
            arm()
            fork_server_from_here([_PRELOAD])
            return found

    @override
    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; bad input ends with one line and exit code 2, SIGTERM as Ctrl-C would."""
        if self._is_program:
            signal.signal(signal.SIGTERM, _terminate)
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as err:
            if (told := _explained(err)) is None:
                raise
            raise told from (None if isinstance(told, click.UsageError) else err)


def _explained(err: Exception) -> click.ClickException | None:
    """Return an error as one line for a person; `None` if it is a fault of the program."""
    from ..model import InputError, is_full

    match err:
        case InputError():
            return click.UsageError(str(err))
        case PermissionError() | NotADirectoryError() | IsADirectoryError():
            return click.ClickException(f"{err.filename}: {err.strerror}")
        case OSError():
            return click.ClickException(f"{err.filename}: {err.strerror}") if is_full(err) else None
        case _:
            from ..plan import is_away

            if not is_away(err):
                return None
            told = " ".join(str(getattr(err, "orig", err)).split())
            return click.ClickException(f"the registry is out of reach ({told}).")


def _terminate(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 -- the signal's signature
    """End the command, which first removes what it made for itself; a second SIGTERM ends it at once."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(_TERMINATED)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rapid-exec")
@log_options
def main() -> None:
    """Reduce every image within seconds of shutter close.

    Exit codes: 0, the command did what it should; 1, it could not; 2, it was asked for something that is not
    possible (nothing was changed); 3, it was told to stop and gave up what did not end in time; 130, it was
    interrupted twice; 143, it was terminated.
    """
