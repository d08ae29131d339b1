"""Visits that the registry has already, or cannot take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Butler, DimensionRecord, Timespan

from lsst.ctrl.rapid.commit import sync_records
from lsst.ctrl.rapid.ingest import make_repository
from lsst.ctrl.rapid.instruments import make_visit, repository_config
from lsst.ctrl.rapid.plan import ContradictionError

CAMERA = "LSSTComCamSim"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Butler]:
    root = tmp_path_factory.mktemp("visits") / "repo"
    Butler.makeRepo(root, config=repository_config())
    make_repository(root, [CAMERA])
    with Butler.from_config(root, writeable=True) as butler:
        yield butler


class Night:
    """Makes exposures, each with another number."""

    def __init__(self, butler: Butler) -> None:
        self.butler = butler
        self.seq_num = 0

    def exposure(self, **fields: Any) -> list[DimensionRecord]:
        """Return the records that a new exposure gives, with fields of its own record changed."""
        self.seq_num += 1
        number = 20260501_00000 + self.seq_num
        given: dict[str, Any] = {
            "instrument": CAMERA,
            "id": number,
            "obs_id": f"CC_S_20260501_{self.seq_num:06d}",
            "physical_filter": "r_03",
            "group": f"group {self.seq_num}",
            "day_obs": 20260501,
            "timespan": Timespan.from_day_obs(20260501),
            "exposure_time": 30.0,
            "observation_type": "science",
            "observation_reason": "test",
            "seq_num": self.seq_num,
            "seq_start": self.seq_num,
            "seq_end": self.seq_num,
            "target_name": "field",
            "science_program": "test",
            "tracking_ra": 10.0,
            "tracking_dec": -20.0,
            "sky_angle": 5.0,
            "azimuth": 90.0,
            "zenith_angle": 30.0,
            "can_see_sky": True,
            **fields,
        }
        universe = self.butler.dimensions
        exposure = universe["exposure"].RecordClass(**given)
        visit = make_visit(exposure, universe)
        assert visit is not None
        return [
            universe["day_obs"].RecordClass(instrument=CAMERA, id=20260501),
            universe["group"].RecordClass(instrument=CAMERA, name=given["group"]),
            exposure,
            *visit.records,
        ]

    def there(self, element: str, records: list[DimensionRecord]) -> list[DimensionRecord]:
        """Return what the registry has of an element for an exposure or a visit."""
        record = one(records, "visit" if element.startswith("visit") else "exposure")
        return list(self.butler.query_dimension_records(element, data_id=record.dataId, explain=False))


@pytest.fixture(scope="module")
def night(repository: Butler) -> Night:
    return Night(repository)


def one(records: list[DimensionRecord], element: str) -> DimensionRecord:
    return next(record for record in records if record.definition.name == element)


def changed(records: list[DimensionRecord], element: str, **fields: Any) -> list[DimensionRecord]:
    """Return records with fields of those of one element changed."""
    return [
        r.definition.RecordClass(**{**r.toDict(), **fields}) if r.definition.name == element else r
        for r in records
    ]


def test_many_visits_are_registered_together_and_twice_does_nothing(
    night: Night, caplog: pytest.LogCaptureFixture
) -> None:
    nights = [night.exposure() for _ in range(3)]
    for _ in range(2):
        sync_records(night.butler, [record for records in nights for record in records])
    for records in nights:
        assert night.there("visit", records) == [one(records, "visit")]
        assert len(night.there("visit_detector_region", records)) == 9
    assert not caplog.records


@pytest.mark.parametrize(
    ("exposure", "told"),
    [
        ({"exposure_time": 31.0}, "exposure_time is 31.0 in the registry, not 30.0"),
        (
            {"target_name": "other", "azimuth": 12.0},
            "target_name is 'other' in the registry, not 'field'; azimuth is 12.0 in the registry, not 90.0",
        ),
        ({"sky_angle": 50.0}, "region is another in the registry, not ours"),
        ({"tracking_ra": 10.1}, "region is another in the registry, not ours"),
        ({"tracking_ra": 10.001, "sky_angle": 5.01}, ""),
        ({}, ""),
    ],
    ids=str,
)
def test_a_visit_that_somebody_defined_stays(
    night: Night, caplog: pytest.LogCaptureFixture, exposure: dict[str, Any], told: str
) -> None:
    ours = night.exposure()
    night.seq_num -= 1
    theirs = night.exposure(**exposure)
    mine = [r for r in ours if not r.definition.name.startswith("visit")]
    sync_records(night.butler, mine)
    sync_records(night.butler, [r for r in theirs if r.definition.name.startswith("visit")])
    sync_records(night.butler, ours)
    assert night.there("visit", ours) == [one(theirs, "visit")]
    number = one(ours, "visit").id
    warning = f"Visit {number} of {CAMERA} stays as it is registered: {told}."
    assert caplog.messages == ([warning] if told else [])


def test_a_visit_that_the_registry_cannot_take_loses_nothing_else(
    night: Night, caplog: pytest.LogCaptureFixture
) -> None:
    before, poisoned, after = (night.exposure() for _ in range(3))
    sync_records(night.butler, before)
    taken = changed(poisoned, "visit", name=one(before, "visit").name)
    sync_records(night.butler, [*taken, *after])
    assert night.there("exposure", poisoned) == [one(poisoned, "exposure")]
    assert night.there("visit", poisoned) == []
    assert night.there("visit_detector_region", poisoned) == []
    assert night.there("visit", after) == [one(after, "visit")]
    [warning] = caplog.records
    assert f"Visit {one(poisoned, 'visit').id} of {CAMERA} could not be registered" in warning.getMessage()


def test_a_visit_system_of_another_name_stays(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    records = night.exposure()
    other = [
        r.definition.RecordClass(instrument=CAMERA, id=0, name="by-counter-and-exposures")
        if r.definition.name == "visit_system"
        else r
        for r in records
    ]
    sync_records(night.butler, other)
    [warning] = caplog.records
    assert "name is 'one-to-one' in the registry, not 'by-counter-and-exposures'" in warning.getMessage()
    assert night.there("visit", records) == [one(records, "visit")]


@pytest.mark.parametrize(
    ("element", "fields", "told"),
    [
        ("exposure", {"exposure_time": 30.00137}, "exposure_time is 30.0 in the registry, not 30.00137"),
        ("exposure", {"dark_time": 31.5}, "dark_time is None in the registry, not 31.5"),
        ("exposure", {"observation_type": "acq"}, "observation_type is 'science' in the registry, not 'acq'"),
        ("exposure", {"physical_filter": "i_06"}, "physical_filter is 'r_03' in the registry, not 'i_06'"),
        ("exposure", {"day_obs": 20260502}, "day_obs is 20260501 in the registry, not 20260502"),
        ("exposure", {"timespan": Timespan.from_day_obs(20260502)}, "timespan is "),
        ("day_obs", {"timespan": Timespan.from_day_obs(20260501)}, "timespan is None in the registry, not "),
        ("physical_filter", {"band": "x"}, "band is 'r' in the registry, not 'x'"),
        ("visit_system", {"name": "my-own"}, "name is "),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_what_the_registry_has_otherwise_stays_and_loses_nothing(
    night: Night, caplog: pytest.LogCaptureFixture, element: str, fields: dict[str, Any], told: str
) -> None:
    universe = night.butler.dimensions
    records = [
        *night.exposure(),
        universe["day_obs"].RecordClass(instrument=CAMERA, id=20260502),
        universe["physical_filter"].RecordClass(instrument=CAMERA, name="r_03", band="r"),
    ]
    sync_records(night.butler, records)
    sync_records(night.butler, changed(records, element, **fields))
    assert night.butler.query_dimension_records(element, data_id=one(records, element).dataId) == [
        one(records, element)
    ]
    assert caplog.messages
    assert all(told in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"obs_id": "another"}, "obs_id is '{obs_id}' in the registry, not 'another'"),
        ({"id": 2026050199999}, "where obs_id '{obs_id}' is exposure {id} of"),
    ],
    ids=str,
)
def test_an_exposure_that_would_be_two_is_refused(night: Night, fields: dict[str, Any], told: str) -> None:
    records = night.exposure()
    sync_records(night.butler, records)
    number = fields.get("id", one(records, "exposure").id)
    with pytest.raises(ContradictionError) as caught:
        sync_records(night.butler, changed(records, "exposure", **fields))
    message = str(caught.value)
    assert message.startswith(f"exposure {number} of {CAMERA} contradicts the registry, ")
    assert told.format(**one(records, "exposure").toDict()) in message


def test_a_repository_knows_the_visit_systems_from_the_start(tmp_path: Path) -> None:
    make_repository(tmp_path / "repo", ["LATISS"])
    with Butler.from_config(tmp_path / "repo") as butler:
        found = butler.query_dimension_records("visit_system", instrument="LATISS")
        assert {(record.id, record.name) for record in found} == {(0, "one-to-one")}
        [instrument] = butler.query_dimension_records("instrument", instrument="LATISS")
        assert instrument.visit_system == 2
