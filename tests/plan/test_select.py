"""Which exposures an expression selects: those that the butler itself selects with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lsst.daf.butler import Butler, DimensionRecord

from lsst.ctrl.rapid.model import InputError
from lsst.ctrl.rapid.plan import Selector

CAMERA = "ToyCam"

# The database library's, of how the butler itself negates a pattern.
pytestmark = pytest.mark.filterwarnings("ignore:Type object .* does not include operator 'inv'")

EXPRESSIONS = [
    "exposure.observation_type = 'science'",
    "exposure.observation_type != 'science'",
    "NOT (exposure.observation_type = 'science')",
    "exposure.observation_type IN ('bias', 'dark')",
    "exposure.observation_type NOT IN ('bias', 'dark')",
    "exposure.exposure_time > 15",
    "exposure.exposure_time <= 15 OR exposure.observation_type = 'bias'",
    "NOT (exposure.exposure_time > 15)",
    "exposure.exposure_time > 15 AND NOT exposure.can_see_sky",
    "exposure.can_see_sky",
    "NOT exposure.can_see_sky",
    "exposure.can_see_sky = NULL",
    "exposure.can_see_sky != NULL",
    "exposure.tracking_ra = NULL",
    "NULL != exposure.tracking_ra",
    "exposure.tracking_dec < -10.5",
    "NOT (exposure.tracking_dec < -10.5 OR exposure.tracking_ra > 100)",
    "exposure.tracking_dec < -10.5 OR exposure.observation_type = 'bias'",
    "exposure.target_name = NULL OR exposure.exposure_time = 0",
    "exposure.target_name IN ('field', NULL)",
    "GLOB(exposure.target_name, 'fie*')",
    "GLOB(exposure.target_name, '*[1]')",
    "GLOB(exposure.target_name, 'field?')",
    "GLOB(exposure.target_name, 'field\\*')",
    "NOT GLOB(exposure.target_name, 'f*')",
    "exposure.science_program = 'BLOCK-365' AND exposure.seq_num > 4",
    "exposure IN (3..9:2)",
    "exposure.seq_num IN (1..4, 9)",
    "exposure = 5",
    "instrument = 'ToyCam' AND exposure > 9",
    "instrument = 'Other'",
    "band = 'g'",
    "physical_filter = 'r_57'",
    "day_obs = 20260502",
    "group = 'g3'",
    "exposure.seq_num + 1 > 2 * 4",
    "exposure.seq_num - 10 < -5",
    "exposure.seq_num % 3 = 1",
    "exposure.exposure_time / 2.0 = 15.0",
    "-exposure.tracking_dec > 20",
    "exposure.timespan OVERLAPS (T'2026-05-01T02:30:00/tai', T'2026-05-01T05:00:00/tai')",
    "exposure.timespan OVERLAPS (T'2026-05-01T08:00:00/tai', NULL)",
    "exposure.timespan.begin < T'2026-05-01T06:00:00/tai'",
    "NOT (exposure.timespan.end < T'2026-05-01T06:00:00/tai')",
    "exposure.timespan = NULL",
]


@pytest.fixture(scope="module")
def night(
    make_repository: Callable[..., Any], add: Callable[..., None]
) -> tuple[Butler, dict[int, dict[str, Any]]]:
    """A dozen exposures, some with values that are not known; and the records of each, by element."""
    butler = make_repository().butler
    science = {"observation_type": "science", "exposure_time": 30.0, "can_see_sky": True}
    add(butler, 3, seq_num=3, target_name="field", tracking_ra=10.0, tracking_dec=-20.0, **science)
    add(butler, 4, seq_num=4, target_name="field2", tracking_ra=200.0, tracking_dec=-30.25, **science)
    add(butler, 5, seq_num=5, target_name="a[1]", tracking_ra=None, tracking_dec=None, **science)
    add(
        butler,
        6,
        seq_num=6,
        target_name="Field",
        tracking_ra=150.0,
        tracking_dec=5.0,
        day_obs=20260502,
        **science,
    )
    add(
        butler,
        7,
        seq_num=7,
        observation_type="bias",
        exposure_time=0.0,
        can_see_sky=False,
        physical_filter="empty",
    )
    add(
        butler,
        8,
        seq_num=8,
        observation_type="bias",
        exposure_time=0.0,
        can_see_sky=None,
        physical_filter="empty",
    )
    add(
        butler, 9, seq_num=9, observation_type="dark", exposure_time=15.0, can_see_sky=False, day_obs=20260502
    )
    add(
        butler,
        10,
        seq_num=10,
        observation_type="flat",
        exposure_time=None,
        can_see_sky=False,
        target_name="field*",
    )
    add(butler, 11, seq_num=None, observation_type=None, exposure_time=40.0, can_see_sky=False)
    add(butler, 12, seq_num=12, science_program="BLOCK-365", target_name=None, timespan=None, **science)
    add(butler, 13, seq_num=13, group="g3", science_program="BLOCK-365", physical_filter="g_6", **science)
    dimensions = butler.dimensions.conform(["exposure"])
    records: dict[int, dict[str, Any]] = {}
    with butler.query() as query:
        for data_id in query.data_ids(dimensions).with_dimension_records():
            known: dict[str, DimensionRecord | None] = {e: data_id.records[e] for e in dimensions.elements}
            records[int(data_id["exposure"])] = known
    assert len(records) == 13
    return butler, records


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_an_expression_selects_what_the_butler_selects(night: Any, where: str) -> None:
    butler, records = night
    bind = "" if where.startswith("instrument") else f"instrument = '{CAMERA}' AND "
    expected = {
        record.id
        for record in butler.query_dimension_records("exposure", where=f"{bind}({where})", explain=False)
    }
    selector = Selector(where, butler.dimensions, "here")
    assert {number for number, known in records.items() if selector(known)} == expected


def test_the_expressions_above_tell_exposures_apart(night: Any) -> None:
    butler, records = night
    counts = [
        sum(Selector(where, butler.dimensions, "here")(known) for known in records.values())
        for where in EXPRESSIONS
    ]
    assert sum(0 < count < len(records) for count in counts) >= len(EXPRESSIONS) - 3


def test_an_empty_expression_selects_everything(night: Any) -> None:
    butler, records = night
    selector = Selector("", butler.dimensions, "here")
    assert all(selector(known) for known in records.values())


@pytest.mark.parametrize(
    "where",
    [
        "exposure.observation_type = ",
        "exposure.observation_typ = 'science'",
        "observed = 3",
        "exposure.exposure_time > 'long'",
        "exposure.observation_type = science",
        "((exposure = 1)",
    ],
)
def test_a_bad_expression_is_told_with_its_file(night: Any, where: str) -> None:
    butler, _ = night
    with pytest.raises(InputError) as caught:
        Selector(where, butler.dimensions, "summit.rapid.yaml")
    message = str(caught.value)
    assert message.startswith("summit.rapid.yaml: ")
    assert repr(where) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("detector = 1", "detector"),
        ("detector.purpose = 'SCIENCE'", "detector"),
        ("visit > 3", "visit"),
        ("exposure = 1 AND tract = 9", "tract"),
    ],
)
def test_an_expression_on_more_than_an_exposure_is_refused_before_anything_comes(
    night: Any, where: str, told: str
) -> None:
    butler, _ = night
    with pytest.raises(InputError, match=f"exposure.*{told}") as caught:
        Selector(where, butler.dimensions, "summit.rapid.yaml")
    assert str(caught.value).startswith("summit.rapid.yaml: ")
