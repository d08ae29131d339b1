"""Corrections of single exposures, in the folders that a site names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from astro_metadata_translator import fix_header

from lsst.ctrl.rapid.instruments import RefusedError, correction_folders, identify, translate
from lsst.ctrl.rapid.instruments import _corrections as corrections
from lsst.ctrl.rapid.instruments import _translators as translators
from lsst.ctrl.rapid.instruments._camera_translators import LsstCamTranslator

type Header = Callable[..., dict[str, Any]]

NAME = "LSSTCam-MC_O_20260501_000123.yaml"
"""As astro_metadata_translator names it: instrument and exposure of the header as it is."""


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    found = [tmp_path / "first", tmp_path / "second"]
    for folder in found:
        folder.mkdir()
    monkeypatch.setenv("METADATA_CORRECTIONS_PATH", os.pathsep.join(map(str, found)))
    return found


def test_what_identifies_an_exposure_can_be_corrected(header: Header, folders: list[Path]) -> None:
    (folders[0] / NAME).write_text(
        "{DAYOBS: '20240102', SEQNUM: 7, CONTRLLR: S, CCDSLOT: S12, OBSID: MC_S_20240102_000007, GROUPID: g}"
    )
    identity, info = identify(header()), translate(header())
    assert identity.exposure_id == info.exposure_id == 7024010200007
    assert identity.detector == info.detector_num == 95
    assert identity.obs_id == info.observation_id == "MC_S_20240102_000007"
    assert (info.observing_day, info.exposure_group) == (20240102, "g")


def test_the_first_folder_that_has_a_correction_counts(header: Header, folders: list[Path]) -> None:
    (folders[1] / NAME).write_text("{SEQNUM: 8, OBJECT: second}")
    assert identify(header()).exposure_id == 2026050100008
    corrections._read.cache_clear()
    (folders[0] / NAME).write_text("SEQNUM: 9")
    info = translate(header())
    assert identify(header()).exposure_id == info.exposure_id == 2026050100009
    assert info.object == "field"


def test_rules_come_after_corrections(header: Header, folders: list[Path]) -> None:
    (folders[0] / NAME).write_text(
        "{DAYOBS: '20250609', SEQNUM: 100, FILTER: r_57, OBSID: MC_O_20250609_000100}"
    )
    assert translate(header()).physical_filter == "z_20"


def test_what_is_wrong_in_a_header_can_be_corrected(header: Header, folders: list[Path]) -> None:
    wrong = {**header(EXPTIME=1e9, SHUTTIME=None, DATE_BEG="1970-01-01T00:00:00"), "OBJECT": "\x1b[31m"}
    with pytest.raises(RefusedError):
        translate(wrong)
    (folders[0] / NAME).write_text("{EXPTIME: 30.0, DATE-BEG: '2026-05-02T03:04:10.000', OBJECT: red}")
    corrections._read.cache_clear()
    info = translate(wrong)
    assert (info.exposure_time_requested.to_value("s"), info.object) == (30.0, "red")


def test_a_date_without_quotes_is_a_group(header: Header, folders: list[Path]) -> None:
    """As ``LsstBaseTranslator.to_exposure_group`` of lsst/obs_lsst has it."""
    (folders[0] / NAME).write_text("GROUPID: 2026-05-02T03:04:05.600")
    assert translate(header()).exposure_group == "2026-05-02T03:04:05.600"


@pytest.mark.parametrize("content", ["- a list", "", "{broken", "\x00"])
def test_a_file_that_is_no_correction_is_passed_over(
    header: Header, folders: list[Path], content: str
) -> None:
    (folders[0] / NAME).write_text(content)
    (folders[1] / NAME).write_text("SEQNUM: 8")
    info = translate(header())
    assert identify(header()).exposure_id == info.exposure_id == 2026050100008


def test_files_are_chosen_as_upstream_chooses_them(header: Header, folders: list[Path]) -> None:
    for folder, value in zip(folders, ("[]", "SEQNUM: 5"), strict=True):
        (folder / NAME).write_text(value)
    theirs = header()
    fix_header(theirs, translator_class=LsstCamTranslator)
    ours = corrections.correct(header(), "LSSTCam", "MC_O_20260501_000123")
    assert ours["SEQNUM"] == theirs["SEQNUM"] == 5


def test_a_name_leads_out_of_no_folder(header: Header, folders: list[Path]) -> None:
    (folders[0] / "LSSTCam-x").mkdir()
    (folders[1] / "out.yaml").write_text("SEQNUM: 9")
    identity = identify(header(OBSID="x/../../second/out"))
    assert identity.exposure_id == 2026050100123


def test_raws_of_an_exposure_share_one_look_at_the_folders(
    header: Header, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = 1000.0
    monkeypatch.setattr(corrections.time, "monotonic", lambda: moment)
    assert identify(header()).exposure_id == 2026050100123
    (folders[0] / NAME).write_text("SEQNUM: 9")
    # It was looked for a moment ago, for another raw of the exposure.
    assert identify(header(CCDSLOT="S12")).exposure_id == 2026050100123
    moment += 60.0
    assert identify(header(CCDSLOT="S12")).exposure_id == 2026050100009


def test_a_translation_to_another_exposure_is_refused(
    header: Header, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other raws of the exposure are not translated: they would belong to the one in the header."""

    class Newer(LsstCamTranslator):
        def to_exposure_id(self) -> int:
            return 2026050100124

    monkeypatch.setitem(translators._TRANSLATORS, "LSSTCam", Newer)
    with pytest.raises(
        RefusedError, match=r"exposure 2026050100123, .* translated to LSSTCam, exposure 2026050100124"
    ):
        translate(header())


def test_the_folders_in_force_are_known(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert correction_folders() == tuple(folders)
    monkeypatch.delenv("METADATA_CORRECTIONS_PATH")
    assert correction_folders() == ()
