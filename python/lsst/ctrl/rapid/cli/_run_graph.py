"""``rapid-exec run-graph``."""

from __future__ import annotations

__all__ = ("execute_graph",)

import itertools
import os
from pathlib import Path

import click

from lsst.daf.butler import Butler, CollectionType, MissingDatasetTypeError
from lsst.daf.butler.registry import ConflictingDefinitionError, MissingCollectionError
from lsst.pipe.base.mp_graph_executor import MPGraphExecutorError
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
from lsst.pipe.base.quantum_reports import ExecutionStatus, Report

from .._earth_orientation import use_local_table
from ..engine import RapidGraphExecutor, describe_quantum
from ..model import InputError
from ..monitor import whole_file
from ..plan import register_run
from ._logging import log_settings, start_logging

_INPUTS_TRIED = 20
"""Datasets of each input type that are looked for, to tell a graph of another repository."""


def execute_graph(
    graph: Path,
    repo: str,
    *,
    workers: int | None,
    timeout: float | None,
    fail_fast: bool,
    raise_on_partial_outputs: bool,
    skip_existing: bool,
    clobber_outputs: bool,
    register_dataset_types: bool,
    no_versions: bool,
    summary: Path | None,
    provenance: Path | None,
) -> None:
    """Run a quantum graph as the options of ``rapid-exec run-graph`` say."""
    start_logging()
    use_local_table(tell=True)
    for file in (summary, provenance):
        if file is not None and not file.absolute().parent.is_dir():
            raise InputError(f"{file}: there is no folder {file.absolute().parent}.")
    found = _read(graph)
    with _open(repo) as butler:
        _check_repository(graph, found, repo, butler)
        _check_run(found, butler, extends=skip_existing or clobber_outputs)
        _check_types(found, repo, butler, register=register_dataset_types, versions=not no_versions)
        _initialise(found, butler, versions=not no_versions)
        executor = RapidGraphExecutor(
            butler,
            workers=workers or os.cpu_count() or 1,
            timeout=timeout,
            fail_fast=fail_fast,
            raise_on_partial_outputs=raise_on_partial_outputs,
            log=log_settings(),
            skip_existing=skip_existing,
            clobber_outputs=clobber_outputs,
        )
        try:
            executor.execute(found, provenance_graph_file=None if provenance is None else str(provenance))
        except MPGraphExecutorError:
            _tell(executor.getReport(), len(found))
            raise SystemExit(1) from None
        except RuntimeError as err:
            raise click.ClickException(str(err)) from err
        finally:
            if summary is not None:
                report = executor.getReport()
                with whole_file(summary) as temporary:
                    temporary.write_text(report.model_dump_json(exclude_none=True, indent=2))
    click.echo(f"All {len(found)} quanta are done, in RUN {found.header.output_run} of {repo}.")


def _read(path: Path) -> PredictedQuantumGraph:
    """Read a graph of either of upstream's kinds."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    try:
        return PredictedQuantumGraph.read_execution_quanta(str(path))
    except Exception as err:
        raise InputError(f"{path}: it cannot be read as a quantum graph: {_line(err)}") from err


def _open(repo: str) -> Butler:
    try:
        return Butler.from_config(repo, writeable=True)
    except (FileNotFoundError, RuntimeError) as err:
        raise InputError(f"{repo}: the repository cannot be opened: {_line(err)}") from None


def _check_repository(path: Path, graph: PredictedQuantumGraph, repo: str, butler: Butler) -> None:
    """Check that a graph was made from this repository."""
    if graph.pipeline_graph.universe != butler.dimensions:
        raise InputError(
            f"{path}: its dimensions are {graph.pipeline_graph.universe}, those of {repo} are "
            f"{butler.dimensions}; it was made from another repository."
        )
    for name, _ in graph.pipeline_graph.iter_overall_inputs():
        for dataset_id in itertools.islice(graph.datasets_by_type[name].values(), _INPUTS_TRIED):
            if butler.get_dataset(dataset_id) is None:
                raise InputError(
                    f"{path}: its {name} {dataset_id} is not in {repo}; it was made from another "
                    "repository, or this was removed since."
                )


def _check_run(graph: PredictedQuantumGraph, butler: Butler, *, extends: bool) -> None:
    run = graph.header.output_run
    try:
        butler.collections.get_info(run)
    except MissingCollectionError:
        return
    if not extends:
        raise InputError(
            f"RUN {run} exists already; go on in it with --skip-existing, --clobber-outputs or both, or make "
            "the graph for another RUN."
        )


def _check_types(
    graph: PredictedQuantumGraph, repo: str, butler: Butler, *, register: bool, versions: bool
) -> None:
    pipeline = graph.pipeline_graph
    try:
        if register:
            pipeline.register_dataset_types(butler, include_packages=versions)
        pipeline.check_dataset_type_registrations(butler, include_packages=versions)
    except MissingDatasetTypeError as err:
        raise InputError(f"{repo}: {_line(err)}; --register-dataset-types registers them.") from None
    except ConflictingDefinitionError as err:
        raise InputError(f"{repo}: {_line(err)}") from None


def _initialise(graph: PredictedQuantumGraph, butler: Butler, *, versions: bool) -> None:
    """Make the output RUN and what ``pipetask`` expects in it, and put it into the output chain."""
    run, chain = graph.header.output_run, graph.header.output
    register_run(butler, run)
    # Without default collections: through a chain, versions would be compared with those of another RUN.
    writer = butler.clone(run=run, collections=None)
    try:
        graph.write_configs(writer)
        graph.write_init_outputs(writer)
        if versions:
            graph.write_packages(writer)
    except ConflictingDefinitionError as err:
        raise InputError(f"RUN {run} was not made for this graph: {_line(err)}") from None
    if not chain:
        return
    try:
        children = butler.collections.get_info(chain).children
    except MissingCollectionError:
        butler.collections.register(chain, CollectionType.CHAINED)
        butler.collections.redefine_chain(chain, graph.header.inputs)
        children = ()
    if run not in children:
        butler.collections.prepend_chain(chain, run)


def _tell(report: Report, total: int) -> None:
    """Name the quanta that did not end well."""
    failed = [
        quantum
        for quantum in report.quantaReports
        if quantum.status in (ExecutionStatus.FAILURE, ExecutionStatus.TIMEOUT)
    ]
    for quantum in failed:
        click.echo(describe_quantum(quantum), err=True)
    done = sum(quantum.status is ExecutionStatus.SUCCESS for quantum in report.quantaReports)
    click.echo(
        f"{done} of {total} quanta are done, {len(failed)} failed, "
        f"{total - done - len(failed)} were not run.",
        err=True,
    )


def _line(err: BaseException) -> str:
    return " ".join(str(err).split()) or type(err).__name__
