"""The command group, and what all commands share."""

from __future__ import annotations

__all__ = ("main", "start_logging")

import contextlib
import importlib
import logging
import signal
import sys
from types import FrameType
from typing import Any, NoReturn, override

import click

from .. import __version__
from .._phases import arm
from .._startup import fork_server_from_here, start_fork_server, uncollected, worker_environment
from ..model import InputError, is_full

_COMMANDS = {
    "run": "._run",
    "run-graph": "._run_graph",
    "doctor": "._doctor",
    "control": "._control",
    "status": "._control",
    "catchup": "._control",
    "init-repo": "._repository",
    "ingest-raws": "._repository",
    "simulate": "._simulate",
    "plan": "._plan",
    "export-graph": "._export_graph",
    "report": "._report",
    "check": "._check",
    "new-channel": "._new_channel",
    "test-channels": "._test_channels",
    "bench": "._bench",
    "soak": "._soak",
}
_FORKING = {"run", "run-graph"}
"""Commands that start workers."""
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
        module = importlib.import_module(_COMMANDS[cmd_name], __package__)
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Import the command, and have its workers forked from what is imported."""
        forking = args[0] in _FORKING and not {"-h", "--help"} & set(args) and not ctx.resilient_parsing
        if forking and not self._is_program:
            start_fork_server([_PRELOAD])
            forking = False
        with uncollected(), worker_environment() if forking else contextlib.nullcontext():
            found = super().resolve_command(ctx, args)
            if forking:
                importlib.import_module("lsst.ctrl.rapid.channels")
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
        except InputError as err:
            raise click.UsageError(str(err)) from None
        except (PermissionError, NotADirectoryError, IsADirectoryError) as err:
            raise click.ClickException(f"{err.filename}: {err.strerror}") from err
        except OSError as err:
            if not is_full(err):
                raise
            raise click.ClickException(f"{err.filename}: {err.strerror}") from err
        except Exception as err:
            from ..plan import is_away  # imports the middleware, which '--help' must not wait for

            if not is_away(err):
                raise
            told = " ".join(str(getattr(err, "orig", err)).split())
            raise click.ClickException(f"the registry is out of reach ({told}).") from err


def _terminate(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 -- the signal's signature
    """End the command, which first removes what it made for itself; a second SIGTERM ends it at once."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(_TERMINATED)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rapid-exec")
def main() -> None:
    """Reduce every image within seconds of shutter close.

    Exit codes: 0, the command did what it should; 1, it could not; 2, it was asked for something that is not
    possible (nothing was changed); 3, it was told to stop and gave up what did not end in time; 130, it was
    interrupted twice; 143, it was terminated.
    """


def start_logging(level: str) -> None:
    """Send log lines to the terminal: ours from ``level`` on, those of the middleware from WARNING on."""
    logging.basicConfig(
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%H:%M:%S",
        level=logging.WARNING,
        force=True,
    )
    logging.getLogger("lsst.ctrl.rapid").setLevel(level.upper())
    # It says at every start that EUPS is not here, which is no fault where packages come from PyPI.
    logging.getLogger("lsst.utils.packages").setLevel(logging.ERROR)
    for noisy in ("distributed", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
