"""Tasks of every shape, made of upstream's mocks: they can be run, and write where their inputs came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import lsst.pipe.base as pb
from lsst.pex.config import DictField, Field, ListField
from lsst.pipe.base import connectionTypes as ct
from lsst.pipe.base.tests.mocks import (
    DynamicTestPipelineTask,
    DynamicTestPipelineTaskConfig,
    MockStorageClass,
)
from lsst.pipe.base.tests.mocks._pipeline_task import DynamicTestPipelineTaskConnections

type _Adjusted = tuple[dict[str, Any], dict[str, Any]]


class ShapeCam(pb.Instrument):
    """An instrument with configuration overrides of its own."""

    configPaths: ClassVar[list[str]] = [str(Path(__file__).parent / "shape_configs")]  # noqa: N815
    policyName = "shapeCam"  # noqa: N815

    @classmethod
    def getName(cls) -> str:
        return "ShapeCam"

    def register(self, registry: Any, *, update: bool = False) -> None:
        raise NotImplementedError

    def getRawFormatter(self, dataId: Any) -> Any:
        raise NotImplementedError


def _even(data_id: Any) -> bool:
    return data_id["detector"] % 2 == 0


def _refuse_even(inputs: Any, outputs: Any, data_id: Any) -> _Adjusted:
    if _even(data_id):
        raise pb.NoWorkFound(f"nothing to do for detector {data_id['detector']}")
    return {}, {}


def _refuse_all(inputs: Any, outputs: Any, data_id: Any) -> _Adjusted:
    raise pb.NoWorkFound("nothing to do")


def _keep_last_two(inputs: Any, outputs: Any, data_id: Any) -> _Adjusted:
    name, (connection, refs) = next((n, v) for n, v in inputs.items() if v[0].multiple)
    return {name: (connection, list(refs)[-2:])}, {}


def _write_odd(inputs: Any, outputs: Any, data_id: Any) -> _Adjusted:
    name, (connection, refs) = next((n, v) for n, v in outputs.items() if v[0].multiple)
    return {}, {name: (connection, [ref for ref in refs if not _even(ref.dataId)])}


def _write_nothing(inputs: Any, outputs: Any, data_id: Any) -> _Adjusted:
    return {}, {name: (connection, []) for name, (connection, _) in outputs.items()}


ADJUSTMENTS: Mapping[str, Callable[[Any, Any, Any], _Adjusted]] = {
    "": lambda *_: ({}, {}),
    "refuses even detectors": _refuse_even,
    "refuses all": _refuse_all,
    "keeps the last two": _keep_last_two,
    "writes odd detectors": _write_odd,
    "writes nothing of its own": _write_nothing,
}
"""What a task's ``adjustQuantum`` does."""


def _of_its_own(dataset_type: Any, registry: Any, data_id: Any, collections: Sequence[str]) -> list[Any]:
    """Find the oldest dataset that was ever made, certified or not."""
    known = {d: data_id[d] for d in dataset_type.dimensions.required}
    return [registry.findDataset(dataset_type, known, collections=["made"])]


def _of_all_detectors(dataset_type: Any, registry: Any, data_id: Any, collections: Any) -> list[Any]:
    return sorted(
        registry.queryDatasets(dataset_type, collections=["made"], instrument=data_id["instrument"])
    )


def _of_none(*_: Any) -> list[Any]:
    return []


LOOKUPS: Mapping[str, Callable[..., list[Any]]] = {
    "finds what was made first": _of_its_own,
    "finds those of all detectors": _of_all_detectors,
    "finds nothing": _of_none,
}
"""What a connection's ``lookupFunction`` does."""


class ShapeConnections(DynamicTestPipelineTaskConnections, dimensions=()):
    """Connections that the mocks can be configured to have, and all that theirs cannot say."""

    config: Any

    def __init__(self, *, config: Any) -> None:
        super().__init__(config=config)
        for name in config.deferred:
            self._change(name, deferLoad=True)
        for name in config.unconstraining:
            self._change(name, deferGraphConstraint=True)
        for name, lookup in config.lookups.items():
            self._change(name, lookupFunction=LOOKUPS[lookup])

    def _change(self, name: str, **values: Any) -> None:
        setattr(self, name, dataclasses.replace(getattr(self, name), **values))

    def adjustQuantum(self, inputs: Any, outputs: Any, label: str, data_id: Any) -> Any:
        adjusted = ADJUSTMENTS[self.config.adjust](inputs, outputs, data_id)
        super().adjustQuantum({**inputs, **adjusted[0]}, {**outputs, **adjusted[1]}, label, data_id)
        return adjusted

    def getSpatialBoundsConnections(self) -> Iterable[str]:
        return list(self.config.spatial_bounds)

    def getTemporalBoundsConnections(self) -> Iterable[str]:
        return list(self.config.temporal_bounds)


