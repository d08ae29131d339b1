"""What every reader of raws promises: the LSSTCam family's and that of any package."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from lsst.daf.butler import DimensionUniverse, Formatter, FormatterV2

from lsst.ctrl.rapid.instruments import (
    LsstCam,
    RawReader,
    RefusedError,
    make_reader,
    raw_definition,
    read_primary_header,
)
from support.other_observatory import HillCam, write_raw
from support.small_raws import set_card, write_small_raw

UNIVERSE = DimensionUniverse()


@dataclasses.dataclass(frozen=True)
class Case:
    """A reader, how its raws are written, and a card that all raws of an exposure share."""

    reader: RawReader
    write: Callable[[Path, int], Path]
    shared: tuple[str, str]
    number_card: str
    filters: str
    noon: float


def write_lsst(folder: Path, detector: int) -> Path:
    return write_small_raw(folder / f"{detector}.fits", CCDSLOT={94: "S11", 95: "S12"}[detector])


CASES = {
    "family": Case(
        make_reader("LSSTCam", "lsst.ctrl.rapid.instruments.LsstCam", "RapidRaw"),
        write_lsst, ("OBJECT", "'other'"), "SEQNUM", "r_57", 12 * 3600.0,
    ),
    "family, class of the stack": Case(
        make_reader("LSSTCam", "nowhere.LsstCam", "RapidRaw"),
        write_lsst, ("OBJECT", "'other'"), "SEQNUM", "r_57", 12 * 3600.0,
    ),
    "package": Case(
        make_reader("HillCam", "support.other_observatory.HillCam", "NumpyArray"),
        lambda folder, detector: write_raw(folder, 7, detector - 93),
        ("OBJECT", "'other'"), "FRAMENO", "hill-V", 20 * 3600.0,
    ),
}  # fmt: skip


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def test_raws_of_an_exposure_differ_in_the_detector_alone(case: Case, tmp_path: Path) -> None:
    found = []
    for detector in (94, 95):
        path = case.write(tmp_path, detector)
        header = case.reader.header(path, read_primary_header(path))
        identity = case.reader.identify(header, path)
        assert identity.instrument == case.reader.instrument
        found.append((identity, case.reader.exposure_cards(header, path)))
    (one, cards), (other, more) = found
    assert (one.exposure_id, one.obs_id, cards) == (other.exposure_id, other.obs_id, more)
    assert one.detector != other.detector


def test_a_shared_value_that_differs_is_seen(case: Case, tmp_path: Path) -> None:
    path = case.write(tmp_path, 94)
    before = case.reader.exposure_cards(read_primary_header(path), path)
    set_card(path, *case.shared)
    after = case.reader.exposure_cards(read_primary_header(path), path)
    assert before.keys() == after.keys()
    assert before != after


def test_records_belong_to_the_identity(case: Case, tmp_path: Path) -> None:
    path = case.write(tmp_path, 94)
    header = case.reader.header(path, read_primary_header(path))
    identity = case.reader.identify(header, path)
    info = case.reader.translate(header, path)
    records = case.reader.exposure_records(info, UNIVERSE)
    assert list(records) == ["day_obs", "group", "physical_filter", "exposure"]
    exposure = records["exposure"]
    assert (exposure.instrument, exposure.id, exposure.obs_id) == (
        identity.instrument, identity.exposure_id, identity.obs_id
    )  # fmt: skip
    assert exposure.physical_filter == records["physical_filter"].name == case.filters
    assert exposure.day_obs == records["day_obs"].id
    day = records["day_obs"].timespan
    assert day.contains(exposure.timespan)
    offset = (day.begin.mjd % 1.0) * 86400.0
    assert offset == pytest.approx(case.noon, abs=1e-3)
    assert case.reader.day_offset(exposure.timespan.begin.unix) == case.noon
    visit = case.reader.make_visit(exposure, UNIVERSE)
    assert visit is None or visit.visit.id == exposure.id


def test_a_file_is_whole_or_refused(case: Case, tmp_path: Path) -> None:
    def check(path: Path) -> str:
        return case.reader.check_complete(path, case.reader.identify(read_primary_header(path), path))

    path = case.write(tmp_path, 94)
    assert check(path) != check(case.write(tmp_path, 95))
    os.truncate(path, path.stat().st_size - 2880)
    with pytest.raises(RefusedError, match="cut short"):
        check(path)


def test_a_header_without_a_number_is_refused(case: Case, tmp_path: Path) -> None:
    path = case.write(tmp_path, 94)
    header = {k: v for k, v in read_primary_header(path).items() if k != case.number_card}
    with pytest.raises(RefusedError):
        case.reader.identify(header, path)


def test_raws_have_a_run_and_a_formatter(case: Case) -> None:
    assert case.reader.raw_run == f"{case.reader.instrument}/raw/all"
    assert issubclass(case.reader.formatter(0), Formatter | FormatterV2)


def test_definitions_are_those_of_the_classes() -> None:
    dimensions = ("instrument", "exposure", "detector")
    assert raw_definition(HillCam()) == ("raw", dimensions, "NumpyArray")
    assert raw_definition(LsstCam()) == ("raw", dimensions, "RapidRaw")
    plain = type("Plain", (HillCam,), {"raw_definition": None})
    assert raw_definition(plain()) == ("raw", dimensions, "Exposure")


@pytest.mark.parametrize(
    ("name", "class_name", "storage_class", "reason"),
    [
        ("HSC", "lsst.obs.subaru.HyperSuprimeCam", "Exposure", "cannot be imported here"),
        (
            "HillCam",
            "support.other_observatory.HillCam",
            "RapidRaw",
            "reads raws of storage class 'NumpyArray'",
        ),
        ("LSSTCam", "nowhere.LsstCam", "Exposure", "class nowhere.LsstCam cannot be imported here"),
        ("Spectra", "support.other_observatory.HillSpectrograph", "NumpyArray", "of type 'rawSpectrum'"),
    ],
)
def test_what_cannot_be_read_says_why(name: str, class_name: str, storage_class: str, reason: str) -> None:
    with pytest.raises(LookupError) as caught:
        make_reader(name, class_name, storage_class)
    assert reason in caught.value.args[0]
    assert "\n" not in caught.value.args[0]
