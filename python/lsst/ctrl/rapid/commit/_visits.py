"""Registering visits: many records at once, and never instead of somebody else's."""

from __future__ import annotations

__all__ = ("VISIT_ELEMENTS", "register_visits")

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import sqlalchemy.exc

from lsst.daf.butler import Butler, DimensionRecord
from lsst.sphgeom import ConvexPolygon, UnitVector3d, Vector3d

from ..plan import ContradictionError, differences, sync_record

_LOG = logging.getLogger(__name__)

VISIT_ELEMENTS = ("visit", "visit_definition", "visit_system_membership", "visit_detector_region")
"""Elements of which a visit consists, in the order of insertion."""

_TOLERANCE = math.radians(50.0 / 3600.0)
"""Difference of regions that is not worth telling: by so much they are wider than the detectors."""

type _Key = tuple[str, int]
type _Visits = dict[_Key, list[DimensionRecord]]


def register_visits(butler: Butler, records: Iterable[DimensionRecord]) -> None:
    """Register visits that the registry does not have.

    Parameters
    ----------
    butler
        Where to; no transaction is open.
    records
        Records of visits, each with all that belongs to it, and of their visit systems; others are ignored.

    Notes
    -----
    What is there already stays as it is, whoever defined it.  A visit that is there with another definition
    is told in a warning; regions that differ by less than the margin around the detectors do not count, since
    the full stack computes them in another way.  A visit that the registry cannot take is told, too: raws are
    registered without it.
    """
    records = list(records)
    for system in {r.dataId: r for r in records if r.definition.name == "visit_system"}.values():
        _sync_system(butler, system)
    visits: _Visits = defaultdict(list)
    for record in records:
        if record.definition.name in VISIT_ELEMENTS:
            visits[str(record.dataId["instrument"]), int(record.dataId["visit"])].append(record)
    new = dict(_missing(butler, visits))
    if not new:
        return
    try:
        _insert(butler, new.values())
    except sqlalchemy.exc.IntegrityError:
        # Somebody else was faster, or a name is taken; which of the visits it is, only each alone can tell.
        for key, found in _missing(butler, new):
            try:
                _insert(butler, [found])
            except sqlalchemy.exc.IntegrityError as err:
                reason = " ".join(str(err.orig).split())
                _LOG.warning("Visit %d of %s could not be registered: %s", key[1], key[0], reason)


def _sync_system(butler: Butler, system: DimensionRecord) -> None:
    try:
        _, differing = sync_record(butler, system)
    except ContradictionError as err:
        differing = str(err)
    if differing:
        _LOG.warning("The registry's own visit systems stay: %s.", differing)


def _missing(butler: Butler, visits: _Visits) -> Iterator[tuple[_Key, list[DimensionRecord]]]:
    """Yield the visits that the registry does not have; tell those that it has otherwise."""
    by_instrument: dict[str, list[int]] = defaultdict(list)
    for instrument, visit in visits:
        by_instrument[instrument].append(visit)
    there: dict[_Key, DimensionRecord] = {}
    for instrument, numbers in by_instrument.items():
        found = butler.query_dimension_records(
            "visit", where="visit IN (ids)", bind={"ids": numbers}, instrument=instrument, explain=False
        )
        there.update({(instrument, record.id): record for record in found})
    for key, records in visits.items():
        if key not in there:
            yield key, records
            continue
        ours = next((r for r in records if r.definition.name == "visit"), None)
        if ours is None:
            continue
        differing = differences(ours, there[key])
        if _alike(ours, there[key]):
            differing.pop("region", None)
        if differing:
            _LOG.warning(
                "Visit %d of %s stays as it is registered: %s.", key[1], key[0], "; ".join(differing.values())
            )


def _insert(butler: Butler, visits: Iterable[Sequence[DimensionRecord]]) -> None:
    """Insert visits, all or none."""
    by_element: Mapping[str, dict[object, DimensionRecord]] = {element: {} for element in VISIT_ELEMENTS}
    for records in visits:
        for record in records:
            by_element[record.definition.name][record.dataId] = record
    with butler.registry.transaction():
        for element, found in by_element.items():
            if found:
                butler.registry.insertDimensionData(element, *found.values())


def _alike(ours: DimensionRecord, theirs: DimensionRecord) -> bool:
    """Whether two visits have about the same region."""
    one, two = ours.region, theirs.region
    if not isinstance(one, ConvexPolygon) or not isinstance(two, ConvexPolygon):
        return bool(one == two)
    return _nearly_within(one, two) and _nearly_within(two, one)


def _nearly_within(inner: ConvexPolygon, outer: ConvexPolygon) -> bool:
    """Whether a polygon is within another once its corners are drawn inwards."""
    centre = Vector3d(inner.getCentroid())
    for corner in map(Vector3d, inner.getVertices()):
        inwards = centre - corner
        step = min(1.0, _TOLERANCE / max(inwards.getNorm(), _TOLERANCE))
        if not outer.contains(UnitVector3d(corner + inwards * step)):
            return False
    return True
