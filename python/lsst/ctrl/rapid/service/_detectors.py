"""The detectors of instruments as patterns see them."""

from __future__ import annotations

__all__ = ("camera_detectors", "pattern_detectors")

from collections.abc import Iterable, Mapping

from ..conductor import DetectorPurpose, PatternDetector
from ..instruments import Purpose, camera_names, load_camera
from ..plan import RecordStore

_PURPOSES = {
    None: DetectorPurpose.SCIENCE,
    "SCIENCE": DetectorPurpose.SCIENCE,
    "WAVEFRONT": DetectorPurpose.WAVEFRONT,
}
"""By the purpose in a detector's record; an instrument that gives none has science detectors only."""


def pattern_detectors(
    records: RecordStore, instruments: Iterable[str]
) -> Mapping[str, tuple[PatternDetector, ...]]:
    """Return the detectors of each instrument, from their dimension records.

    Vendors are known of the cameras that have a detector table, for detectors that have the same name there.
    """
    found: dict[str, list[PatternDetector]] = {name: [] for name in instruments}
    vendors = {name: _vendors(name) for name in found}
    for record in records.static():
        if record.definition.name == "detector" and record.instrument in found:
            found[record.instrument].append(
                PatternDetector(
                    int(record.id),
                    record.full_name,
                    vendors[record.instrument].get(record.full_name, ""),
                    _PURPOSES.get(record.purpose, DetectorPurpose.OTHER),
                )
            )
    return {name: tuple(sorted(detectors, key=lambda d: d.number)) for name, detectors in found.items()}


def camera_detectors(instrument: str) -> tuple[PatternDetector, ...]:
    """Return the detectors of an instrument from its detector table: what its records will say.

    Raises
    ------
    LookupError
        If there is no table for it.
    """
    return tuple(
        PatternDetector(
            detector.id,
            detector.name,
            str(detector.vendor) if detector.purpose is Purpose.SCIENCE else "",
            _PURPOSES.get(str(detector.purpose), DetectorPurpose.OTHER),
        )
        for detector in load_camera(instrument).values()
    )


def _vendors(instrument: str) -> Mapping[str, str]:
    """Return the vendor of each detector by name, where an instrument has a detector table."""
    if instrument not in camera_names():
        return {}
    return {detector.name: detector.vendor for detector in camera_detectors(instrument)}
