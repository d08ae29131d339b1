"""``rapid-exec plan``: how the quanta of a pipeline's steps are made."""

from __future__ import annotations

__all__ = ("plan",)

import click

from .._opening import open_to_read
from ..model import PipelinePlan, StepPlan, load_rapid_file
from ..plan import CompiledPipeline, InputKind, PipelineSource, Selector, compile_pipeline
from ._main import start_logging
from ._options import log_level

_HOW = {
    "memory": "from memory, without a query",
    "trivial": "by upstream's graph builder from data IDs in memory",
    "builder": "by upstream's graph builder, once what it reads is committed",
}


@click.command()
@click.argument("pipeline")
@click.option(
    "-b",
    "--butler-config",
    "repository",
    help="Repository.  [default: none; dataset types are as the pipeline declares them]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@log_level
def plan(pipeline: str, repository: str | None, as_json: bool, log_level: str) -> None:
    """Show how PIPELINE and its companions are planned: steps, dimensions, tasks, where inputs come from.

    Nothing is run or written.  PIPELINE is a YAML file, or FILE#LABEL,LABEL for some of its tasks, subsets or
    steps.
    """
    start_logging(log_level)
    source = PipelineSource.parse(pipeline)
    choices = load_rapid_file(source.path).pipelines
    butler = None if repository is None else open_to_read(repository)
    plans = []
    for choice in choices:
        companion = PipelineSource(source.path.parent / choice.pipeline, source.labels)
        compiled = compile_pipeline(companion, butler)
        assert compiled.graph.universe is not None, "A compiled pipeline is resolved."
        Selector(choice.where, compiled.graph.universe, f"{source.path.stem}.rapid.yaml")
        plans.append(_plan(compiled, choice.where))
    if as_json:
        click.echo("[" + ",\n".join(one.model_dump_json(indent=1) for one in plans) + "]")
        return
    for one in plans:
        _print(one)


def _plan(compiled: CompiledPipeline, where: str) -> PipelinePlan:
    return PipelinePlan(
        pipeline=str(compiled.source),
        where=where,
        hash=compiled.hash,
        steps_declared=compiled.declared_steps,
        steps=tuple(
            StepPlan(
                label=step.label,
                dimensions=tuple(step.dimensions.required),
                tasks=step.tasks,
                after=tuple(sorted(step.after)),
                planned_by=step.planner.value,
                reasons=step.reasons,
                inputs={name: str(kind) for name, kind in sorted(step.inputs.items())},
                cached=tuple(step.reads(InputKind.CALIBRATION)),
                constraints=tuple(sorted(name for part in step.parts for name in part.constraints)),
            )
            for step in compiled.steps
        ),
    )


def _print(one: PipelinePlan) -> None:
    click.echo(f"{one.pipeline} (hash {one.hash}), for {one.where or 'every exposure'}")
    if not one.steps_declared:
        click.echo("  It has no steps; these are inferred from its tasks' dimensions.")
    for step in one.steps:
        after = f", after {', '.join(step.after)}" if step.after else ""
        click.echo(f"  {step.label} per ({', '.join(step.dimensions)}){after}: {_HOW[step.planned_by]}")
        for reason in step.reasons:
            click.echo(f"    because {reason}")
        click.echo(f"    tasks: {', '.join(step.tasks)}")
        for name, kind in step.inputs.items():
            click.echo(f"    reads {name}: {kind}")
    click.echo("")
