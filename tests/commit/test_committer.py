"""The one writer: batches, poison, what is registered already."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from lsst.daf.butler import Butler
from lsst.utils.packages import Packages

from lsst.ctrl.rapid.commit import Committer, Registrar, RunItem, ShardItem
from lsst.ctrl.rapid.model import Outcome, OutcomeRecord, Shard, Times
from lsst.ctrl.rapid.plan import run_name


def raws_of(repo: str) -> set[int]:
    with Butler.from_config(repo) as butler:
        return {
            int(ref.dataId["detector"])
            for ref in butler.query_datasets("raw", "LSSTCamSim/raw/all", explain=False)
        }


def test_a_run_is_complete_and_in_its_chains(bench) -> None:
    name = run_name("chains", 20261122, bench.pipeline.name, bench.pipeline.hash)
    with Registrar(
        bench.repo, [bench.pipeline], bench.records, ["LSSTCamSim/defaults"], "chains"
    ) as registrar:
        registrar.commit([RunItem(name, bench.pipeline.name, 20261122)])
    with Butler.from_config(bench.repo) as butler:
        assert butler.find_dataset("level_config", collections=name) is not None
        assert butler.find_dataset("packages", collections=name) is not None
        assert butler.find_dataset("toy_schema", collections=name) is not None
        assert list(butler.collections.get_info("chains").children) == [name, "LSSTCamSim/defaults"]
        assert list(butler.collections.get_info("chains/20261122").children) == [name]


def test_a_run_that_lost_its_files_is_completed_anew(bench, caplog: pytest.LogCaptureFixture) -> None:
    name = run_name("lost", 20261122, bench.pipeline.name, bench.pipeline.hash)

    def commit() -> None:
        with Registrar(bench.repo, [bench.pipeline], bench.records, [], "lost") as registrar:
            registrar.commit([RunItem(name, bench.pipeline.name, 20261122)])

    commit()
    shutil.rmtree(Path(bench.repo, "lost"))
    commit()
    assert f"RUN {name}: the files of level_config, packages" in caplog.text
    with Butler.from_config(bench.repo, collections=[name]) as butler:
        for dataset_type in ("level_config", "packages", "toy_schema", "rapid_pipeline"):
            assert butler.get(dataset_type) is not None
    caplog.clear()
    commit()
    assert "gone" not in caplog.text


def test_a_poisoned_item_loses_nothing_else(bench) -> None:
    poison = dataclasses.replace(bench.raws[1], path=Path("/nowhere/gone.fits"))
    for item in [bench.raws[0], poison, bench.raws[2]]:
        bench.committer.submit(item)
    told = {c.item.ref.dataId["detector"]: c for c in bench.committed(3)}
    assert not told[90].error
    assert not told[92].error
    assert "gone.fits" in told[91].error
    assert {90, 92} <= raws_of(bench.repo)
    assert 91 not in raws_of(bench.repo)


def test_the_same_raw_twice_is_one(bench) -> None:
    for _ in range(2):
        bench.committer.submit(bench.raws[3])
    assert not any(c.error for c in bench.committed(2))
    assert 93 in raws_of(bench.repo)


def test_a_raw_is_moved_again_whose_mover_was_killed(bench, tmp_path: Path) -> None:
    landed = tmp_path / "landed.fits"
    shutil.copy(bench.raws[6].path, landed)
    item = dataclasses.replace(bench.raws[6], path=landed, transfer="move")
    content = landed.read_bytes()
    for _ in range(2):  # the second time as after a kill that followed the commit
        landed.write_bytes(content)
        bench.committer.submit(item)
        assert not bench.committed(1)[0].error
        assert not landed.exists()
    landed.write_bytes(content + b"something else")
    bench.committer.submit(item)
    bench.committed(1)
    assert landed.exists(), "it is not what is registered"
    with Butler.from_config(bench.repo) as butler:
        assert Path(butler.getURI(item.ref).ospath).read_bytes() == content


def test_a_flush_ends_the_wait_for_more(bench) -> None:
    patient = Committer(bench.registrar, bench.told.put, interval=3600.0)
    patient.start()
    for raw in (bench.raws[3], bench.raws[7]):
        patient.submit(raw)
        patient.flush()
        assert not bench.committed(1)[0].error
    patient.close()


def test_the_visit_comes_with_the_first_raw(bench) -> None:
    bench.committer.submit(bench.raws[0])
    bench.committed(1)
    records = {r.definition.name: r for r in bench.raws[0].records}
    exposure, visit = records["exposure"], records["visit"]
    ids = {"instrument": "LSSTCamSim", "visit": visit.id}
    with Butler.from_config(bench.repo) as butler:
        assert butler.query_dimension_records("visit", **ids) == [visit]
        assert butler.query_dimension_records("visit_definition", **ids) == [records["visit_definition"]]
        systems = butler.query_dimension_records("visit_system_membership", **ids)
        assert {record.visit_system for record in systems} == {0}
        regions = butler.query_dimension_records("visit_detector_region", **ids)
        ours = [r for r in bench.raws[0].records if r.definition.name == "visit_detector_region"]
        assert {r.detector: r.region for r in regions} == {r.detector: r.region for r in ours}
        assert len(regions) == 205
        # The boresight looks through the middle of R22_S11.
        point = f"POINT({exposure.tracking_ra}, {exposure.tracking_dec})"
        found = butler.query_dimension_records(
            "visit_detector_region", where=f"visit_detector_region.region OVERLAPS {point}", **ids
        )
        assert [record.detector for record in found] == [94]


def with_exposure(item, **fields):
    """Return a raw's or a shard's item with fields of its exposure's record changed."""
    records = tuple(
        r.definition.RecordClass(**{**r.toDict(), **fields}) if r.definition.name == "exposure" else r
        for r in item.records
    )
    return dataclasses.replace(item, records=records)


