"""``rapid-exec plan``: how the quanta of a pipeline's steps are made."""

from __future__ import annotations

__all__ = ("plan",)

from typing import TYPE_CHECKING

import click

from ..model import PipelinePlan, StepPlan
from ._logging import log_options, start_logging
from ._pipeline_options import PipelineCommand, find_pipeline, override_options

if TYPE_CHECKING:
    from ..plan import CompiledPipeline

_HOW = {
    "memory": "from memory, without a query",
    "trivial": "by upstream's graph builder from data IDs in memory",
    "builder": "by upstream's graph builder, once what it reads is committed",
}


@click.command(cls=PipelineCommand)
@click.argument("pipeline")
@override_options
@click.option(
    "-b",
    "--butler-config",
    "repository",
    help="Repository.  [default: none; dataset types are as the pipeline declares them]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@log_options
def plan(
    pipeline: str, overrides: tuple[tuple[str, str], ...], repository: str | None, as_json: bool
) -> None:
    """Show how PIPELINE and its companions are planned: steps, dimensions, tasks, where inputs come from.

    Nothing is run or written.  PIPELINE is a YAML file, or FILE#LABEL,LABEL for some of its tasks, subsets or
    steps.
    """
    from .._opening import open_to_read
    from ..plan import Selector, compile_pipeline, read_choices

    start_logging()
    source = find_pipeline(pipeline, overrides)
    butler = None if repository is None else open_to_read(repository)
    plans = []
    for choice, companion in read_choices(source).pairs:
        compiled = compile_pipeline(companion, butler)
        assert compiled.graph.universe is not None, "A compiled pipeline is resolved."
        Selector(choice.where, compiled.graph.universe, f"{source.name}.rapid.yaml")
        plans.append(_plan(compiled, choice.where))
    if as_json:
        click.echo("[" + ",\n".join(one.model_dump_json(indent=1) for one in plans) + "]")
        return
    for one in plans:
        _print(one)


def _plan(compiled: CompiledPipeline, where: str) -> PipelinePlan:
    from ..plan import InputKind

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
