"""The quantum graph of what was run in a RUN, from what the RUN holds."""

from __future__ import annotations

__all__ = ("PIPELINE_DATASET", "export_graph", "pipeline_dataset_type", "pipeline_record")

import itertools
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pydantic

from lsst.daf.butler import (
    Butler,
    DataCoordinate,
    DatasetType,
    DimensionDataAttacher,
    DimensionGroup,
    DimensionRecordSet,
    DimensionUniverse,
    MissingDatasetTypeError,
    SkyPixDimension,
)
from lsst.daf.butler._rubin import generate_uuidv7
from lsst.daf.butler.registry import MissingCollectionError
from lsst.pipe.base.automatic_connection_constants import PACKAGES_INIT_OUTPUT_NAME
from lsst.pipe.base.pipeline_graph import Edge, PipelineGraph, TaskImportMode, TaskInitNode
from lsst.pipe.base.pipeline_graph.io import SerializedPipelineGraph
from lsst.pipe.base.quantum_graph import (
    PredictedDatasetModel,
    PredictedQuantumDatasetsModel,
    PredictedQuantumGraphComponents,
)

from ..model import InputError

PIPELINE_DATASET = "rapid_pipeline"
"""Dataset type of the pipeline that a RUN was made with."""

_QUANTA = pydantic.TypeAdapter(list[PredictedQuantumDatasetsModel])


def pipeline_dataset_type(universe: DimensionUniverse) -> DatasetType:
    """Return the dataset type of the pipeline that a RUN was made with."""
    return DatasetType(PIPELINE_DATASET, universe.empty, "StructuredDataDict")


def pipeline_record(graph: PipelineGraph, inputs: Sequence[str], output: str) -> dict[str, Any]:
    """Return what is kept in a RUN of its pipeline, so that its quantum graph can be written later."""
    text = SerializedPipelineGraph.serialize(graph).model_dump_json(exclude_defaults=True)
    return {"graph": text, "inputs": list(inputs), "output": output}


def export_graph(butler: Butler, run: str) -> PredictedQuantumGraphComponents:
    """Return the quantum graph of what was run in a RUN.

    Parameters
    ----------
    butler
        The repository; it is only read.
    run
        A RUN that the executor wrote.

    Returns
    -------
    components
        Upstream's predicted quantum graph: every quantum that was planned for a shard that ended, also those
        that failed, were blocked by a failure, or were on a worker that was lost.  Shards that were shed
        were not planned and have none.

    Raises
    ------
    InputError
        If there is no such RUN, or it is not the executor's.
    """
    try:
        ref = butler.find_dataset(PIPELINE_DATASET, collections=run)
    except MissingCollectionError:
        raise InputError(f"There is no collection {run!r} in this repository.") from None
    except MissingDatasetTypeError:
        ref = None
    if ref is None or ref.run != run:
        raise InputError(f"{run} is not a RUN that this executor wrote: it has no {PIPELINE_DATASET}.")
    record = butler.get(ref)
    try:
        graph = SerializedPipelineGraph.model_validate_json(record["graph"]).deserialize(
            TaskImportMode.REQUIRE_CONSISTENT_EDGES
        )
    except ImportError as err:
        raise InputError(f"{run}: its tasks cannot be imported ({err}); is PYTHONPATH as it was?") from err
    components = PredictedQuantumGraphComponents(pipeline_graph=graph)
    components.header.inputs = record["inputs"]
    components.header.output = record["output"]
    components.header.output_run = run
    components.quantum_datasets = {quantum.quantum_id: quantum for quantum in _quanta(butler, run)}
    components.init_quanta.root = list(_init_quanta(butler, graph, run, record["inputs"]))
    components.dimension_data = DimensionDataAttacher(
        records=_records(butler, _data_ids(graph, components.quantum_datasets.values())),
        dimensions=graph.get_all_dimensions(),
    )
    components.set_thin_graph()
    components.set_header_counts()
    return components


def _quanta(butler: Butler, run: str) -> Iterator[PredictedQuantumDatasetsModel]:
    for dataset_type in butler.registry.queryDatasetTypes("rapid_*_outcome"):
        for ref in butler.query_datasets(dataset_type, run, find_first=False, limit=None, explain=False):
            if planned := butler.get(ref)["planned"]:
                yield from _QUANTA.validate_json(planned)


def _init_quanta(
    butler: Butler, graph: PipelineGraph, run: str, inputs: Sequence[str]
) -> Iterator[PredictedQuantumDatasetsModel]:
    """Yield upstream's special quanta: that of the packages, and one that constructs each task."""

    def found(name: str, collections: Sequence[str]) -> list[PredictedDatasetModel]:
        ref = butler.find_dataset(name, collections=collections)
        if ref is None:
            raise InputError(f"{run} is not complete: it has no {name}.")
        return [PredictedDatasetModel.from_dataset_ref(ref)]

    def of(edges: Iterable[Edge], collections: Sequence[str]) -> dict[str, list[PredictedDatasetModel]]:
        return {edge.connection_name: found(edge.parent_dataset_type_name, collections) for edge in edges}

    packages = {PACKAGES_INIT_OUTPUT_NAME: found(PACKAGES_INIT_OUTPUT_NAME, [run])}
    yield _init_quantum("", {}, packages)
    for node in graph.tasks.values():
        init: TaskInitNode = node.init
        yield _init_quantum(
            node.label, of(init.iter_all_inputs(), [run, *inputs]), of(init.iter_all_outputs(), [run])
        )


def _init_quantum(
    label: str,
    inputs: Mapping[str, list[PredictedDatasetModel]],
    outputs: Mapping[str, list[PredictedDatasetModel]],
) -> PredictedQuantumDatasetsModel:
    return PredictedQuantumDatasetsModel(
        quantum_id=uuid.UUID(str(generate_uuidv7())), task_label=label, inputs=inputs, outputs=outputs
    )


def _data_ids(
    graph: PipelineGraph, quanta: Iterable[PredictedQuantumDatasetsModel]
) -> dict[DimensionGroup, set[DataCoordinate]]:
    """Return the data IDs of all quanta and of what they read and write."""
    found: dict[DimensionGroup, set[tuple[str | int, ...]]] = defaultdict(set)
    for quantum in quanta:
        found[graph.tasks[quantum.task_label].dimensions].add(tuple(quantum.data_coordinate))
        for dataset in itertools.chain(*quantum.inputs.values(), *quantum.outputs.values()):
            dimensions = graph.dataset_types[dataset.dataset_type_name].dimensions
            found[dimensions].add(tuple(dataset.data_coordinate))
    return {
        dimensions: {DataCoordinate.from_full_values(dimensions, key) for key in keys}
        for dimensions, keys in found.items()
    }


def _records(
    butler: Butler, data_ids: Mapping[DimensionGroup, set[DataCoordinate]]
) -> list[DimensionRecordSet]:
    records: dict[str, DimensionRecordSet] = {}
    for dimensions, found in data_ids.items():
        if not dimensions:
            continue
        with butler.query() as query:
            joined = query.join_data_coordinates(found)
            for name in dimensions.elements:
                element = butler.dimensions[name]
                if isinstance(element, SkyPixDimension):
                    continue
                into = records.setdefault(name, DimensionRecordSet(element))
                into.update(joined.dimension_records(name))
    return list(records.values())