def fresh(bench) -> Committer:
    """Return a committer that remembers nothing of what is registered."""
    committer = Committer(bench.registrar, bench.told.put, interval=0.05, batch=4)
    committer.start()
    return committer


def test_a_record_that_the_registry_has_otherwise_costs_no_work(bench, caplog) -> None:
    bench.committer.submit(bench.raws[0])
    bench.committed(1)
    committer = fresh(bench)
    committer.submit(bench.run)
    committer.submit(with_exposure(bench.raws[4], exposure_time=1234.5))
    committer.submit(with_exposure(bench.shard(96), exposure_time=1234.5))
    assert [one.error for one in bench.committed(3)] == ["", "", ""]
    committer.close()
    assert bench.registered()[96] == 1
    warnings = [message for message in caplog.messages if "1234.5" in message]
    assert len(warnings) == 1
    assert "exposure_time is 30.0 in the registry, not 1234.5" in warnings[0]


def test_an_exposure_of_another_name_is_refused_with_both_names(bench) -> None:
    bench.committer.submit(bench.raws[0])
    bench.committed(1)
    committer = fresh(bench)
    committer.submit(with_exposure(bench.raws[6], obs_id="another"))
    [told] = bench.committed(1)
    committer.close()
    assert "is 'MC_" in told.error
    assert "not 'another'" in told.error


def test_a_run_that_was_begun_with_other_versions_is_continued(bench) -> None:
    run = dataclasses.replace(bench.run, run=f"{bench.run.run}-continued")
    versions = Packages.fromSystem()
    versions["numpy"] = "0.0.1"
    with Butler.from_config(bench.repo, run=run.run, writeable=True) as butler:
        butler.put(versions, "packages")
    bench.committer.submit(run)
    [done] = bench.committed(1)
    assert done.error == ""
    with Butler.from_config(bench.repo, collections=run.run) as butler:
        assert butler.get("packages")["numpy"] == "0.0.1"
        assert butler.find_dataset("rapid_pipeline") is not None


def test_an_outcome_says_how_a_shard_ended(bench) -> None:
    bench.committer.submit(bench.raws[5])
    exposure = int(bench.raws[5].ref.dataId["exposure"])
    shard = Shard(bench.pipeline.name, bench.pipeline.steps[0].label, "LSSTCamSim", exposure, 95)
    outcome = OutcomeRecord(outcome=Outcome.SHED, reason="by policy", attempts=0, times=Times(ready=1.0))
    bench.committer.submit(ShardItem(shard, bench.run, bench.raws[5].records, outcome))
    assert not any(c.error for c in bench.committed(2))
    with Butler.from_config(bench.repo) as butler:
        found = butler.get(
            f"rapid_{shard.step}_outcome", instrument="LSSTCamSim", exposure=exposure, detector=95,
            collections=bench.run.run,
        )  # fmt: skip
    assert found["outcome"] == "shed"
    assert found["reason"] == "by policy"


def test_what_was_registered_without_our_hearing_of_it_is_registered_once(bench) -> None:
    """The connection may break after a commit and before its answer: the same batch is tried again."""
    bench.committer.submit(bench.raws[7])
    bench.committer.submit(bench.run)
    assert not any(c.error for c in bench.committed(2))
    exposure = int(bench.raws[7].ref.dataId["exposure"])
    shard = Shard(bench.pipeline.name, bench.pipeline.steps[0].label, "LSSTCamSim", exposure, 97)
    outcome = OutcomeRecord(outcome=Outcome.SHED, reason="twice", attempts=0, times=Times(ready=1.0))
    item = ShardItem(shard, bench.run, bench.raws[7].records, outcome)
    for _ in range(2):
        with bench.registrar() as registrar:
            assert [told.error for told in registrar.commit([bench.raws[7], bench.run, item])] == ["", "", ""]
    with Butler.from_config(bench.repo) as butler:
        [ref] = butler.query_datasets(
            f"rapid_{shard.step}_outcome", bench.run.run, where=f"detector = {shard.detector}",
            instrument="LSSTCamSim",
        )  # fmt: skip
        assert ref.id == item.outcome_id
        assert butler.get(ref)["reason"] == "twice"
