"""``--log-level`` and ``--log-file``, as upstream's commands have them."""

from __future__ import annotations

__all__ = ("log_options", "log_settings", "start_logging")

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..model import LogSettings

_KEY = __name__
"""Where a command line's log options are kept, in click's context."""

_OURS = "lsst.ctrl.rapid"


def log_options[C: Callable[..., Any]](command: C) -> C:
    """Add ``--log-level`` and ``--log-file``; `start_logging` does what they ask for.

    They may stand before the command, as with upstream's, or after it.
    """
    for option in (
        click.option(
            "--log-file",
            multiple=True,
            metavar="FILE",
            expose_value=False,
            callback=_keep_files,
            help="File to which log lines are appended, as JSON if its name ends with .json; repeatable.",
        ),
        click.option(
            "--log-level",
            multiple=True,
            metavar="LEVEL|COMPONENT=LEVEL",
            expose_value=False,
            callback=_keep_levels,
            help="Least important lines that are logged, of everything of lsst or of a component: CRITICAL, "
            "ERROR, WARNING, INFO, VERBOSE, DEBUG or TRACE; repeatable.",
        ),
    ):
        command = option(command)
    return command


def log_settings() -> LogSettings:
    """Return what the log options of this command line ask for."""
    from ..model import LogSettings

    kept = _kept()
    return LogSettings(
        tuple(dict(kept.get("levels", ())).items()),
        tuple(dict.fromkeys(kept.get("files", ()))),
    )


def start_logging(default: str = "INFO") -> None:
    """Send log lines to the terminal, and to the files of ``--log-file``.

    Parameters
    ----------
    default
        Level of this package's lines where ``--log-level`` names none; those of the middleware are shown from
        WARNING on then.
    """
    asked = log_settings()
    logging.basicConfig(
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%H:%M:%S",
        level=logging.WARNING,
        force=True,
    )
    plain = any(not component for component, _ in asked.levels)
    logging.getLogger("lsst").setLevel(logging.NOTSET)
    logging.getLogger(_OURS).setLevel(logging.NOTSET if plain else default)
    # It says at every start that EUPS is not here, which is no fault where packages come from PyPI.
    logging.getLogger("lsst.utils.packages").setLevel(logging.ERROR)
    for noisy in ("distributed", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    if asked.levels:
        from lsst.daf.butler.cli.cliLog import CliLog

        CliLog.setLogLevels([(component or None, level) for component, level in asked.levels])
    for file in asked.files:
        logging.getLogger().addHandler(_file_handler(file))


def _file_handler(file: str) -> logging.Handler:
    """Return what appends to a file, in upstream's long format, which has the time in it."""
    from lsst.daf.butler.cli.cliLog import CliLog, PrecisionLogFormatter
    from lsst.daf.butler.logging import ButlerMDC, JsonLogFormatter

    ButlerMDC.add_mdc_log_record_factory()
    handler = logging.FileHandler(file)
    handler.setFormatter(
        JsonLogFormatter()
        if file.endswith(".json")
        else PrecisionLogFormatter(fmt=CliLog.pylog_longLogFmt, style="{")
    )
    return handler


def _kept() -> dict[str, list[Any]]:
    context = click.get_current_context(silent=True)
    return {} if context is None else context.meta.setdefault(_KEY, {})


def _keep_levels(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> None:
    for value in values:
        for one in value.split(","):
            context.meta.setdefault(_KEY, {}).setdefault("levels", []).append(_level(one, context, parameter))


def _level(text: str, context: click.Context, parameter: click.Parameter) -> tuple[str, str]:
    from ..model import LOG_LEVELS, did_you_mean

    component, _, level = text.rpartition("=")
    if level.upper() not in LOG_LEVELS:
        raise click.BadParameter(
            f"{level!r} is not a level{did_you_mean(level.upper(), LOG_LEVELS)} "
            f"Levels are {', '.join(LOG_LEVELS)}.",
            context,
            parameter,
        )
    return component.strip(), level.upper()


def _keep_files(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> None:
    for value in values:
        for file in filter(None, value.split(",")):
            path = Path(file).absolute()
            if path.is_dir() or not path.parent.is_dir():
                raise click.BadParameter(
                    f"{file!r} cannot be written: it is a folder, or its folder is missing.",
                    context,
                    parameter,
                )
            context.meta.setdefault(_KEY, {}).setdefault("files", []).append(str(path))
