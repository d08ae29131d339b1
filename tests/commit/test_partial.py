"""A partial gather beside the complete one: what is left where a process was killed between the two."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.commit import Registrar, RunItem, ShardItem
from lsst.ctrl.rapid.model import Outcome, OutcomeRecord, Shard, Times
from lsst.ctrl.rapid.plan import PipelineSource, compile_pipeline, partial_chain, run_name
from support.registered import PIPELINE

NIGHT = """
description: A night.
tasks:
  level: support.toy_tasks.LevelTask
  scale: support.toy_tasks.ScaleTask
  gather: support.toy_tasks.GatherTask
  night: support.toy_tasks.NightTask
"""


@pytest.mark.parametrize(
    ("text", "step", "outcome_type"),
    [
        (PIPELINE, "step1b", "rapid_step1b_gather_outcome"),
        (NIGHT, "day_obs_step", "rapid_day_obs_step_day_obs_gather_outcome"),
    ],
)
def test_a_start_removes_the_partial_gathers_of_which_the_complete_one_is_registered(
    on_sqlite, tmp_path: Path, text: str, step: str, outcome_type: str
) -> None:
    bench, raw = on_sqlite, on_sqlite.raws[0]
    (tmp_path / "gather.yaml").write_text(text)
    with Butler.from_config(bench.repo) as butler:
        pipeline = compile_pipeline(PipelineSource(tmp_path / "gather.yaml"), butler)
    exposure = int(raw.ref.dataId["exposure"])
    day_obs = int(raw.ref.dataId["day_obs"]) if text is NIGHT else None

    def registrar() -> Registrar:
        return Registrar(bench.repo, [pipeline], bench.records, ["LSSTCamSim/defaults"], "gathers")

    def gather(*, partial: bool) -> ShardItem:
        chain = partial_chain("gathers") if partial else "gathers"
        run = RunItem(
            run_name(chain, 20261122, pipeline.name, pipeline.hash), pipeline.name, 20261122, partial=partial
        )
        shard = Shard(pipeline.name, step, "LSSTCamSim", exposure, partial=partial, day_obs=day_obs)
        outcome = OutcomeRecord(outcome=Outcome.DONE, attempts=1, times=Times(ready=1.0))
        return ShardItem(shard, run, raw.records, outcome)

    def left() -> list[str]:
        with Butler.from_config(bench.repo) as butler:
            refs = butler.query_datasets(outcome_type, "gathers/*", find_first=False, explain=False)
            assert all(butler.getURI(ref).exists() for ref in refs)
            return [ref.run for ref in refs]

    partial, complete = gather(partial=True), gather(partial=False)
    with registrar() as writer:
        writer.commit([partial])
    with registrar():
        assert left() == [partial.run.run], "the complete one is still to come"
    with registrar() as writer:
        writer.commit([complete])  # and its partial one, which it supersedes, is not removed any more
    assert set(left()) == {partial.run.run, complete.run.run}
    with registrar():
        assert left() == [complete.run.run]
