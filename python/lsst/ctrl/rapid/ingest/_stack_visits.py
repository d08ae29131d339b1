"""Visits as ``butler define-visits`` defines them, before the exposure is registered."""

from __future__ import annotations

__all__ = ("StackVisits", "make_visit_definer")

import contextlib
import dataclasses
import gc
import importlib
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self
from uuid import UUID

from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DimensionRecord, MissingDatasetTypeError
from lsst.daf.butler.registry import MissingCollectionError, Registry

from .._opening import open_to_read
from ..instruments import RawReader, Visit, make_record
from ..plan import Calibrations, RecordStore
from ._visits import NoVisits, ReaderVisits, VisitDefiner

_LOG = logging.getLogger(__name__)

_OBS_BASE = "lsst.obs.base"
_CAMERA = "camera"


def make_visit_definer(repository: str, collections: Sequence[str], *, define: bool = True) -> VisitDefiner:
    """Return what defines visits.

    Parameters
    ----------
    repository
        Butler configuration or root.
    collections
        Where cameras are searched.
    define
        `False` leaves visits to others.

    Returns
    -------
    visits
        The full stack's own functions where they can be imported, else those of the readers.
    """
    if not define:
        return NoVisits()
    try:
        importlib.import_module(_OBS_BASE)
    except ImportError:
        return ReaderVisits()
    return StackVisits(repository, collections)


class StackVisits:
    """Defines visits with the tasks of ``lsst.obs.base``, from the cameras of the repository.

    Parameters
    ----------
    repository
        Butler configuration or root.
    collections
        Where cameras are searched.

    Notes
    -----
    The tasks have the configuration of ``butler define-visits``: upstream's defaults and what the instrument
    overrides.  They are given a butler that knows exposures which are not registered yet.  Certifications of
    cameras are read once; each camera is read when it is first needed.

    Instruments whose class is none of ``lsst.obs.base`` have the visits that their reader makes, which that
    command cannot define.

    For use in one thread, which opens the repository when it first needs it.
    """

    def __init__(self, repository: str, collections: Sequence[str]) -> None:
        self._repository = repository
        self._collections = list(collections)
        self._butler: _EarlyButler | None = None
        self._tasks: dict[str, _Task | None] = {}

    def prepare(self, readers: Iterable[RawReader]) -> None:
        """Import and configure what each instrument needs; what fails is tried again with its first raw."""
        for reader in readers:
            try:
                self._task(reader.instrument)
            except Exception as err:  # noqa: BLE001 - the configuration of any instrument is executed
                _LOG.warning(
                    "Visits of %s cannot be defined: %s: %s.", reader.instrument, type(err).__name__, err
                )

    def close(self) -> None:
        """Release the cameras and what else is of the stack's compiled libraries.

        Some builds of these end the process if another thread releases an object.
        """
        self._tasks.clear()
        self._butler = None
        # Upstream keeps the cameras that it has built in this function's cache.
        built = getattr(sys.modules.get(f"{_OBS_BASE}.yamlCamera"), "makeCamera", None)
        if (forget := getattr(built, "cache_clear", None)) is not None:
            forget()
        gc.collect()

    def define(
        self, reader: RawReader, records: Mapping[str, DimensionRecord], store: RecordStore
    ) -> Visit | None:
        """Return the visit of an exposure of the sky; without one, with a warning, where its task fails."""
        try:
            task = self._task(reader.instrument)
            if task is not None:
                return self._define(task, records, store) if _sees_sky(records["exposure"]) else None
        except Exception as err:  # noqa: BLE001 - it calls the task and the formatter of any instrument
            _LOG.warning(
                "No visit is defined for exposure %s: %s: %s. 'butler define-visits' adds it once the cause "
                "is removed.", records["exposure"].dataId, type(err).__name__, err,
            )  # fmt: skip
            return None
        return reader.make_visit(records["exposure"], store.universe)

    def _define(
        self, task: _Task, records: Mapping[str, DimensionRecord], store: RecordStore
    ) -> Visit | None:
        assert self._butler is not None, "A task was made with it."
        exposure, universe = records["exposure"], store.universe
        definitions = task.groups.group([exposure], task.instrument)
        definition = next((d for d in definitions if task.one_to_one in d.visit_systems), None)
        if definition is None:  # a visit of several exposures: when the last has come is not known
            return None
        store.add(records.values())
        try:
            data_id = store.expand(
                universe["exposure"].minimal_group, instrument=exposure.instrument, exposure=exposure.id
            )
        finally:
            store.discard(records.values())
        with self._butler.knowing(data_id):
            region, regions = task.regions.compute(definition, collections=self._collections)
        key = {"instrument": exposure.instrument, "visit": definition.id}
        systems = sorted(task.groups.getVisitSystems(), key=lambda system: system.value)
        reason = exposure.observation_reason
        return Visit(
            systems=tuple(
                make_record(universe, "visit_system", instrument=exposure.instrument, id=s.value, name=str(s))
                for s in systems
            ),
            visit=make_record(
                universe,
                "visit",
                **{
                    **exposure.toDict(),
                    "id": definition.id,
                    "name": definition.name,
                    "observation_reason": "various" if reason is None else reason,
                    "region": region,
                },
            ),
            definition=make_record(universe, "visit_definition", exposure=exposure.id, **key),
            memberships=tuple(
                make_record(universe, "visit_system_membership", visit_system=s.value, **key)
                for s in systems
                if s in definition.visit_systems
            ),
            detector_regions={
                detector: make_record(
                    universe, "visit_detector_region", detector=detector, region=found, **key
                )
                for detector, found in regions.items()
            },
        )

    def _task(self, instrument: str) -> _Task | None:
        """Return the task of an instrument; `None` if its class is none of upstream's."""
        if instrument not in self._tasks:
            if self._butler is None:
                self._butler = _EarlyButler(open_to_read(self._repository), self._collections)
            self._tasks[instrument] = _Task.make(instrument, self._butler)
        return self._tasks[instrument]


