"""Raws that the registry has already: what is read of them, and which an expression selects."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.ingest import read_registered, select_registered
from lsst.ctrl.rapid.model import InputError, day_begins
from support.registered import INSTRUMENT, RAWS, OtherIngest, make_registry

DAY = 20261122
FIRST, SECOND = DAY * 100_000 + 1, DAY * 100_000 + 2
BOTH = DAY * 100_000 + 99_001
COLLECTIONS = ["other/raws", f"{INSTRUMENT}/defaults"]
TAI_MINUS_UTC = 37.0


@pytest.fixture(scope="module")
def butler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Butler]:
    """A butler that was opened before the raws were registered: two exposures, one of them with a visit."""
    folder = tmp_path_factory.mktemp("registered")
    root = make_registry(folder)
    with Butler.from_config(root, writeable=False) as butler:
        other = OtherIngest(root)
        (folder / "raw.fits").write_bytes(b"raw")
        for number in (FIRST, SECOND):
            other.exposure(number, DAY)
            other.files([(number, 5), (number, 6)], folder / "raw.fits")
        other.raws(FIRST, [6], run="other/raws")
        other.visit(FIRST, [5, 6])
        other.visit(BOTH, [5, 6], exposures=[FIRST, SECOND])
        other.butler.close()
        yield butler


def test_those_that_are_asked_for_are_read_and_no_others(butler: Butler) -> None:
    for number in (FIRST, SECOND):
        [raw] = read_registered(butler, INSTRUMENT, number, [5, 7], COLLECTIONS, seen=2e9)
        assert (raw.instrument, raw.exposure, raw.detector, raw.day_obs) == (INSTRUMENT, number, 5, DAY)


def test_it_has_its_times_and_its_file(butler: Butler) -> None:
    [raw] = read_registered(butler, INSTRUMENT, SECOND, [5], COLLECTIONS, seen=2e9)
    assert raw.shutter_closed == pytest.approx(day_begins(DAY) + 2 * 60 + 30 - TAI_MINUS_UTC)
    assert raw.file_closed < raw.seen == 2e9
    [records] = raw.datastore_records.values()
    assert records["dataset_ids"] == [str(raw.ref.id)]
    assert "raw.fits" in str(records["records"])
    assert [r.definition.name for r in raw.records] == ["physical_filter", "day_obs", "group", "exposure"]


def test_the_first_collection_gives_the_raw(butler: Butler) -> None:
    [raw] = read_registered(butler, INSTRUMENT, FIRST, [6], COLLECTIONS, seen=2e9)
    assert raw.ref.run == "other/raws"
    [raw] = read_registered(butler, INSTRUMENT, FIRST, [6], COLLECTIONS[::-1], seen=2e9)
    assert raw.ref.run == RAWS


def test_a_visit_comes_with_the_region_of_the_detector(butler: Butler) -> None:
    raws = read_registered(butler, INSTRUMENT, FIRST, [5, 6], COLLECTIONS, seen=2e9)
    for raw in raws:
        visit = {r.definition.name: r for r in raw.records if r.definition.name.startswith("visit")}
        assert visit.keys() == {"visit_definition", "visit", "visit_detector_region"}
        assert visit["visit_detector_region"].dataId["detector"] == raw.detector


def test_a_visit_of_several_exposures_is_left_out(butler: Butler) -> None:
    [first] = read_registered(butler, INSTRUMENT, FIRST, [5], COLLECTIONS, seen=2e9)
    assert {r.visit for r in first.records if r.definition.name == "visit_definition"} == {FIRST}
    [second] = read_registered(butler, INSTRUMENT, SECOND, [5], COLLECTIONS, seen=2e9)
    assert not [r for r in second.records if r.definition.name.startswith("visit")]


def test_an_expression_selects_newest_first(butler: Butler) -> None:
    selected = select_registered(butler, [INSTRUMENT], COLLECTIONS, f"day_obs = {DAY} AND detector > 5")
    assert list(selected.items()) == [((INSTRUMENT, SECOND), {6}), ((INSTRUMENT, FIRST), {6})]


@pytest.mark.parametrize(("where", "told"), [("exposure = 3", "selects no raw"), ("exposur = 3", "exposur")])
def test_an_expression_that_selects_nothing_is_told(butler: Butler, where: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        select_registered(butler, [INSTRUMENT], COLLECTIONS, where)
