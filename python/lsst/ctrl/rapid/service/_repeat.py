"""The command that repeats a shard with plain ``pipetask``."""

from __future__ import annotations

__all__ = ("repeat_command",)

import getpass
import shlex
import time
from collections.abc import Sequence, Set
from pathlib import Path

from ..model import Shard
from ..plan import CompiledPipeline, InputKind, Step
from ._settings import RunSettings


def repeat_command(
    settings: RunSettings,
    pipeline: CompiledPipeline,
    shard: Shard,
    run: str,
    inputs: Sequence[str],
    scratch: Set[str],
) -> str:
    """Return the command that repeats a shard with plain ``pipetask``, into a RUN of its own.

    Parameters
    ----------
    settings
        What the run was told.
    pipeline
        The shard's pipeline.
    shard
        The shard.
    run
        Its RUN; the products of earlier steps are read from there.
    inputs
        Input collections.
    scratch
        Names of the dataset types that are not kept: steps that make what it reads of them are repeated, too.

    Notes
    -----
    It is for a shell, and finds what this process found: the same environment (PYTHONPATH) is needed.
    """
    step = pipeline.step(shard.step)
    repeated = _with_makers(pipeline, step, scratch)
    # Steps that were inferred are unknown to upstream.
    labels = [label for one in repeated for label in ((one.label,) if pipeline.declared_steps else one.tasks)]
    assert pipeline.source is not None, "A pipeline that is run was read from a file."
    source = pipeline.source.part(labels, [task for one in repeated for task in one.tasks])
    where = [f"instrument='{shard.instrument}'"]
    if shard.day_obs is not None:
        where.append(f"day_obs={shard.day_obs}")
    elif shard.group is None:
        where.append(f"exposure={shard.exposure}")
    else:
        where.append(f"group='{shard.group}'")
    if shard.detector is not None:
        where.append(f"detector={shard.detector}")
    elif settings.detectors and any("detector" in one.data_dimensions for one in repeated):
        where.append(f"detector IN ({','.join(map(str, settings.detectors))})")
    reads = any(one.reads(InputKind.EARLIER_STEP) for one in repeated)
    collections = [run, *inputs] if reads else [*inputs]
    of = shard.day_obs or shard.group or shard.exposure
    name = "-".join(map(str, [step.label, of, *([] if shard.detector is None else [shard.detector])]))
    words = [
        "pipetask", "run", "-b", _absolute(settings.repository), *source.words,
        "-i", ",".join(dict.fromkeys(collections)),
        "--output-run", f"u/{_user()}/repeat/{name}/{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}",
    ]  # fmt: skip
    return f"{shlex.join(words)} -d {_quoted(' AND '.join(where))}"


def _with_makers(pipeline: CompiledPipeline, step: Step, scratch: Set[str]) -> list[Step]:
    """Return a step and those that make the scratch that it reads, in the order in which they run."""
    wanted = {step.label}
    for one in reversed(pipeline.steps):
        if one.label in wanted:
            names = scratch & set(one.reads(InputKind.EARLIER_STEP))
            makers = {node.label for name in names if (node := pipeline.graph.producer_of(name))}
            wanted |= {earlier.label for earlier in pipeline.steps if makers & set(earlier.tasks)}
    return [one for one in pipeline.steps if one.label in wanted]


def _quoted(where: str) -> str:
    """Quote an expression, which is full of single quotes, as a person would."""
    return shlex.quote(where) if set(where) & set('"\\$`!') else f'"{where}"'


def _absolute(repository: str) -> str:
    path = Path(repository)
    return str(path.resolve()) if path.exists() else repository


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "nobody"
