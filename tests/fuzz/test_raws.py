"""Headers and files that no camera would write: each is a raw or is refused, with one line."""

from __future__ import annotations

import functools
import gzip
import io
import json
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.io import fits
from hypothesis import example, given
from hypothesis import strategies as st
from lsst.daf.butler import Butler, DimensionUniverse

from lsst.ctrl.rapid.ingest import Ingestor, make_repository, open_raw
from lsst.ctrl.rapid.instruments import (
    exposure_cards,
    exposure_records,
    identify,
    make_visit,
    translate,
)
from lsst.ctrl.rapid.model import Arrival
from lsst.ctrl.rapid.plan import RecordStore, record_to_json
from support.refusals import taken_or_refused

UNIVERSE = DimensionUniverse()
SCIENCE: Mapping[str, Any] = {
    "INSTRUME": "lsstCam", "TELESCOP": "Simonyi Survey Telescope", "OBSID": "MC_O_20260501_000123",
    "DAYOBS": "20260501", "SEQNUM": 123, "CONTRLLR": "O", "RAFTBAY": "R22", "CCDSLOT": "S11",
    "GROUPID": "2026-05-02T03:04:05.678", "IMGTYPE": "OBJECT", "OBJECT": "field", "PROGRAM": "BLOCK-365",
    "FILTER": "r_57", "EXPTIME": 30.0, "SHUTTIME": 30.01, "DARKTIME": 30.9,
    "DATE-BEG": "2026-05-02T03:04:10.000",
    "DATE-END": "2026-05-02T03:04:40.900", "VIGN_MIN": "NO", "RA": 10.0, "DEC": -20.0, "RADESYS": "ICRS",
    "TRACKSYS": "RADEC", "ROTPA": 45.0, "ROTCOORD": "sky", "ELSTART": 60.0, "AZSTART": -90.0, "CURINDEX": 1,
    "MAXINDEX": 1, "FOCUSZ": 0.1, "HUMIDITY": 20.0, "AIRTEMP": 10.0, "PRESSURE": 770.0,
}  # fmt: skip
SYNTHETIC = {
    "science": SCIENCE,
    "night of April 2025": {**SCIENCE, "DAYOBS": "20250422"},
    "comcam": {**SCIENCE, "INSTRUME": "LSSTComCam", "FILTER": "r"},
    "sim": {**SCIENCE, "INSTRUME": "lsstCamSim", "CONTRLLR": "S"},
    "latiss": {**SCIENCE, "INSTRUME": "LATISS", "FILTER1": "SDSSr_65mm", "GRATING": "empty_1"},
    "pacific": {**SCIENCE, "DAYOBS": "20190319", "MJD-OBS": 58561.2, "DATE-BEG": None},
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 100_001),
    st.floats(),
    st.sampled_from([
        "", " ", "NaN", "inf", "-1", "1e999", "../../etc", "a\x00b", "9" * 400, "x" * 300, "2026-05-01",
        "20260230",
        "2026-13-45T99:99:99", "0001-01-01T00:00:00", "9999-12-31T23:59:60", "-4712-01-01", "UNKNOWN",
        "FK5", "HPX",
        "R22", "SG0", "W", "bias", "LOCAL", "FULLY", "²", "１２", math.nan, math.inf, -math.inf, 1e300,
        2**63, 10**30,
    ]),
    st.text(st.characters(max_codepoint=255), max_size=70),
)  # fmt: skip


@functools.cache
def real_headers() -> Mapping[str, Mapping[str, Any]]:
    folder = next((f for f in map(Path, shared_folders()) if f.is_dir()), None)
    if folder is None:
        return {}
    return {
        path.name: yaml.safe_load(path.read_text())
        if path.suffix == ".yaml"
        else json.loads(path.read_text())
        for path in sorted(folder.iterdir())
        if path.name != "expected.json"
    }


def shared_folders() -> list[str]:
    return [
        os.environ.get("RAPID_SHARED", "") + "/data/headers",
        str(Path(__file__).parents[3] / "shared/data/headers"),
    ]


@st.composite
def headers(draw: st.DrawFn) -> dict[str, Any]:
    """A header of a real or a made-up raw, of which some cards say something else."""
    known = {**SYNTHETIC, **real_headers()}
    base = dict(known[draw(st.sampled_from(sorted(known)))])
    changed = draw(st.dictionaries(st.sampled_from(sorted({*SCIENCE, *base})), ODD, min_size=1, max_size=5))
    return {card: value for card, value in (base | changed).items() if value is not None}


def check_storable(fields: Mapping[str, Any], what: str) -> None:
    """Check that a registry can take the values of a record."""
    for key, value in fields.items():
        match value:
            case int():
                assert abs(value) < 2**63, f"{what}.{key}"
            case float():
                assert math.isfinite(value), f"{what}.{key}"
            case str():
                assert "\x00" not in value, f"{what}.{key}"