@dataclasses.dataclass(frozen=True)
class _Task:
    """The parts of upstream's task for one instrument.

    Attributes
    ----------
    instrument
        The instrument, of upstream's class.
    groups, regions
        Its subtasks, which group exposures and compute regions.
    one_to_one
        The visit system in which each exposure is a visit.
    """

    instrument: Any
    groups: Any
    regions: Any
    one_to_one: Any

    @classmethod
    def make(cls, name: str, butler: _EarlyButler) -> Self | None:
        """Return the task of an instrument; `None` if its class is none of upstream's."""
        obs_base: Any = importlib.import_module(_OBS_BASE)
        visits: Any = importlib.import_module(f"{_OBS_BASE}.defineVisits")
        try:
            instrument = obs_base.Instrument.fromName(name, butler.registry)
        except (ImportError, LookupError, TypeError) as err:
            _LOG.debug("Visits of %s are not defined by the full stack: %s", name, err)
            return None
        config = visits.DefineVisitsConfig()
        instrument.applyConfigOverrides("defineVisits", config)
        task = visits.DefineVisitsTask(config=config, butler=butler)
        return cls(instrument, task.groupExposures, task.computeVisitRegions, visits.VisitSystem.ONE_TO_ONE)


class _EarlyButler:
    """A butler that knows an exposure which is not registered yet, and keeps the cameras that it has read.

    Parameters
    ----------
    butler
        The butler that has all the rest.
    collections
        Where cameras are searched.
    """

    def __init__(self, butler: Butler, collections: Sequence[str]) -> None:
        self._butler = butler
        self._cameras: dict[UUID, Any] = {}
        self._certifications: Calibrations | None = None
        there = [name for name in collections if _has_collection(butler, name)]
        with contextlib.suppress(MissingDatasetTypeError):
            self._certifications = Calibrations([butler.get_dataset_type(_CAMERA)], there, optional=True)
            self._certifications.refresh(butler)
        self.registry = _EarlyRegistry(butler.registry)

    def __getattr__(self, name: str) -> Any:
        """Return what the butler itself has of that name."""
        return getattr(self._butler, name)

    @contextlib.contextmanager
    def knowing(self, data_id: DataCoordinate) -> Iterator[None]:
        """Have an exposure known."""
        self.registry.known = data_id
        try:
            yield
        finally:
            self.registry.known = None

    def get(self, dataset_type: Any, /, **how: Any) -> Any:
        """Return a dataset; a camera from memory once it was read."""
        data_id = how.get("dataId")
        if dataset_type != _CAMERA or not isinstance(data_id, DataCoordinate):
            return self._butler.get(dataset_type, **how)
        found: DatasetRef | None = None
        if self._certifications is not None:
            found = self._certifications.find(_CAMERA, data_id, data_id.timespan)
        if found is None:
            raise LookupError(f"No {_CAMERA} is certified for {data_id}.")
        if found.id not in self._cameras:
            self._cameras[found.id] = self._butler.get(found)
        return self._cameras[found.id]


class _EarlyRegistry:
    """The registry of an `_EarlyButler`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.known: DataCoordinate | None = None

    def __getattr__(self, name: str) -> Any:
        """Return what the registry itself has of that name."""
        return getattr(self._registry, name)

    def expandDataId(self, dataId: Any = None, **more: Any) -> DataCoordinate:  # noqa: N802, N803 - upstream's
        """Return a data ID with all records, from memory for the exposure that is known."""
        known = self.known
        if (
            known is not None
            and dataId is not None
            and dict(known.required) == dict(getattr(dataId, "required", dataId))
        ):
            return known
        return self._registry.expandDataId(dataId, **more)


def _has_collection(butler: Butler, name: str) -> bool:
    try:
        butler.collections.get_info(name)
    except MissingCollectionError:
        return False
    return True


def _sees_sky(exposure: DimensionRecord) -> bool:
    """Tell whether an exposure can have a visit, as upstream decides."""
    pointing = (exposure.tracking_ra, exposure.tracking_dec, exposure.sky_angle)
    return None not in pointing and getattr(exposure, "can_see_sky", None) is not False
