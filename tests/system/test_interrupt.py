"""Ctrl-C, as a terminal sends it: to the whole process group."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from lsst.daf.butler import Butler

from lsst.ctrl.rapid.model import Outcome
from support.processes import Running


def registered(butler: Butler, collections: str) -> dict[tuple[str, object, object], int]:
    """Return how many datasets of each shard are in the registry."""
    found: dict[tuple[str, object, object], int] = {}
    for dataset_type in butler.registry.queryDatasetTypes():
        if dataset_type.isCalibration() or dataset_type.name == "raw":
            continue
        step = "step1a" if "detector" in dataset_type.dimensions.names else "step1b"
        if "exposure" not in dataset_type.dimensions.names:
            continue
        for ref in butler.query_datasets(
            dataset_type, collections, find_first=False, explain=False, limit=None
        ):
            key = (step, ref.dataId["exposure"], ref.dataId.get("detector"))
            found[key] = found.get(key, 0) + 1
            assert butler.getURI(ref).exists()
    return found


def test_first_interrupt_commits_and_the_next_run_does_the_rest(start_run: Callable[..., Running]) -> None:
    options = ("--detectors", "90..92,0..2", "--workers", 2)
    first = start_run("--simulate", 3, "--cadence", 0, *options)
    images = first.work / "repo" / "rapid"
    first.wait_for(lambda: len(list(images.rglob("quick_isr_image_*"))) >= 4, "the first images")
    os.killpg(first.process.pid, signal.SIGINT)
    assert first.end() == 0, first.log.read_text()
    report = first.report
    assert report.interrupted
    done = [shard for shard in report.shards if shard.outcome is Outcome.DONE]
    assert 0 < len(done) < 3 * 7
    assert len(done) == len(report.shards)
    butler = Butler.from_config(str(first.work / "repo"))
    said = {
        (shard.step, shard.data_id["exposure"], shard.data_id.get("detector")): shard.datasets
        for shard in done
    }
    assert registered(butler, "rapid/*") == said

    arrived = len(list((first.work / "landing").rglob("*.fits")))
    second = start_run("--until-idle", 2, *options)
    assert second.end() == 0, second.log.read_text()
    before, after = ({(s.step, *s.data_id.values()) for s in run.shards} for run in (report, second.report))
    assert not before & after
    assert second.report.summary.shards[Outcome.FAILED] == 0
    assert len([key for key in before | after if key[0] == "step1a"]) == arrived
    assert len([key for key in registered(butler, "rapid/*") if key[0] == "step1a"]) == arrived


def test_second_interrupt_stops_now(start_run: Callable[..., Running]) -> None:
    run = start_run("--simulate", 2, "--cadence", 0, "--detectors", "0..7", "--workers", 1)
    run.wait_for_log("the first of")
    os.killpg(run.process.pid, signal.SIGINT)
    run.wait_for_log("a second signal ends it now")
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.end() in {0, 130}
