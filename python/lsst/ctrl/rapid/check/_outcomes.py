"""The outcomes that an executor left in its RUNs."""

from __future__ import annotations

__all__ = ("LeftOutcome", "Planned", "read_outcome")

import dataclasses
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pydantic

from ..model import OutcomeRecord


@dataclasses.dataclass(frozen=True, slots=True)
class Planned:
    """A quantum that was planned.

    Attributes
    ----------
    label
        Of its task.
    inputs, outputs
        Datasets, each with the name of its type.
    metadata
        Its metadata dataset.
    """

    label: str
    inputs: tuple[tuple[UUID, str], ...]
    outputs: tuple[tuple[UUID, str], ...]
    metadata: UUID | None


@dataclasses.dataclass(frozen=True, slots=True)
class LeftOutcome:
    """An outcome that is registered.

    Attributes
    ----------
    id, kind, run
        Of the dataset; ``kind`` is the name of its type.
    data_id
        The values of its dimensions, by name.
    record
        What it says; `None` if it cannot be read.
    """

    id: UUID
    kind: str
    run: str
    data_id: dict[str, str | int]
    record: OutcomeRecord | None

    @property
    def step(self) -> str:
        """Label of its step."""
        return self.kind.removeprefix("rapid_").removesuffix("_outcome")

    def __str__(self) -> str:
        return f"{self.step} {told(self.data_id)}"

    def without_plan(self) -> LeftOutcome:
        """Return the same without what was planned, which is most of it."""
        if self.record is None:
            return self
        return dataclasses.replace(self, record=self.record.model_copy(update={"planned": ""}))

    def planned(self) -> Iterator[Planned]:
        """Yield the quanta that were planned for it."""
        text = "" if self.record is None else self.record.planned
        for quantum in json.loads(text) if text else ():
            yield _planned(quantum)


def told(data_id: dict[str, str | int]) -> str:
    """Return a data ID for a person: ``LSSTCam exposure 2026112200001 detector 94``."""
    parts = [f"{key} {value}" for key, value in data_id.items() if key not in {"instrument", "detector"}]
    if "detector" in data_id:
        parts.append(f"detector {data_id['detector']}")
    return " ".join([str(data_id.get("instrument", "")), *parts]).strip()


def read_outcome(content: bytes | dict[str, Any]) -> OutcomeRecord | None:
    """Return what an outcome's file says; `None` if that cannot be read."""
    try:
        if isinstance(content, dict):
            return OutcomeRecord.model_validate(content)
        return OutcomeRecord.model_validate_json(content)
    except pydantic.ValidationError:
        return None


def _planned(quantum: dict[str, Any]) -> Planned:
    label = str(quantum["task_label"])
    outputs = tuple(_datasets(quantum["outputs"]))
    metadata = next((dataset for dataset, name in outputs if name == f"{label}_metadata"), None)
    return Planned(label, tuple(_datasets(quantum["inputs"])), outputs, metadata)


def _datasets(connections: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[UUID, str]]:
    for datasets in connections.values():
        for dataset in datasets:
            yield UUID(dataset["dataset_id"]), str(dataset["dataset_type_name"])
