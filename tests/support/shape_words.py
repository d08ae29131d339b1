"""What shapes of pipelines are said with, and how they become a pipeline's YAML."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from lsst.ctrl.rapid.plan import PipelineSource, Planner

type Dimensions = tuple[str, ...]

D: Dimensions = ("instrument", "exposure", "detector")
E: Dimensions = ("instrument", "exposure")
V: Dimensions = ("instrument", "visit")
VD: Dimensions = ("instrument", "visit", "detector")
G: Dimensions = ("instrument", "group")
GD: Dimensions = ("instrument", "group", "detector")


@dataclasses.dataclass(frozen=True)
class Connection:
    """A connection of a task; its name is that of its dataset type unless one is given."""

    dataset_type: str
    dimensions: Dimensions = ()
    storage_class: str = "StructuredDataDict"
    name: str = ""
    multiple: bool = False
    calibration: bool = False
    minimum: int = 1
    mocked: bool = True

    @property
    def label(self) -> str:
        """The name that the task gives it."""
        return self.name or self.dataset_type.replace(".", "_")

    def __str__(self) -> str:
        values = {
            "dataset_type_name": self.dataset_type,
            "dimensions": list(self.dimensions),
            "storage_class": self.storage_class,
            "is_calibration": self.calibration,
            "multiple": self.multiple,
            "minimum": self.minimum,
            "mock_storage_class": self.mocked,
        }
        return f"DynamicConnectionConfig({', '.join(f'{k}={v!r}' for k, v in values.items())})"


def one(
    dataset_type: str, /, dimensions: Dimensions = D, storage_class: str = "StructuredDataDict", **more: Any
) -> Connection:
    """One dataset for each quantum."""
    return Connection(dataset_type, dimensions, storage_class, **more)


def many(
    dataset_type: str, /, dimensions: Dimensions = D, storage_class: str = "StructuredDataDict", **more: Any
) -> Connection:
    """Several datasets for each quantum."""
    return Connection(dataset_type, dimensions, storage_class, multiple=True, **more)


RAW = one("raw", D, "RapidRaw", mocked=False)
RAWS = many("raw", D, "RapidRaw", mocked=False)
BIAS = one("toy_bias", ("instrument", "detector"), calibration=True)
FLAT = one("toy_flat", ("instrument", "detector", "physical_filter"), calibration=True)
CAMERA = one("camera", ("instrument",), calibration=True)


@dataclasses.dataclass(frozen=True)
class Task:
    """A task of a shape; see `support.shape_tasks.ShapeConfig` for what ``config`` may say."""

    dimensions: Dimensions
    reads: Sequence[Connection] = ()
    writes: Sequence[Connection] = ()
    needs: Sequence[Connection] = ()
    built_with: Sequence[Connection] = ()
    builds: Sequence[Connection] = ()
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    task_class: str = "ShapeTask"

    @property
    def content(self) -> Mapping[str, Any]:
        """What a pipeline's YAML says of it."""
        lines = ["from lsst.pipe.base.tests.mocks import DynamicConnectionConfig"]
        lines.append(f"config.dimensions = {list(self.dimensions)!r}")
        for field, connections in (
            ("inputs", self.reads),
            ("outputs", self.writes),
            ("prerequisite_inputs", self.needs),
            ("init_inputs", self.built_with),
            ("init_outputs", self.builds),
        ):
            lines += [f"config.{field}[{c.label!r}] = {c}" for c in connections]
        lines += [f"config.{name} = {value!r}" for name, value in self.config.items()]
        return {"class": f"support.shape_tasks.{self.task_class}", "config": {"python": "\n".join(lines)}}


@dataclasses.dataclass(frozen=True)
class Plain:
    """A task whose connections are in its class, as a pipeline's YAML says it."""

    task_class: str
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def content(self) -> Mapping[str, Any]:
        """What a pipeline's YAML says of it."""
        return {"class": f"support.shape_tasks.{self.task_class}", "config": dict(self.config)}


@dataclasses.dataclass(frozen=True)
class Step:
    """A step: its sharding dimensions, its tasks, and how it must be planned."""

    dimensions: Dimensions
    tasks: Sequence[str]
    planner: Planner = Planner.MEMORY


@dataclasses.dataclass(frozen=True)
class Shape:
    """A pipeline, and how it must be planned.

    Attributes
    ----------
    feature
        The feature of upstream's pipelines that it has.
    name
        What is special about it.
    tasks
        Its tasks by label.
    steps
        Its steps by label.
    more
        What else its YAML says: ``parameters``, ``instrument``.
    labels
        Labels that are taken of it, as of ``file.yaml#a,b``.
    names
        Dataset types that it must have, where that is decided outside of its tasks.
    like
        Whose quanta it must have: those of upstream's graph of each step alone, or of the whole pipeline.
        They differ where an earlier step leaves out some of what constrains a later one.
    """

    feature: str
    name: str
    tasks: Mapping[str, Task | Plain]
    steps: Mapping[str, Step]
    more: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    labels: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    like: Literal["step", "pipeline"] = "step"

    def __str__(self) -> str:
        return f"{self.feature}: {self.name}"

    @property
    def taken(self) -> set[str]:
        """Labels of the tasks that are taken."""
        if not self.labels:
            return set(self.tasks)
        return {
            task
            for label in self.labels
            for task in (self.steps[label].tasks if label in self.steps else [label])
        }

    @property
    def run(self) -> str:
        """The RUN that its quanta write to: its own, so that shapes do not disturb each other."""
        return f"shapes/{self}".replace(" ", "_").replace(":", "").replace(",", "").replace("#", "")


def write_pipeline(shape: Shape, folder: Path) -> PipelineSource:
    """Write a shape's pipeline to a folder."""
    content = {
        "description": str(shape),
        **shape.more,
        "tasks": {label: task.content for label, task in shape.tasks.items()},
        "subsets": {label: {"subset": list(step.tasks)} for label, step in shape.steps.items()},
        "steps": [
            {"label": label, "dimensions": list(step.dimensions)} for label, step in shape.steps.items()
        ],
    }
    path = folder / "shape.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return PipelineSource(path, shape.labels)
