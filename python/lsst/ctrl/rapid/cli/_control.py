"""``rapid-exec control`` and ``rapid-exec catchup``: ask and steer an executor that runs."""

from __future__ import annotations

__all__ = ("catchup", "control")

import getpass
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click

from ..control import (
    SOCKET_NAME,
    CatchUpRequest,
    Changes,
    ControlClient,
    ControlError,
    DrainRequest,
    PauseRequest,
    ReloadRequest,
    Request,
    ResumeRequest,
    SetRequest,
)
from ..model import InputError, parse, read_secret, read_yaml
from ._control_screen import print_status
from ._options import DayObs

_LISTS = ("guaranteed",)
_PATTERNS = ("pattern", "down_selection")


def _where(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say where the executor is."""
    for option in (
        click.option(
            "--token-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="File with the token that the port asks for.",
        ),
        click.option(
            "--url", help="Where the executor takes orders: http://host:port, or unix:/path/of/its/socket."
        ),
        click.option(
            "--work-dir",
            type=click.Path(file_okay=False, path_type=Path),
            default=Path("rapid-data"),
            show_default=True,
            help="Work folder of the executor, on this machine.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def control() -> None:
    """Ask and steer an executor that runs.

    It is found by its work folder, or by --url.  Exit codes: 0, done; 1, there is no executor, or it cannot
    do it now; 2, it was asked for something that is not possible (nothing was changed).
    """


@control.command("set")
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE...")
@_where
def set_(changes: tuple[str, ...], **where: Any) -> None:
    """Change what is processed, and what comes first.

    \b
    mode=waiting|consuming|preemptive   what workers do with what waits of older exposures
    pattern=raft_checkerboard           which detectors: names, numbers, ranges; several by commas
    vary=fixed|alternating|alternating-by-twos
    guaranteed=2026112200001            exposures that are processed whole; guaranteed= for none
    guaranteed_where="exposure.observation_reason = 'focus'"
    gather_timeout=5  gather_deadline=120                   seconds
    down_selection=minimal|off  down_selection_above=60  down_selection_below=10
    """  # noqa: D301 -- click's own mark: what follows is not wrapped
    asked = parse(Changes, _read_changes(changes), "control set")
    _order(SetRequest(by=_me(), changes=asked), **where)


@control.command()
@_where
def pause(**where: Any) -> None:
    """Begin nothing more; what runs goes on, arrivals are taken in."""
    _order(PauseRequest(by=_me()), **where)


@control.command()
@_where
def resume(**where: Any) -> None:
    """Go on after 'pause'."""
    _order(ResumeRequest(by=_me()), **where)


@control.command()
@_where
def drain(**where: Any) -> None:
    """Take no more arrivals, finish what has come, and end the run."""
    _order(DrainRequest(by=_me()), **where)


@control.command()
@click.option("--code", is_flag=True, help="Replace the workers, so that they run the code on disk.")
@_where
def reload(code: bool, **where: Any) -> None:
    """Read calibrations and site file anew."""
    _order(ReloadRequest(by=_me(), code=code), **where)


@control.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@_where
def status(as_json: bool, **where: Any) -> None:
    """Show how far it is, what waits, and what was changed by whom."""
    found = _told(lambda: _client(**where).status())
    if as_json:
        click.echo(found.model_dump_json(indent=1))
    else:
        print_status(found)


@click.command()
@click.option("--since", type=DayObs(), help="First observing day.")
@click.option("--where", "expression", default="", metavar="WHERE", help="Butler expression on the raws.")
@_where
def catchup(since: int | None, expression: str, **where: Any) -> None:
    """Have the executor that runs process registered raws without an outcome, newest first."""
    request = {"by": _me(), "where": expression} | ({} if since is None else {"since": since})
    _order(parse(CatchUpRequest, request, "catchup"), **where)


def _order(request: Request, **where: Any) -> None:
    click.echo(_told(lambda: _client(**where).do(request)).done)


def _told[T](ask: Callable[[], T]) -> T:
    try:
        return ask()
    except ControlError as err:
        raise click.ClickException(str(err)) from None


def _client(work_dir: Path, url: str | None, token_file: Path | None) -> ControlClient:
    token = None if token_file is None else read_secret(token_file, "--token-file")
    if url is None:
        return ControlClient(work_dir / SOCKET_NAME, token)
    scheme, _, path = url.partition(":")
    if scheme == "unix" and path:
        return ControlClient(Path(unquote(path)), token)
    return ControlClient(url, token)


def _me() -> str:
    """Return the user's name, as far as it can be sent."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = ""
    return re.sub(r"[^\w.@+\- ]", "_", name)[:64] or "somebody"


def _read_changes(written: tuple[str, ...]) -> dict[str, Any]:
    """Return what ``KEY=VALUE`` say, before it is checked.

    Raises
    ------
    InputError
        If one is not of this form, or a key comes twice.
    """
    found: dict[str, Any] = {}
    for one in written:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise InputError(f"{one!r} is not of the form KEY=VALUE.")
        if key in found:
            raise InputError(f"{key!r} is there twice.")
        found[key] = _read_value(key, value)
    return found


def _read_value(key: str, value: str) -> Any:
    if key in _LISTS:
        return [part.strip() for part in value.split(",") if part.strip()]
    if key not in _PATTERNS or value == "off":
        return value
    if value.startswith(("[", "{")):
        return read_yaml(value, key)
    return [part.strip() for part in value.split(",") if part.strip()]
