"""What commands that take a pipeline or its graph share with ``pipetask``."""

from __future__ import annotations

__all__ = ("PipelineCommand", "find_pipeline", "override_options")

import importlib.resources
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, override

import click

from ._advice import advise

if TYPE_CHECKING:
    from ..plan import PipelineSource

_PACKAGE = "lsst.ctrl.rapid"
_FOLDER = "resources/pipelines"
_OVERRIDES = ("config", "config_file")


class PipelineCommand(click.Command):
    """A command whose users know ``pipetask``.

    It passes ``--config`` and ``--config-file`` on as ``overrides``, in the order of the command line, and
    says what to use in the place of an option that only ``pipetask`` has.
    """

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            values, _, order = self.make_parser(ctx).parse_args(list(args))
        except click.NoSuchOption as err:
            if (advice := advise(err.option_name)) is None:
                raise
            raise click.UsageError(f"{err.option_name} is an option of pipetask: {advice}", ctx) from None
        left = super().parse_args(ctx, args)
        if any(parameter.name in _OVERRIDES for parameter in self.params):
            # click keeps the order of each option's values alone.
            kept = {name: iter(values.get(name) or ()) for name in _OVERRIDES}
            ctx.params["overrides"] = tuple(
                (max(parameter.opts, key=len), next(kept[parameter.name]))
                for parameter in order
                if parameter.name in kept
            )
        return left


def override_options[C: Callable[..., Any]](command: C) -> C:
    """Add ``--config`` and ``--config-file``."""
    for option in (
        click.option(
            "-C",
            "--config-file",
            multiple=True,
            metavar="LABEL:FILE",
            expose_value=False,
            help="File that changes the configuration of the task of this label; repeatable.",
        ),
        click.option(
            "-c",
            "--config",
            multiple=True,
            metavar="LABEL:FIELD=VALUE",
            expose_value=False,
            help="Value of a field in the configuration of the task of this label; repeatable, and used with "
            "-C in their order.",
        ),
    ):
        command = option(command)
    return command


def find_pipeline(name: str, overrides: Iterable[tuple[str, str]]) -> PipelineSource:
    """Return the pipeline of a file, a URI, or of a file that comes with the package.

    Parameters
    ----------
    name
        What was typed.  A name without a folder is looked for in the current folder, then in the package.
    overrides
        Pairs of option and value, as `PipelineCommand` gives them.

    Raises
    ------
    InputError
        If it is neither a file nor a URI, or a name that neither place has.
    """
    from ..model import InputError, did_you_mean
    from ..plan import PipelineSource, parse_overrides

    source = PipelineSource.parse(name, parse_overrides(overrides))
    if not isinstance(source.location, Path) or source.location.name != str(source.location):
        return source
    if source.location.exists() or source.location.is_symlink():
        return source
    packaged = importlib.resources.files(_PACKAGE).joinpath(_FOLDER)
    known = sorted(entry.name for entry in packaged.iterdir() if entry.name.endswith(".yaml"))
    pipelines = [one for one in known if not one.endswith(".rapid.yaml")]
    if source.file_name not in known:
        here = [path.name for path in Path.cwd().glob("*.yaml") if not path.name.endswith(".rapid.yaml")]
        raise InputError(
            f"there is no pipeline {source.file_name!r} in {Path.cwd()}, and none comes with {_PACKAGE}"
            f"{did_you_mean(source.file_name, {*pipelines, *here})}"
        )
    uri = f"resource://{_PACKAGE}/{_FOLDER}/{source.file_name}"
    click.echo(f"{source.file_name} is not in {Path.cwd()}: taking {uri}.", err=True)
    return PipelineSource(uri, source.labels, source.overrides)
