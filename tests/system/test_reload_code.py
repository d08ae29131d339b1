"""New code for a channel while exposures arrive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lsst.daf.butler import Butler

from lsst.ctrl.rapid.control import ControlClient, StatusReport
from support.processes import Running, rapid_here

DETECTORS = ("--detectors", "90,91")
CHANNEL = """
from lsst.pipe.base import Struct
from support.toy_tasks import LevelTask


class HotTask(LevelTask):
    def run(self, raw):
        return Struct(level={{"code": {code}}})
"""


def test_a_channel_is_mended_while_exposures_arrive(
    start_run: Callable[..., Running], tmp_path: Path
) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    channel = sources / "hot_channel.py"
    channel.write_text(CHANNEL.format(code=1))
    pipeline = tmp_path / "hot.yaml"
    pipeline.write_text("description: A channel.\ntasks:\n  hot: hot_channel.HotTask\n")
    run = start_run(
        *DETECTORS, "--workers", 1, "-c", "hot:failing_in='not there'", pipeline=pipeline, sources=[sources]
    )

    def status() -> StatusReport:
        return ControlClient(run.work / "control.sock").status()

    def control(*arguments: str, code: int = 0) -> str:
        return rapid_here("control", *arguments, "--work-dir", run.work, code=code)

    def take_exposure() -> None:
        rapid_here("simulate", run.work / "landing", "--scale", "1/16", *DETECTORS, "--log-level", "error")

    run.wait_for_log("is warm")
    take_exposure()
    run.wait_for(lambda: status().ended == {"done": 2}, "the first exposure")
    control("set", "gather_timeout=77")
    # These wait, and are not lost.
    control("pause")
    take_exposure()
    run.wait_for(lambda: status().backlog.shards == 2, "the second exposure")

    channel.write_text("This is no code.")
    told = control("reload", "--code", code=2)
    assert "the code on disk cannot be loaded, and the run goes on with what it has: " in told
    assert "SyntaxError: invalid syntax (hot_channel.py, line 1)" in told
    assert status().phase == "paused"

    channel.write_text(CHANNEL.format(code=2))
    assert "The code on disk can be loaded." in control("reload", "--code")
    run.wait_for_log("is warm", times=2)
    take_exposure()
    run.wait_for(lambda: status().ended == {"done": 4}, "what had waited, and the third exposure")
    assert status().settings.gather_timeout == 77, "what was changed stays so"
    run.process.terminate()
    assert run.end() == 0, run.log.read_text()

    butler = Butler.from_config(str(run.work / "repo"))
    refs = butler.query_datasets("toy_level", "rapid", find_first=False)
    found = {
        (ref.dataId["exposure"] % 100_000, ref.dataId["detector"]): butler.get(ref)["code"] for ref in refs
    }
    assert found == {(1, 90): 1, (1, 91): 1, (2, 90): 2, (2, 91): 2, (3, 90): 2, (3, 91): 2}
    runs = {ref.dataId["exposure"] % 100_000: ref.run for ref in refs}
    assert runs[1] != runs[2] == runs[3], "new code has a new RUN"
    assert {butler.get("hot_config", collections=runs[n]).failing_in for n in (1, 3)} == {"not there"}
    assert len(list(run.work.glob("report-*.json"))) == 1
    assert len(run.report.shards) == 4
