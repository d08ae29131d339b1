"""Names under which raws of the family come, from ``rapid-exec ingest-raws`` to the butler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.ingest import make_repository
from support.processes import rapid_here
from support.small_raws import write_small_raw

COMCAM_SIM: dict[str, Any] = {
    "INSTRUME": "ComCamSim", "OBSID": "CC_S_20240321_000093", "DAYOBS": "20240321", "SEQNUM": 93,
    "CONTRLLR": "S", "DATE_BEG": "2024-03-22T03:42:41.086", "DATE_END": "2024-03-22T03:43:14.140",
}  # fmt: skip
LABORATORY: dict[str, Any] = {
    "INSTRUME": "LSST_CAMERA", "TELESCOP": "LSST", "TELCODE": "CC", "OBSID": "CC_C_20190526_000223",
    "DAYOBS": "20190526", "SEQNUM": 223, "CONTRLLR": "C", "DATE_BEG": "2019-05-26T08:08:09.489",
    "DATE_END": None, "IMGTYPE": "BIAS", "FILTER": None,
}  # fmt: skip
PHOSIM: dict[str, Any] = {
    "INSTRUME": "comCam", "TELESCOP": "LSST", "OBSID": "CC_H_20100217_006001", "DAYOBS": "20100217",
    "SEQNUM": 6001, "CONTRLLR": "H", "DATE_BEG": "2010-02-17T02:14:40.319", "DATE_END": None,
    "FILTER": "g_01",
}  # fmt: skip
LATISS: dict[str, Any] = {
    "INSTRUME": "LSST_ATISS", "OBSID": "AT_O_20190915_000037", "DAYOBS": None, "SEQNUM": None,
    "CONTRLLR": None, "DATE_OBS": "1970-01-01T00:00:40.000", "DATE_BEG": None, "DATE_END": None,
    "DATE": "2019-09-15T14:21:45.000", "MJD": 58741.59843750, "GROUPID": "FLAT", "IMGTYPE": None,
    "RAFTBAY": None, "CCDSLOT": None,
}  # fmt: skip
KINDS = {
    "ComCamSim": ("LSSTComCamSim", COMCAM_SIM, 7024032100093, "science", "2024-03-22T03:42:41.086000"),
    "laboratory": ("LSSTComCam", LABORATORY, 3019052600223, "bias", "2019-05-26T08:08:09.489000"),
    "phosim": ("LSSTComCam", PHOSIM, 4010021706001, "science", "2010-02-17T02:14:40.319000"),
    "LATISS of 2019": ("LATISS", LATISS, 2019091500037, "flat", "2019-09-15T14:21:45.000000"),
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("names") / "repo"
    make_repository(root, ["LSSTComCam", "LSSTComCamSim", "LATISS"])
    return root


@pytest.mark.parametrize(("instrument", "cards", "exposure", "kind", "begin"), KINDS.values(), ids=KINDS)
def test_raws_of_all_times_are_registered(
    repository: Path,
    tmp_path: Path,
    instrument: str,
    cards: dict[str, Any],
    exposure: int,
    kind: str,
    begin: str,
) -> None:
    path = write_small_raw(tmp_path / f"{cards['OBSID']}_R22_S11.fits", **cards)
    assert "1 of 1 file(s) are registered" in rapid_here("ingest-raws", "-b", repository, path)
    with Butler.from_config(repository) as butler:
        [record] = butler.query_dimension_records("exposure", instrument=instrument, exposure=exposure)
        assert (record.observation_type, record.timespan.begin.tai.isot) == (kind, begin)
        [ref] = butler.query_datasets(
            "raw", f"{instrument}/raw/all", instrument=instrument, exposure=exposure
        )
        assert ref.dataId["detector"] == (0 if instrument == "LATISS" else 4)
