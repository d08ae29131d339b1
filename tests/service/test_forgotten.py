"""What a run has forgotten, finished long ago, is as after a restart when a raw of it comes."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from pathlib import Path

import pytest
from lsst.daf.butler import Butler, MissingDatasetTypeError

from lsst.ctrl.rapid.model import Outcome
from lsst.ctrl.rapid.service import Executor, RunSettings, _requests
from lsst.ctrl.rapid.simulator import SimulationConfig, simulate
from support.registered import PIPELINE, make_registry

DETECTORS = (90, 91)
LATE = 92
EXPOSURES = 3


def outcomes(repository: str) -> list[tuple[int, object]]:
    """Return exposure and detector of all outcomes; no detector for a gather."""
    found: list[tuple[int, object]] = []
    with Butler.from_config(repository) as butler:
        for name in ("rapid_step1a_outcome", "rapid_step1b_gather_outcome"):
            try:
                refs = butler.query_datasets(name, "rapid/*", find_first=False, explain=False)
            except MissingDatasetTypeError:
                continue
            found += [(int(ref.dataId["exposure"]), ref.dataId.get("detector")) for ref in refs]
    return found


def test_a_late_raw_is_run_and_nothing_is_run_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_requests, "_EXPOSURES_KEPT", 1)
    (tmp_path / "toy.yaml").write_text(PIPELINE)
    repository, landing = make_registry(tmp_path), tmp_path / "landing"
    landing.mkdir()
    config = SimulationConfig(exposures=EXPOSURES, detectors=(*DETECTORS, LATE), scale="1/16")
    raws = list(simulate(config, tmp_path / "staging"))
    exposures = sorted({raw.exposure for raw in raws})
    settings = RunSettings(
        repository=repository,
        pipeline=tmp_path / "toy.yaml",
        watch=(landing,),
        detectors=(*DETECTORS, LATE),
        gather_deadline=0.5,
        work_dir=tmp_path / "work",
    )

    async def registered(count: int) -> None:
        while len(await asyncio.to_thread(outcomes, repository)) < count:  # noqa: ASYNC110 -- by many
            await asyncio.sleep(0.1)

    async def feed() -> None:
        for number, exposure in enumerate(exposures, start=1):
            for raw in raws:
                if raw.exposure == exposure and raw.detector in DETECTORS:
                    shutil.copy(raw.path, landing)
            await registered(number * (len(DETECTORS) + 1))
        for raw in raws:
            # The first exposure again, written anew, and what it lacked.
            if raw.exposure == exposures[0]:
                shutil.copy(raw.path, landing)

    report = asyncio.run(asyncio.wait_for(Executor(settings, feed).run(), timeout=120))
    expected = {(exposure, detector) for exposure in exposures for detector in (*DETECTORS, None)}
    expected.add((exposures[0], LATE))
    assert Counter(outcomes(repository)) == dict.fromkeys(expected, 1)
    ended = Counter((s.data_id["exposure"], s.data_id.get("detector")) for s in report.shards)
    again = (exposures[0], None)
    assert ended == dict.fromkeys(expected, 1) | {again: 2}, "what came late is gathered with the others"
    assert {shard.outcome for shard in report.shards} == {Outcome.DONE}
    assert max(shard.attempt for shard in report.shards) == 1
    assert not report.refused
