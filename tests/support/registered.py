"""Somebody else's raws: registered without files, or with one file for many, as cheaply as can be."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from astropy.time import Time, TimeDelta
from lsst.daf.butler import Butler, CollectionType, DatasetIdGenEnum, DatasetRef, FileDataset, Timespan
from lsst.sphgeom import ConvexPolygon, UnitVector3d

from lsst.ctrl.rapid.ingest import make_repository
from lsst.ctrl.rapid.instruments import get_instrument, repository_config

INSTRUMENT = "LSSTCamSim"
RAWS = f"{INSTRUMENT}/raw/all"

PIPELINE = """
description: Two steps.
tasks:
  level: support.toy_tasks.LevelTask
  scale: support.toy_tasks.ScaleTask
  gather: support.toy_tasks.GatherTask
subsets:
  step1a: [level, scale]
  step1b: [gather]
steps:
  - {label: step1a, dimensions: [exposure, detector]}
  - {label: step1b, dimensions: [exposure]}
"""
"""Detectors of raws, then a gather."""


def make_registry(folder: Path, server_uri: str | None = None) -> str:
    """Make a repository that takes raws, on SQLite or on a PostgreSQL server; returns its root."""
    root = str(folder / "repo")
    config = repository_config()
    if server_uri is not None:
        config["registry", "db"] = server_uri.replace("postgresql://", "postgresql+psycopg2://")
    Butler.makeRepo(root, config=config)
    make_repository(root, [INSTRUMENT])
    return root


class OtherIngest:
    """Registers exposures and raws with a butler of its own."""

    def __init__(self, root: str, butler: Butler | None = None) -> None:
        self.butler = butler or Butler.from_config(root, writeable=True)
        records = self.butler.query_dimension_records("physical_filter", instrument=INSTRUMENT)
        self._filter = min(str(record.dataId["physical_filter"]) for record in records)
        self._known: set[int] = set()

    def exposure(self, number: int, day_obs: int) -> None:
        """Register an exposure, which ends at the ``number % 100000`` th minute after its day's noon."""
        if number in self._known:
            return
        self._known.add(number)
        begin = Time(f"{day_obs // 10000}-{day_obs // 100 % 100:02}-{day_obs % 100:02}T12:00:00", scale="tai")
        begin += TimeDelta(60.0 * (number % 100_000), format="sec")
        registry = self.butler.registry
        registry.syncDimensionData("day_obs", {"instrument": INSTRUMENT, "id": day_obs})
        registry.syncDimensionData("group", {"instrument": INSTRUMENT, "name": str(number)})
        registry.insertDimensionData(
            "exposure",
            {
                "instrument": INSTRUMENT, "id": number, "day_obs": day_obs, "group": str(number),
                "physical_filter": self._filter, "obs_id": str(number), "observation_type": "science",
                "timespan": Timespan(begin, begin + TimeDelta(30.0, format="sec")),
            },
        )  # fmt: skip

    def visit(self, number: int, detectors: Iterable[int], exposures: Iterable[int] = ()) -> None:
        """Register a visit of the exposure of its number, or of others, with regions of these detectors."""
        registry = self.butler.registry
        region = ConvexPolygon([UnitVector3d(1, 0, 0), UnitVector3d(0, 1, 0), UnitVector3d(0, 0, 1)])
        visit = {"instrument": INSTRUMENT, "visit": number}
        registry.insertDimensionData(
            "visit",
            {
                "instrument": INSTRUMENT, "id": number, "name": str(number), "day_obs": number // 100_000,
                "physical_filter": self._filter, "region": region,
            },
        )  # fmt: skip
        for exposure in exposures or [number]:
            registry.insertDimensionData("visit_definition", {**visit, "exposure": exposure})
        registry.insertDimensionData(
            "visit_detector_region",
            *({**visit, "detector": detector, "region": region} for detector in detectors),
        )

    def raws(
        self, number: int, detectors: Iterable[int], *, day_obs: int | None = None, run: str = RAWS
    ) -> None:
        """Register raws of an exposure, with it when a day is given."""
        if day_obs is not None:
            self.exposure(number, day_obs)
        self.butler.collections.register(run, CollectionType.RUN)
        self.register([(number, detector) for detector in detectors], run)

    def register(self, raws: Iterable[tuple[int, int]], run: str = RAWS) -> None:
        """Register raws, by exposure and detector."""
        self.butler.registry.insertDatasets("raw", self._data_ids(raws), run=run)

    def files(self, raws: Iterable[tuple[int, int]], file: Path) -> None:
        """Register one file as these raws, by exposure and detector."""
        raw = self.butler.get_dataset_type("raw")
        refs = [
            DatasetRef(
                raw,
                self.butler.registry.expandDataId(data_id),
                run=RAWS,
                id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN,
            )
            for data_id in self._data_ids(raws)
        ]
        formatter = get_instrument(INSTRUMENT).getRawFormatter({})
        self.butler.ingest(
            *(FileDataset(path=str(file), refs=[ref], formatter=formatter) for ref in refs), transfer="direct"
        )

    @staticmethod
    def _data_ids(raws: Iterable[tuple[int, int]]) -> list[dict[str, str | int]]:
        return [
            {"instrument": INSTRUMENT, "exposure": exposure, "detector": detector}
            for exposure, detector in raws
        ]
