"""Raws of another observatory's instrument, by the class that its package has."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.time import Time, TimeDelta
from lsst.daf.butler import Butler, Timespan

from lsst.ctrl.rapid.ingest import Ingestor, RawReady, make_repository, open_raw
from lsst.ctrl.rapid.instruments import NotTakenError, RawReaders, RefusedError
from lsst.ctrl.rapid.model import Arrival, InputError
from lsst.ctrl.rapid.plan import RecordStore
from support.other_observatory import HillCam, write_raw
from support.processes import rapid_here

CLASS = "support.other_observatory.HillCam"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hill") / "repo"
    printed = rapid_here("init-repo", root, "--instrument", CLASS)
    assert "takes raws of HillCam." in printed
    return root


@pytest.fixture
def ingestor(root: Path) -> Iterator[Ingestor]:
    with Butler.from_config(root) as butler:
        yield Ingestor(open_raw(butler), RecordStore.from_butler(butler, ["HillCam"]))


def read(ingestor: Ingestor, path: Path) -> RawReady:
    return ingestor.read(Arrival(path, 0.0, 0.0))


def test_records_follow_the_instruments_own_rules(ingestor: Ingestor, tmp_path: Path) -> None:
    raw = read(ingestor, write_raw(tmp_path, 12, 3, begin="2026-03-16T17:00:00"))
    assert (raw.instrument, raw.exposure, raw.detector) == ("HillCam", 12, 3)
    assert raw.ref.run == "HillCam/raw/all"
    records = raw.exposure_records
    # A day of the hill begins at 20:00, so this is still the day before.
    assert records["day_obs"].id == 20260315
    begin = Time("2026-03-15T20:00:00", scale="tai")
    day = Timespan(begin, begin + TimeDelta(1.0, format="jd"))
    assert records["day_obs"].timespan == day
    assert records["physical_filter"].band == "v"
    exposure = records["exposure"]
    assert (exposure.obs_id, exposure.group, exposure.seq_num) == ("hill000012", "block1", 12)
    assert (exposure.tracking_ra, exposure.tracking_dec, exposure.sky_angle) == (10.0, 41.0, 0.0)
    assert exposure.can_see_sky
    # Nothing here knows the geometry of the camera.
    assert {record.definition.name for record in raw.to_register} == {
        "day_obs", "group", "physical_filter", "exposure"
    }  # fmt: skip


def test_a_header_in_the_second_hdu_is_found(ingestor: Ingestor, tmp_path: Path) -> None:
    raw = read(ingestor, write_raw(tmp_path, 13, 5, compressed=True))
    assert (raw.exposure, raw.detector) == (13, 5)


def test_a_filter_that_the_package_defines_later_has_its_band(root: Path, tmp_path: Path) -> None:
    with Butler.from_config(root) as butler:
        records = RecordStore.from_butler(butler, ["HillCam"])
        [instrument] = (r for r in records.static() if r.definition.name == "instrument")
        later = instrument.definition.RecordClass(
            **{**instrument.toDict(), "class_name": "support.other_observatory.HillCamWithMoreFilters"}
        )
        records.add([later])
        ingestor = Ingestor(open_raw(butler), records)
    raw = read(ingestor, write_raw(tmp_path, 14, 0, FILT="hill-I"))
    assert raw.exposure_records["physical_filter"].band == "i"


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-2880])
    return path


def without_data(path: Path) -> Path:
    content = path.read_bytes()
    header = content[: -(-content.index(b"END" + b" " * 77) // 2880) * 2880]
    empty = re.sub(rb"NAXIS   = +2", b"NAXIS   =                    0", header)
    path.write_bytes(re.sub(rb"NAXIS[12]  =[^/]{21}", lambda found: b"X" + found[0][1:], empty))
    return path


@pytest.mark.parametrize(
    ("cards", "spoil", "reason"),
    [
        ({}, cut, "is cut short"),
        ({}, without_data, "has no data, only headers"),
        ({"N_STAMPS": 40}, None, "holds the stamps of a guider"),
        ({"CHIP": 6}, None, "HillCam has no detector 6 in this repository"),
        ({"INSTRUME": "HILL-2"}, None, "INSTRUME is 'HILL-2', and no metadata translator recognises"),
        ({"INSTRUME": "HILL-2"}, None, "raws of HillCam are taken here"),
        ({"INSTRUME": "LSSTCam"}, None, "init-repo REPO --instrument LSSTCam'"),
        ({"INSTRUME": "DECam"}, None, "init-repo REPO --instrument CLASS'"),
        ({"DATE-OBS": "yesterday"}, None, "its header cannot be translated as HillCam's: "),
        ({"DATE-END": ""}, None, "its header cannot be translated as HillCam's: "),
        ({"FRAMENO": "x"}, None, "its header cannot be translated as HillCam's: "),
    ],
)
def test_what_cannot_be_taken_is_refused_in_one_line(
    ingestor: Ingestor, tmp_path: Path, cards: dict[str, Any], spoil: Any, reason: str
) -> None:
    path = write_raw(tmp_path, 15, 0, **cards)
    if spoil is not None:
        spoil(path)
    with pytest.raises(RefusedError) as caught:
        read(ingestor, path)
    assert reason in caught.value.reason
    assert caught.value.reason.isprintable()


def test_raws_of_an_instrument_that_is_not_taken_here_are_left(root: Path, tmp_path: Path) -> None:
    """Of one whose class is not here, and of one that this run does not take: both are registered."""
    with Butler.from_config(root) as butler:
        records = RecordStore.from_butler(butler, ["HillCam"])
        raw, readers = open_raw(butler), RawReaders.from_butler(butler)
    path = write_raw(tmp_path, 18, 0)
    with pytest.raises(NotTakenError, match="this run takes no raws of HillCam"):
        read(Ingestor(raw, RecordStore(records.universe), readers=readers), path)
    [instrument] = (r for r in records.static() if r.definition.name == "instrument")
    absent = instrument.definition.RecordClass(**{**instrument.toDict(), "class_name": "nowhere.HillCam"})
    with pytest.raises(NotTakenError, match=r"it is of HillCam: class nowhere\.HillCam cannot be imported"):
        read(Ingestor(raw, records, readers=RawReaders.of([absent], raw)), path)


def test_raws_of_one_exposure_must_agree(ingestor: Ingestor, tmp_path: Path) -> None:
    read(ingestor, write_raw(tmp_path, 16, 0))
    for name, cards in {
        "physical_filter": {"FILT": "hill-R"},
        "exposure_time_requested": {"ASKED": 30.0},
        "observation_id": {"FRAMEID": "hill999"},
    }.items():
        with pytest.raises(RefusedError, match=f"contradicts that of .* same exposure: {name} is "):
            read(ingestor, write_raw(tmp_path, 16, 1, **cards))
    # Clocks of the chips differ a little.
    assert read(ingestor, write_raw(tmp_path, 16, 2, begin="2026-03-16T17:00:00.013")).detector == 2


def test_ingest_raws_registers_them_for_the_instruments_formatter(root: Path, tmp_path: Path) -> None:
    paths = [write_raw(tmp_path, 17, chip, compressed=chip == 1) for chip in (0, 1)]
    assert "2 of 2 file(s) are registered" in rapid_here("ingest-raws", "-b", root, *paths)
    with Butler.from_config(root) as butler:
        for chip in (0, 1):
            data = butler.get(
                "raw", instrument="HillCam", exposure=17, detector=chip, collections="HillCam/defaults"
            )
            assert np.array_equal(data, np.full((8, 12), 1700 + chip))


def test_a_later_version_of_the_package_can_be_registered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_repository(tmp_path / "repo", [CLASS])
    with caplog.at_level(logging.WARNING):
        make_repository(tmp_path / "repo", ["support.other_observatory.HillCamWithMoreFilters"])
    assert len(caplog.messages) == 2
    assert "class_name is 'support.other_observatory.HillCam' in the registry" in caplog.messages[0]
    assert "band is 'v' in the registry, not 'visible'" in caplog.messages[1]
    with Butler.from_config(tmp_path / "repo") as butler:
        bands = {r.name: r.band for r in butler.query_dimension_records("physical_filter")}
    assert bands == {"hill-V": "v", "hill-R": "r", "hill-I": "i"}


@pytest.mark.parametrize(
    ("there", "added", "told"),
    [
        (
            "LSSTCam",
            CLASS,
            "class 'NumpyArray', and 'raw' of this repository is of 'RapidRaw'",
        ),
        (CLASS, "LSSTCam", "'RapidRaw', and 'raw' of this repository is of 'NumpyArray'"),
        (CLASS, "Hillcam", "did you mean 'HillCam'?"),
        (CLASS, "support.other_observatory.Hillcam", "cannot be imported here"),
        (CLASS, "pathlib.Path", "cannot be imported here"),
        ("", "HSC", "There is no instrument 'HSC'; known are LSSTCam"),
    ],
)
def test_what_cannot_be_added_is_refused_and_nothing_is_changed(
    tmp_path: Path, there: str, added: str, told: str
) -> None:
    root = tmp_path / "repo"
    if there:
        make_repository(root, [there])
    with pytest.raises(InputError) as caught:
        make_repository(root, [added])
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    if not there:
        assert not root.exists()
        return
    with Butler.from_config(root) as butler:
        assert len(butler.query_dimension_records("instrument")) == 1


def test_a_registered_instrument_is_known_by_its_name(root: Path) -> None:
    assert make_repository(root, ["HillCam"]) == [HillCam.getName()]