class ShapeConfig(DynamicTestPipelineTaskConfig, pipelineConnections=ShapeConnections):
    """The mocks' configuration, with what theirs cannot say."""

    deferred = ListField[str]("Inputs that are loaded late.", default=[])
    unconstraining = ListField[str]("Inputs that do not constrain the graph.", default=[])
    lookups = DictField[str, str](doc="Look-ups by connection.", keytype=str, itemtype=str, default={})
    adjust = Field[str]("What adjustQuantum does.", default="")
    spatial_bounds = ListField[str]("Connections that give the region.", default=[])
    temporal_bounds = ListField[str]("Connections that give the time.", default=[])


class ShapeTask(DynamicTestPipelineTask):
    """A task whose connections are all in its configuration."""

    ConfigClass: ClassVar = ShapeConfig
    _DefaultName: ClassVar = "shape"


class TogetherConnections(ShapeConnections, dimensions=()):
    """Connections that adjust all quanta of a task together."""

    def adjust_all_quanta(self, adjuster: Any) -> None:
        """Leave out the even detectors, where there are detectors."""
        for data_id in list(adjuster.iter_data_ids()):
            if "detector" in data_id.dimensions and _even(data_id):
                adjuster.remove_quantum(data_id)


class TogetherConfig(ShapeConfig, pipelineConnections=TogetherConnections):
    """Configuration of `TogetherTask`."""


class TogetherTask(DynamicTestPipelineTask):
    """A task that adjusts all of its quanta together."""

    ConfigClass: ClassVar = TogetherConfig
    _DefaultName: ClassVar = "together"


_DICT = MockStorageClass.get_or_register_mock("StructuredDataDict").name


class ChangingConnections(
    DynamicTestPipelineTaskConnections,
    dimensions=("instrument", "exposure", "detector"),
    defaultTemplates={"prefix": "plain"},
):
    """Connections of which a configuration takes some away; their names can be overridden."""

    raw = ct.Input(
        doc="", name="raw", storageClass="RapidRaw", dimensions=("instrument", "exposure", "detector")
    )
    flat = ct.PrerequisiteInput(
        doc="",
        name="toy_flat",
        storageClass=_DICT,
        dimensions=("instrument", "detector", "physical_filter"),
        isCalibration=True,
    )
    image = ct.Output(
        doc="",
        name="{prefix}_image",
        storageClass=_DICT,
        dimensions=("instrument", "exposure", "detector"),
    )
    extra = ct.Output(
        doc="",
        name="{prefix}_extra",
        storageClass=_DICT,
        dimensions=("instrument", "exposure", "detector"),
    )

    def __init__(self, *, config: Any) -> None:
        super().__init__(config=config)
        if not config.doFlat:
            del self.flat
        if not config.doExtra:
            del self.extra


class ChangingConfig(DynamicTestPipelineTaskConfig, pipelineConnections=ChangingConnections):
    """Configuration of `ChangingTask`."""

    doFlat = Field[bool]("Read a flat?", default=False)  # noqa: N815
    doExtra = Field[bool]("Write another image?", default=False)  # noqa: N815

    def setDefaults(self) -> None:
        super().setDefaults()
        self.dimensions = ["instrument", "exposure", "detector"]


class ChangingTask(DynamicTestPipelineTask):
    """A task whose connections depend on its configuration."""

    ConfigClass: ClassVar = ChangingConfig
    _DefaultName: ClassVar = "changing"


class NamedGatherConnections(
    DynamicTestPipelineTaskConnections,
    dimensions=("instrument", "exposure"),
    defaultTemplates={"prefix": "plain"},
):
    """A gather whose names can be overridden."""

    images = ct.Input(
        doc="",
        name="{prefix}_image",
        storageClass=_DICT,
        dimensions=("instrument", "exposure", "detector"),
        multiple=True,
    )
    summary = ct.Output(
        doc="", name="{prefix}_summary", storageClass=_DICT, dimensions=("instrument", "exposure")
    )


class NamedGatherConfig(DynamicTestPipelineTaskConfig, pipelineConnections=NamedGatherConnections):
    """Configuration of `NamedGatherTask`."""

    def setDefaults(self) -> None:
        super().setDefaults()
        self.dimensions = ["instrument", "exposure"]


class NamedGatherTask(DynamicTestPipelineTask):
    """A gather whose names can be overridden."""

    ConfigClass: ClassVar = NamedGatherConfig
    _DefaultName: ClassVar = "namedGather"
