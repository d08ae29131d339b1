"""Items as plain data: what a file of the spool holds."""

from __future__ import annotations

__all__ = ("ForeignSpoolError", "SpoolError", "SpoolForm")

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pydantic

from lsst.daf.butler import DatasetType, DimensionRecord, Formatter, FormatterV2
from lsst.utils.doImport import doImportType
from lsst.utils.introspection import get_full_type_name

from ..model import InputError, Model, OutcomeRecord, Shard, TransferMode
from ..plan import DatasetMessage, RecordsMessage, RecordStore, record_to_json, records_from_json
from ._items import Item, RawItem, RemoveItem, RunItem, ShardItem

_LONGEST_REASON = 200
"""Letters of what upstream says."""


class SpoolError(ValueError):
    """A file of the spool cannot be read; the message says why."""


class ForeignSpoolError(InputError):
    """What waits in the spool belongs to another repository or output."""


class _Run(Model):
    kind: Literal["run"] = "run"
    run: str
    pipeline: str
    day_obs: int
    partial: bool


class _Raw(Model):
    kind: Literal["raw"] = "raw"
    dataset: DatasetMessage
    path: Path
    formatter: str
    transfer: TransferMode
    records: int
    """Which of the file's sets of dimension records are its exposure's."""


class _Shard(Model):
    kind: Literal["shard"] = "shard"
    shard: Shard
    run: _Run
    records: int
    outcome: OutcomeRecord
    outcome_id: UUID
    outputs: tuple[DatasetMessage, ...]
    datastore_records: RecordsMessage
    replaces: DatasetMessage | None
    was_shed: bool
    supersedes: str | None


class _Removal(Model):
    kind: Literal["removal"] = "removal"
    shards: tuple[Shard, ...]
    run: _Run


type _Spooled = Annotated[_Run | _Raw | _Shard | _Removal, pydantic.Field(discriminator="kind")]


class _File(Model):
    version: Literal[1] = 1
    repository: str
    output: str
    records: tuple[tuple[str, ...], ...]
    """Sets of dimension records, each serialised by upstream; items of one exposure share theirs."""
    items: tuple[_Spooled, ...]


class SpoolForm:
    """Turns items into text and back.

    Parameters
    ----------
    repository, output
        Whose items they are; those of another are not read.
    raw
        Dataset type of raws.
    records
        Dimension records that do not change with every exposure.
    """

    def __init__(self, repository: str, output: str, raw: DatasetType, records: RecordStore) -> None:
        self._repository = repository
        self._output = output
        self._raw = raw
        self._static = records

    def write(self, items: Sequence[Item]) -> str:
        """Return items as text."""
        sets: dict[int, int] = {}
        texts: list[tuple[str, ...]] = []

        def place(records: tuple[DimensionRecord, ...]) -> int:
            if id(records) not in sets:
                sets[id(records)] = len(texts)
                texts.append(tuple(map(record_to_json, records)))
            return sets[id(records)]

        spooled: list[_Spooled] = []
        for item in items:
            match item:
                case RunItem():
                    spooled.append(_run(item))
                case RawItem():
                    spooled.append(
                        _Raw(
                            dataset=DatasetMessage.of(item.ref),
                            path=item.path,
                            formatter=get_full_type_name(item.formatter),
                            transfer=item.transfer,
                            records=place(item.records),
                        )
                    )
                case ShardItem():
                    spooled.append(_shard(item, place(item.records)))
                case RemoveItem():
                    spooled.append(_Removal(shards=item.shards, run=_run(item.run)))
        return _File(
            repository=self._repository, output=self._output, records=tuple(texts), items=tuple(spooled)
        ).model_dump_json()

    def read(self, text: str | bytes) -> list[Item]:
        """Return the items of a text.

        Raises
        ------
        SpoolError
            If it is not what `write` gives.
        ForeignSpoolError
            If the items are of another repository or output.
        """
        try:
            file = _File.model_validate_json(text)
        except pydantic.ValidationError as err:
            fault = err.errors()[0]
            where = ".".join(map(str, fault["loc"])) or "the whole"
            raise SpoolError(f"{where}: {fault['msg']}") from None
        if (file.repository, file.output) != (self._repository, self._output):
            raise ForeignSpoolError(f"output {file.output!r} of repository {file.repository}")
        try:
            sets = [tuple(records_from_json(texts, self._static.universe)) for texts in file.records]
            return [self._item(spooled, sets) for spooled in file.items]
        except Exception as err:
            # Whatever upstream makes of a record or a data ID that is not one.
            raise SpoolError(" ".join(f"{type(err).__name__}: {err}".split())[:_LONGEST_REASON]) from err

    def _item(self, spooled: _Spooled, sets: Sequence[tuple[DimensionRecord, ...]]) -> Item:
        match spooled:
            case _Run():
                return _run_item(spooled)
            case _Raw():
                records = sets[spooled.records]
                known = RecordStore(self._static.universe, (*self._static.static(), *records))
                ref = spooled.dataset.to_ref(self._raw, known)
                return RawItem(ref, spooled.path, _formatter(spooled.formatter), spooled.transfer, records)
            case _Shard():
                given: dict[str, Any] = {name: getattr(spooled, name) for name in _AS_THEY_ARE}
                return ShardItem(run=_run_item(spooled.run), records=sets[spooled.records], **given)
            case _Removal():
                return RemoveItem(spooled.shards, _run_item(spooled.run))


_AS_THEY_ARE = (
    "shard", "outcome", "outcome_id", "outputs", "datastore_records", "replaces", "was_shed", "supersedes",
)  # fmt: skip
"""What a shard's item and its form have alike."""


def _shard(item: ShardItem, records: int) -> _Shard:
    given: dict[str, Any] = {name: getattr(item, name) for name in _AS_THEY_ARE}
    return _Shard(run=_run(item.run), records=records, **given)


def _run(item: RunItem) -> _Run:
    return _Run(run=item.run, pipeline=item.pipeline, day_obs=item.day_obs, partial=item.partial)


def _run_item(spooled: _Run) -> RunItem:
    return RunItem(spooled.run, spooled.pipeline, spooled.day_obs, spooled.partial)


def _formatter(name: str) -> type[Formatter | FormatterV2]:
    found = doImportType(name)
    if not issubclass(found, Formatter | FormatterV2):
        raise TypeError(f"{name} is not a formatter")
    return found
