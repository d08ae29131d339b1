"""A repository as an executor leaves it, made with upstream's butler alone, and broken by the tests."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Butler, CollectionType, DatasetRef, DatasetType
from lsst.pipe.base import TaskMetadata

from lsst.ctrl.rapid.check import Balance, Imbalance, check_balance
from lsst.ctrl.rapid.model import Outcome, OutcomeRecord, Times
from lsst.ctrl.rapid.simulator import SentRaw, SimulationConfig, simulate
from support.registered import INSTRUMENT, OtherIngest, make_registry

DAY = 20260315
RUN = f"rapid/{DAY}/toy-0123abcd"
OTHER_RUN = f"rapid/{DAY}/toy-4567cdef"
DETECTORS = (90, 91)
EXPOSURES = 2

_TYPES = {
    "toy_level": (["exposure", "detector"], "StructuredDataDict"),
    "level_metadata": (["exposure", "detector"], "TaskMetadata"),
    "toy_total": (["exposure"], "StructuredDataDict"),
    "rapid_step1a_outcome": (["exposure", "detector"], "StructuredDataDict"),
    "rapid_step1b_gather_outcome": (["exposure"], "StructuredDataDict"),
}


@dataclasses.dataclass
class Scene:
    """A repository, what was sent, and a ledger."""

    root: Path
    sent: list[SentRaw]
    landing: Path
    folder: Path
    manifest: Path

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.jsonl"

    @property
    def more(self) -> Path:
        """Another landing folder, of this test alone."""
        self.folder.joinpath("more").mkdir(exist_ok=True)
        return self.folder / "more"

    def check(self, **options: Any) -> Balance:
        given = {"landing": [self.landing, self.more], "ledgers": [self.ledger], **options}
        return check_balance(str(self.root), "rapid", **given)

    def found(self, **options: Any) -> list[Imbalance]:
        balance = self.check(**options)
        assert balance.balanced is not bool(balance.findings)
        return [finding.imbalance for finding in balance.findings]

    @functools.cached_property
    def butler(self) -> Butler:
        return Butler.from_config(str(self.root), writeable=True)

    def refuse(self, path: Path, reason: str, time: float = 2e9) -> None:
        with self.ledger.open("a") as stream:
            stream.write(json.dumps({"path": str(path), "reason": reason, "time": time}) + "\n")

    def find(self, name: str, raw: SentRaw, run: str = RUN) -> DatasetRef:
        of = {"exposure": raw.exposure, "detector": raw.detector}
        of = {key: of[key] for key in _TYPES[name][0]}
        found = self.butler.find_dataset(name, instrument=INSTRUMENT, collections=run, **of)
        assert found is not None
        return found

    def prune(self, *refs: DatasetRef) -> None:
        self.butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)

    def file(self, ref: DatasetRef) -> Path:
        return Path(self.butler.getURI(ref).ospath)

    def end(
        self,
        raw: SentRaw,
        outcome: Outcome = Outcome.DONE,
        run: str = RUN,
        reason: str = "",
        file_closed: float | None = None,
        seen: float | None = None,
    ) -> None:
        end_shard(self.butler, raw, outcome, run, reason, Times(file_closed=file_closed, seen=seen))


def make_ref(butler: Butler, name: str, raw: SentRaw, run: str) -> DatasetRef:
    dataset_type = butler.get_dataset_type(name)
    of = {"instrument": INSTRUMENT, "exposure": raw.exposure}
    if "detector" in dataset_type.dimensions:
        of["detector"] = raw.detector
    butler.collections.register(run, CollectionType.RUN)
    return DatasetRef(dataset_type, butler.registry.expandDataId(of), run=run)


def end_shard(
    butler: Butler,
    raw: SentRaw,
    outcome: Outcome,
    run: str,
    reason: str = "",
    times: Times | None = None,
    *,
    gather: bool = False,
) -> None:
    """Register what a shard of one quantum leaves: a product, metadata and an outcome."""
    planned = ""
    if outcome is not Outcome.SHED:
        product = make_ref(butler, "toy_total" if gather else "toy_level", raw, run)
        outputs = {"out": [_said(product)]}
        if not gather:
            metadata = make_ref(butler, "level_metadata", raw, run)
            outputs["_metadata"] = [_said(metadata)]
        quantum = {
            "quantum_id": str(uuid.uuid4()), "task_label": "level", "data_coordinate": [], "inputs": {},
            "outputs": outputs, "datastore_records": {},
        }  # fmt: skip
        planned = json.dumps([quantum])
        if outcome is Outcome.DONE:
            butler.put({"level": 1}, product)
        if not gather:
            wrote = [str(product.id)] if outcome is Outcome.DONE else []
            butler.put(TaskMetadata.from_dict({"quantum": {"outputs": wrote}}), metadata)
    record = OutcomeRecord(
        outcome=outcome, reason=reason, attempts=1, planned=planned, times=times or Times()
    )
    kind = "rapid_step1b_gather_outcome" if gather else "rapid_step1a_outcome"
    butler.put(record.model_dump(mode="json"), make_ref(butler, kind, raw, run))


def _said(ref: DatasetRef) -> dict[str, Any]:
    return {
        "dataset_id": str(ref.id),
        "dataset_type_name": ref.datasetType.name,
        "data_coordinate": list(ref.dataId.required_values),
        "run": ref.run,
    }


def make_scene(folder: Path, server_uri: str | None = None) -> Scene:
    """Make a repository in which two detectors of two exposures were done and gathered."""
    root = Path(make_registry(folder, server_uri))
    config = SimulationConfig(
        detectors=DETECTORS, exposures=EXPOSURES, scale="1/16", sequence="bias", start="2026-03-16T03:00:00"
    )
    landing, manifest = folder / "landing", folder / "sent.jsonl"
    sent = list(simulate(config, landing, announce=manifest))
    ingest = OtherIngest(str(root))
    with ingest.butler as butler:
        for name, (dimensions, storage_class) in _TYPES.items():
            dimensions = butler.dimensions.conform(dimensions)
            butler.registry.registerDatasetType(DatasetType(name, dimensions, storage_class))
        butler.collections.register(f"{INSTRUMENT}/raw/all", CollectionType.RUN)
        for raw in sent:
            ingest.exposure(raw.exposure, DAY)
            ingest.files([(raw.exposure, raw.detector)], raw.path)
            end_shard(butler, raw, Outcome.DONE, RUN)
        for raw in sent[:: len(DETECTORS)]:
            end_shard(butler, raw, Outcome.DONE, RUN, gather=True)
    return Scene(root, sent, landing, folder, manifest)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("template"))


@pytest.fixture
def scene(template: Scene, tmp_path: Path) -> Iterator[Scene]:
    """A copy of the repository; its raws are those of the template and are not to be touched."""
    shutil.copytree(template.root, tmp_path / "repo")
    scene = dataclasses.replace(template, root=tmp_path / "repo", folder=tmp_path)
    yield scene
    if "butler" in scene.__dict__:
        scene.butler.close()


@pytest.fixture
def other_raw() -> Callable[..., SentRaw]:
    """Take another exposure, into a folder."""

    def take(folder: Path, detector: int = 90) -> SentRaw:
        config = SimulationConfig(
            detectors=(detector,),
            scale="1/16",
            sequence="bias",
            start="2026-03-16T04:00:00",
            first_seq_num=detector,
        )
        (raw,) = simulate(config, folder, announce=folder / "sent.jsonl")
        return raw

    return take
