"""``rapid-exec export-graph``: the quantum graph of what was run."""

from __future__ import annotations

__all__ = ("export_graph",)

from pathlib import Path

import click

from ..model import InputError
from ._logging import log_options, start_logging
from ._options import make_place_for


@click.command()
@click.argument("run")
@click.option("-b", "--butler-config", "repository", required=True, help="Repository.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; it must end with .qg.  [default: made of the RUN's name]",
)
@log_options
def export_graph(run: str, repository: str, output: Path | None) -> None:
    """Write the quantum graph of what was run in RUN, for 'pipetask report' and other tools of upstream.

    The graph has every quantum that was planned, also those that failed or were blocked by a failure.
    """
    from .._opening import open_to_read
    from ..commit import export_graph as export

    start_logging()
    path = output or Path(f"{run.replace('/', '_')}.qg")
    if path.suffix != ".qg":
        raise InputError(f"{path}: a quantum graph's file name ends with .qg.")
    make_place_for(path, "-o")
    with open_to_read(repository) as butler:
        try:
            graph = export(butler, run)
        except FileNotFoundError as err:
            raise InputError(f"{run}: {err.filename} is gone, of which the graph would be made.") from None
    # Upstream tells formats by suffix, so the temporary name keeps it.
    temporary = path.with_name(f".{path.stem}.tmp.qg")
    graph.write(str(temporary))
    temporary.replace(path)
    click.echo(f"{len(graph.quantum_datasets)} quanta of {run} are in {path}.")
