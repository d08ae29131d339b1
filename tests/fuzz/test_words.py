"""Small languages: expressions, patterns, faults, numbers.  Each text has a meaning or is refused, soon."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from typing import Any

import pydantic
from hypothesis import example, given
from hypothesis import strategies as st
from lsst.daf.butler import DimensionRecord, DimensionUniverse

from lsst.ctrl.rapid.conductor import compile_policy
from lsst.ctrl.rapid.instruments import exposure_records, translate
from lsst.ctrl.rapid.model import (
    PatternSpec,
    Policy,
    check_output,
    is_plain_name,
    parse_numbers,
)
from lsst.ctrl.rapid.plan import Selector
from lsst.ctrl.rapid.service import camera_detectors
from lsst.ctrl.rapid.simulator import SimulationConfig, parse_fault
from support.refusals import taken_or_refused

from .test_raws import SCIENCE

UNIVERSE = DimensionUniverse()
TEXT = st.text(max_size=40)


@functools.cache
def records() -> Mapping[str, DimensionRecord]:
    """What an exposure's expression is evaluated on, with values that are not known."""
    header = {card: value for card, value in SCIENCE.items() if card not in ("RA", "ELSTART")}
    return exposure_records(translate(header), UNIVERSE)


NAMES = ("exposure", "exposure.seq_num", "exposure.exposure_time", "exposure.observation_reason",
         "exposure.timespan",
         "exposure.tracking_ra", "exposure.timespan.begin", "exposure.has_simulated", "day_obs",
         "instrument", "visit",
         "band", "physical_filter", "detector", "group", "day_obs.timespan", "exposure.nothing",
         "bias.ingest_date",
         "skymap", "tract")  # fmt: skip
VALUES = ("0", "1", "-1", "9" * 30, "1e308", "0.5", "'science'", "''", "'*a*b*c*'", "NULL", "true",
          "T'2026-05-01'",
          "(T'2026-05-01', NULL)", "1..5:2", "5..1", "(1, 2)", "()", "('a')", "POINT(1, 2)", ":x",
          "UUID('x')")  # fmt: skip
SIGNS = ("=", "!=", "<", ">=", "+", "-", "*", "/", "%", "AND", "OR", "NOT", "IN", "NOT IN", "OVERLAPS",
         "IS NULL",
         "IS NOT NULL", "(", ")", ",", "NOT (", ";", "--",
         "GLOB(exposure.target_name, 'a*') AND")  # fmt: skip
WHERE = st.one_of(
    st.lists(st.sampled_from((*NAMES, *VALUES, *SIGNS)), max_size=12).map(" ".join),
    st.tuples(*map(st.sampled_from, (NAMES, SIGNS, VALUES + NAMES))).map(" ".join),
    st.tuples(
        *map(st.sampled_from, (NAMES, ("+", "-", "*", "/", "%"), VALUES, ("=", "<", "IN"), VALUES + NAMES))
    ).map(" ".join),
    TEXT,
)


@given(WHERE)
@example("0")
@example("exposure.seq_num / 0 = 1")
@example("exposure.seq_num % 0 = 1")
@example("(" * 990 + "1 = 1" + ")" * 990)
@example("NOT " * 490 + "true")
@example("1 = 1 AND " * 199 + "1 = 1")
@example("-" * 1900 + "1 = 1")
@example("GLOB(exposure.observation_reason, '" + "*a" * 900 + "*b')")
@example("(exposure = 1 AND day_obs = 2) OR " * 50 + "true")
@example("NOT (" + "(exposure = 1 OR day_obs = 2) AND " * 50 + "true)")
@example("exposure IN (" + "1," * 900 + "1)")
@example("exposure / 3 * 1e308 * 1e308 * exposure > 1")
def test_an_expression_selects_or_is_refused(where: str) -> None:
    with taken_or_refused():
        assert Selector(where, UNIVERSE, "test")(records()) in (True, False)


def test_a_glob_takes_no_time_however_many_stars_it_has() -> None:
    header = {card: value for card, value in SCIENCE.items() if card != "RA"} | {"OBJECT": "a" * 64}
    known = exposure_records(translate(header), UNIVERSE)
    for stars, found in (
        ("*a" * 30 + "*b", False),
        ("*a" * 30 + "*", True),
        ("*a?a*", True),
        ("a\\*a", False),
    ):
        selects = Selector(f"GLOB(exposure.target_name, '{stars}')", UNIVERSE, "test")
        assert selects(known) is found


PATTERN = st.sampled_from((
    "all", "raft_checkerboard", "ccd_checkerboard", "5-on-a-die", "minimal", "E2V", "R22", "R22_S11", "94",
    "90..98",
    "98..90", "-R22", "-", "", " ", "999999999", "1..999999999", "R99", "wavefront", "ª", "９",
))  # fmt: skip


@given(st.lists(st.one_of(PATTERN, TEXT), max_size=6).map(",".join))
def test_a_pattern_chooses_or_is_refused(text: str) -> None:
    with taken_or_refused():
        spec = PatternSpec.from_text(text)
        compile_policy(Policy(pattern=spec), {"LSSTCam": camera_detectors("LSSTCam")}, limits={})


FAULT = st.sampled_from((
    "late", "missing", "duplicate", "out-of-order", "burst", ":", ",", "=", "part", "detectors", "seconds",
    "exposures",
    "0.5", "nan", "1e999", "-1", "90..98", "0..10000", "1..99999", "5", "name", "same", "kind", "9" * 30,
    "..", "first",
))  # fmt: skip


@given(st.one_of(st.lists(FAULT, max_size=12).map("".join), TEXT))
@example("late:detectors=" + ",".join(f"{n}0000..{n}9999" for n in range(500)))
@example("late:seconds=nan,part=nan")
def test_a_fault_happens_or_is_refused(text: str) -> None:
    with taken_or_refused():
        fault = parse_fault(text)
        with contextlib.suppress(pydantic.ValidationError):  # whose command tells it
            SimulationConfig(exposures=3, detectors=(90, 94), faults=(fault,))


@given(
    st.one_of(
        TEXT, st.lists(st.sampled_from(["1", "..", ",", "-", "_", " ", "9" * 5000, "０", "x"])).map("".join)
    )
)
@example(",".join("0..10000" for _ in range(1000)))
@example("1_000")
@example("+5")
def test_numbers_are_numbers_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        numbers = parse_numbers(text)
        assert 0 < len(numbers) <= 10_001
        assert text.isascii()
        assert not set(text) & set("+-_")


@given(
    st.sampled_from(["scale", "cadence", "sequence", "instrument", "seed"]),
    st.one_of(TEXT, st.floats(), st.integers()),
)
@example("scale", "1e999999999")
@example("scale", "1/0")
@example("scale", "9" * 4000 + "/" + "9" * 4000)
def test_a_simulation_is_possible_or_refused(key: str, value: Any) -> None:
    with contextlib.suppress(pydantic.ValidationError):
        SimulationConfig.model_validate({key: value})


@given(
    st.one_of(
        TEXT, st.lists(st.sampled_from(["a", "/", ".", "..", "-", "~", "*", "\x00", "\n"])).map("".join)
    )
)
def test_the_name_of_an_output_stays_where_it_is_put(text: str) -> None:
    with taken_or_refused():
        check_output(text)
        assert all(part.strip(".") and is_plain_name(part) for part in text.split("/"))
        assert text.isascii()
        assert len(text) <= 64
