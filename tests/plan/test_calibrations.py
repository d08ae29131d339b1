"""Calibrations by validity: what the butler finds, from memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import astropy.time
import pytest
from lsst.daf.butler import Butler, CollectionType, DataCoordinate, DatasetRef, Timespan
from lsst.daf.butler.registry import ConflictingDefinitionError

from lsst.ctrl.rapid.plan import CalibrationError, Calibrations

CAMERA = "ToyCam"
MIDNIGHT = astropy.time.Time("2026-05-01T00:00:00", scale="tai")


def at(hour: float, length: float = 0.01) -> Timespan:
    begin = MIDNIGHT + astropy.time.TimeDelta(3600 * hour, format="sec")
    return Timespan(begin, begin + astropy.time.TimeDelta(3600 * length, format="sec"))


def read(
    butler: Butler, names: Iterable[str] = ("bias",), collections: Iterable[str] = ("defaults",)
) -> Calibrations:
    calibrations = Calibrations([butler.get_dataset_type(name) for name in names], tuple(collections))
    calibrations.refresh(butler)
    return calibrations


def detector(butler: Butler, number: int = 0, physical_filter: str = "r_57") -> DataCoordinate:
    band = physical_filter[0]
    return DataCoordinate.standardize(
        instrument=CAMERA,
        detector=number,
        physical_filter=physical_filter,
        band=band,
        universe=butler.dimensions,
    )


def same_as_butler(
    butler: Butler, calibrations: Calibrations, hour: float, collections: str = "defaults", number: int = 0
) -> DatasetRef | None:
    """Find the bias of a moment, and check that the butler finds the same."""
    found = calibrations.find("bias", detector(butler, number), at(hour))
    expected = butler.find_dataset(
        "bias", instrument=CAMERA, detector=number, collections=collections, timespan=at(hour)
    )
    assert (found and found.id) == (expected and expected.id), f"at hour {hour}"
    return found


def test_a_later_certification_in_an_earlier_collection_shadows_a_part(repository: Any) -> None:
    butler = repository.butler
    always, newer = (
        repository.calibration("bias", detector=0),
        repository.calibration("bias", "made/2", detector=0),
    )
    repository.certify("calib", None, None, always)
    repository.certify("newer", 2, 4, newer)
    calibrations = read(butler)
    found = [same_as_butler(butler, calibrations, hour) for hour in (1, 2, 3, 3.999, 4, 5, 3, 1)]
    ids = [ref.id for ref in found if ref is not None]
    assert ids == [r.id for r in (always, newer, newer, newer, always, always, newer, always)]


def test_a_gap_in_validity_finds_nothing(repository: Any) -> None:
    butler = repository.butler
    first, second = (
        repository.calibration("bias", detector=0),
        repository.calibration("bias", "made/2", detector=0),
    )
    repository.certify("calib", 0, 2, first)
    repository.certify("calib", 3, None, second)
    calibrations = read(butler)
    assert [same_as_butler(butler, calibrations, hour) is None for hour in (-1, 1, 2.5, 3, 99)] == [
        True,
        False,
        True,
        False,
        False,
    ]


def test_an_exposure_across_a_change_in_one_collection_is_refused(repository: Any) -> None:
    butler = repository.butler
    first, second = (
        repository.calibration("bias", detector=0),
        repository.calibration("bias", "made/2", detector=0),
    )
    repository.certify("calib", 0, 2, first)
    repository.certify("calib", 2, 4, second)
    calibrations = read(butler)
    with pytest.raises(CalibrationError, match=r"Two bias datasets .*detector: 0.* decertify one"):
        calibrations.find("bias", detector(butler), at(1.9, length=0.2))
    found = calibrations.find("bias", detector(butler), at(1.0))
    assert found is not None
    assert found.id == first.id


def test_an_exposure_across_a_change_is_clear_where_an_earlier_collection_has_one(repository: Any) -> None:
    butler = repository.butler
    refs = [repository.calibration("bias", f"made/{i}", detector=0) for i in range(3)]
    repository.certify("calib", 0, 2, refs[0])
    repository.certify("calib", 2, 4, refs[1])
    repository.certify("newer", 1, 3, refs[2])
    found = read(butler).find("bias", detector(butler), at(1.9, length=0.2))
    assert found is not None
    assert found.id == refs[2].id


def test_one_dataset_certified_twice_is_no_conflict(repository: Any) -> None:
    butler = repository.butler
    ref = repository.calibration("bias", detector=0)
    repository.certify("calib", 0, 2, ref)
    repository.certify("calib", 2, 4, ref)
    found = read(butler).find("bias", detector(butler), at(1.9, length=0.2))
    assert found is not None
    assert found.id == ref.id


def test_one_collection_never_holds_two_for_one_moment(repository: Any) -> None:
    first, second = (repository.calibration("bias", f"made/{i}", detector=0) for i in range(2))
    repository.certify("calib", 0, 4, first)
    with pytest.raises(ConflictingDefinitionError):
        repository.certify("calib", 3, 5, second)


def test_the_order_of_the_collections_decides(repository: Any) -> None:
    butler = repository.butler
    first, second = (repository.calibration("bias", f"made/{i}", detector=0) for i in range(2))
    repository.certify("calib", 0, 4, first)
    repository.certify("newer", 0, 4, second)
    for collections, expected in ((("calib", "newer"), first), (("newer", "calib"), second)):
        found = read(butler, collections=collections).find("bias", detector(butler), at(1))
        assert found is not None
        assert found.id == expected.id


def test_nested_chains_are_searched_in_depth(repository: Any) -> None:
    butler = repository.butler
    first, second = (repository.calibration("bias", f"made/{i}", detector=0) for i in range(2))
    repository.certify("calib", 0, 4, first)
    repository.certify("newer", 2, 4, second)
    butler.collections.register("inner", CollectionType.CHAINED)
    butler.collections.redefine_chain("inner", ["raw/all", "calib"])
    butler.collections.register("outer", CollectionType.CHAINED)
    butler.collections.redefine_chain("outer", ["inner", "newer"])
    calibrations = read(butler, collections=("outer",))
    found = same_as_butler(butler, calibrations, 3, "outer")
    assert found is not None
    assert found.id == first.id


def test_a_run_holds_always(repository: Any) -> None:
    butler = repository.butler
    in_run, certified = (
        repository.calibration("bias", "override", detector=0),
        repository.calibration("bias", detector=0),
    )
    repository.certify("calib", 0, 4, certified)
    butler.collections.redefine_chain("defaults", ["override", "calib"])
    calibrations = read(butler)
    found = same_as_butler(butler, calibrations, 1)
    assert found is not None
    assert found.id == in_run.id
    butler.collections.redefine_chain("defaults", ["calib", "override"])
    calibrations.refresh(butler)
    ids = [found.id for hour in (1, 9) if (found := same_as_butler(butler, calibrations, hour)) is not None]
    assert ids == [certified.id, in_run.id]


def test_each_filter_has_its_own(repository: Any) -> None:
    butler = repository.butler
    flats = {
        name: repository.calibration("flat", detector=0, physical_filter=name) for name in ("r_57", "g_6")
    }
    repository.certify("calib", None, None, *flats.values())
    calibrations = read(butler, ["flat", "bias"])
    for name, flat in flats.items():
        found = calibrations.find("flat", detector(butler, 0, name), at(1))
        assert found is not None
        assert found.id == flat.id
        assert found.dataId["physical_filter"] == name
    assert calibrations.find("flat", detector(butler, 0, "empty"), at(1)) is None
    assert calibrations.find("flat", detector(butler, 1), at(1)) is None


def test_each_detector_has_its_own(repository: Any) -> None:
    butler = repository.butler
    refs = repository.biases()
    calibrations = read(butler)
    for number, ref in enumerate(refs):
        found = same_as_butler(butler, calibrations, 1, number=number)
        assert found is not None
        assert found.id == ref.id
        assert found.run == "made"


def test_a_new_certification_is_found_after_a_refresh(repository: Any) -> None:
    butler = repository.butler
    first, second = (repository.calibration("bias", f"made/{i}", detector=0) for i in range(2))
    repository.certify("calib", None, None, first)
    calibrations = read(butler)
    butler.registry.decertify("calib", "bias", Timespan(None, None))
    repository.certify("calib", None, None, second)
    before = calibrations.find("bias", detector(butler), at(1))
    calibrations.refresh(butler)
    after = same_as_butler(butler, calibrations, 1)
    assert before is not None
    assert after is not None
    assert (before.id, after.id) == (first.id, second.id)


def test_a_chain_that_was_changed_is_followed_after_a_refresh(repository: Any) -> None:
    butler = repository.butler
    repository.certify("calib", None, None, repository.calibration("bias", detector=0))
    calibrations = read(butler)
    butler.collections.redefine_chain("defaults", ["newer"])
    calibrations.refresh(butler)
    assert same_as_butler(butler, calibrations, 1) is None


def test_all_that_may_be_found_are_listed_once(repository: Any) -> None:
    butler = repository.butler
    bias = repository.calibration("bias", detector=0)
    repository.certify("calib", 0, 1, bias)
    repository.certify("calib", 2, 3, bias)
    repository.certify("newer", 0, 9, bias)
    flat = repository.calibration("flat", detector=0, physical_filter="r_57")
    repository.certify("calib", 0, 1, flat)
    assert sorted(ref.id for ref in read(butler, ["bias", "flat"]).refs()) == sorted([bias.id, flat.id])


def test_nothing_is_known_of_a_type_that_nobody_certified(repository: Any) -> None:
    calibrations = read(repository.butler, ["bias", "flat"])
    assert calibrations.refs() == []
    assert calibrations.find("bias", detector(repository.butler), at(1)) is None


def test_a_moment_that_is_not_known_is_in_no_validity_range(repository: Any) -> None:
    butler = repository.butler
    certified, in_run = (repository.calibration("bias", f"made/{i}", detector=0) for i in range(2))
    repository.certify("calib", None, None, certified)
    calibrations = read(butler)
    assert calibrations.find("bias", detector(butler), None) is None
    assert butler.find_dataset("bias", instrument=CAMERA, detector=0, collections="defaults") is None
    butler.collections.redefine_chain("defaults", ["calib", "made/1"])
    calibrations.refresh(butler)
    found = calibrations.find("bias", detector(butler), None)
    assert found is not None
    assert found.id == in_run.id


def test_types_of_which_nothing_is_certified_are_told_once(
    repository: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    calibrations = read(repository.butler)
    calibrations.refresh(repository.butler)
    assert [record.getMessage() for record in caplog.records] == [
        "Nothing is certified of bias in defaults: what needs it fails until it is."
    ]
