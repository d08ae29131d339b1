"""The options of ``rapid-exec run-graph``."""

from __future__ import annotations

__all__ = ("run_graph",)

from pathlib import Path
from typing import Any

import click

from ._logging import log_options
from ._options import workers_option
from ._pipeline_options import PipelineCommand

_NEW_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("run-graph", cls=PipelineCommand)
@click.argument("graph", type=click.Path(path_type=Path))
@click.option("-b", "--butler-config", "repo", required=True, help="Repository that the graph was made from.")
@workers_option
@click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Seconds that a quantum may take.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first failure.")
@click.option(
    "--raise-on-partial-outputs/--no-raise-on-partial-outputs",
    default=True,
    show_default=True,
    help="Whether a task that says that its outputs are partial has failed.",
)
@click.option("--skip-existing", is_flag=True, help="Leave quanta that are done in the RUN as they are.")
@click.option("--clobber-outputs", is_flag=True, help="Remove what an earlier attempt left in the RUN.")
@click.option("--register-dataset-types", is_flag=True, help="Register what the pipeline reads and writes.")
@click.option("--no-versions", is_flag=True, help="Neither save nor check package versions.")
@click.option("--summary", type=_NEW_FILE, help="Write the report here, JSON as of pipetask run --summary.")
@click.option("--provenance", type=_NEW_FILE, help="Write the provenance quantum graph here.")
@log_options
def run_graph(graph: Path, repo: str, **options: Any) -> None:
    """Run the quantum graph in the file GRAPH on warm workers, into the RUN that it was made for.

    Exit code 1 when quanta failed; they are named, and the others have been run unless --fail-fast is given.
    """
    from ._run_graph import execute_graph

    execute_graph(graph, repo, **options)