@given(headers())
@example({**SCIENCE, "AZSTART": math.inf})
@example({**SCIENCE, "DARKTIME": "1e999"})
@example({**SCIENCE, "MJD-BEG": -678576})
@example({**SCIENCE, "CURINDEX": 10**30})
@example({**SCIENCE, "RA": math.nan, "ROTPA": "NaN"})
def test_a_header_gives_records_or_is_refused(header: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy's, of years that it has no leap seconds for
        with taken_or_refused():
            identity = identify(header)
            exposure_cards(header)
            info = translate(header, "a.fits")
            assert (info.instrument, info.exposure_id) == (identity.instrument, identity.exposure_id)
            records = exposure_records(info, UNIVERSE)
            visit = make_visit(records["exposure"], UNIVERSE)
            for record in (*records.values(), *(() if visit is None else visit.records[:8])):
                check_storable(record.toDict(), record.definition.name)
                record_to_json(record)


class Bench:
    """A small raw, and what reads it."""

    def __init__(self, folder: Path) -> None:
        make_repository(folder / "repo", ["LSSTCam"])
        with Butler.from_config(folder / "repo") as butler:
            self.raw, self.store = open_raw(butler), RecordStore.from_butler(butler, ["LSSTCam"])
        self.path = folder / "raw.fits"
        self.whole = make_raw()

    def read(self, content: bytes) -> bool:
        """Tell whether a file is taken for a raw."""
        self.path.write_bytes(content)
        with taken_or_refused(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ready = Ingestor(self.raw, self.store).read(Arrival(self.path, 0.0, 0.0))
            for record in ready.to_register[:8]:
                check_storable(record.toDict(), record.definition.name)
            return True
        return False


def make_raw() -> bytes:
    # An amplifier of 512 x 2002 pixels becomes one of 1 x 4, with its 10 columns of prescan.
    first = fits.PrimaryHDU(header=fits.Header([*SCIENCE.items(), ("SIMSCALE", 0.002)]))
    hdus: list[Any] = [first]
    for number in [f"1{i}" for i in range(8)] + [f"0{i}" for i in range(7, -1, -1)]:
        card = {"EXTNAME": f"Segment{number}", "DATASEC": "[11:11,1:4]", "DETSIZE": "[1:8,1:8]"}
        hdus.append(fits.ImageHDU(np.zeros((5, 13), np.int32), fits.Header(list(card.items()))))
    stream = io.BytesIO()
    fits.HDUList(hdus).writeto(stream)
    return stream.getvalue()


@pytest.fixture(scope="module")
def bench(sandbox: Path) -> Bench:
    return Bench(sandbox)


def card(keyword: str, value: str) -> bytes:
    return f"{keyword:<8}= {value:>20}".ljust(80).encode("latin-1", "replace")[:80]


STRUCTURE = ("NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "BITPIX", "PCOUNT", "GCOUNT", "EXTNAME", "DATASEC",
             "DETSEC",
             "DETSIZE", "SIMSCALE", "XTENSION", "ZIMAGE", "SIMPLE", "END", "CONTINUE", "HIERARCH",
             "COMMENT")  # fmt: skip
NUMBERS = st.one_of(st.integers(-(10**19), 10**19), st.integers(-100, 100)).map(str)


@st.composite
def edits(draw: st.DrawFn) -> list[tuple[str, str, float]]:
    """Cards to put in place of others: keyword, value, and where in the file, as a part of it."""
    keyword = st.sampled_from([*STRUCTURE, *SCIENCE])
    value = st.one_of(NUMBERS, st.sampled_from(["'../../x'", "'", "T", "1E999", "'a&'", "[0:0,0:0]", "''",
    "NaN"]),
                      st.text(st.characters(max_codepoint=255), max_size=70))  # fmt: skip
    return draw(st.lists(st.tuples(keyword, value, st.floats(0, 1)), min_size=1, max_size=4))


@given(edits())
@example([("NAXIS", "10000000000000", 0.0)])
@example([("PCOUNT", "-100000", 0.5)])
@example([("GCOUNT", "-1", 0.5)])
@example([("NAXIS1", "-7", 0.5), ("NAXIS2", "-5", 0.5)])
def test_a_file_with_odd_cards_is_taken_or_refused(bench: Bench, edit: list[tuple[str, str, float]]) -> None:
    content = bytearray(bench.whole)
    for keyword, value, place in edit:
        # The card of this name that comes next from there, else the one that is there.
        start = int(place * (len(content) // 80 - 1)) * 80
        there = [
            at
            for at in range(start, len(content) - 80, 80)
            if content[at : at + 8] == f"{keyword:<8}".encode()
        ]
        at = there[0] if there else start
        content[at : at + 80] = card(keyword, value)
    bench.read(bytes(content))


@given(st.data())
def test_a_damaged_file_is_taken_or_refused(bench: Bench, data: st.DataObject) -> None:
    content = bytearray(bench.whole)
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=30)):
        content[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content)), st.integers(0, 9000)))
    cut = bytes(content[:end])
    if data.draw(st.booleans()):
        packed = bytearray(gzip.compress(cut, 1))
        for at in data.draw(st.lists(st.integers(0, len(packed) - 1), max_size=5)):
            packed[at] = data.draw(st.integers(0, 255))
        cut = bytes(packed[: data.draw(st.one_of(st.just(len(packed)), st.integers(0, len(packed))))])
    bench.read(cut)


@given(st.binary(max_size=200))
def test_what_is_no_fits_file_is_refused(bench: Bench, content: bytes) -> None:
    assert not bench.read(content)
    assert not bench.read((b"SIMPLE  =                    T".ljust(80) + content).ljust(2880))


def test_the_raw_itself_is_taken(bench: Bench) -> None:
    assert bench.read(bench.whole)
    assert bench.read(gzip.compress(bench.whole))
