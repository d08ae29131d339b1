"""What a person may type wrong: one clear line, exit code 2, and nothing changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from lsst.daf.butler import Butler, DatasetType

from lsst.ctrl.rapid.cli import main
from lsst.ctrl.rapid.ingest import make_repository
from support.processes import SUMMIT


def rapid(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cli") / "repo"
    make_repository(root, ["LATISS"])
    for name, facts in (("odd", "publish: [quick_isr_imag]\n"), ("odd2", "shared: [bias, nothing]\n")):
        root.with_name(f"{name}.yaml").write_text(f"description: x\nimports: [{{location: {SUMMIT}}}]\n")
        root.with_name(f"{name}.rapid.yaml").write_text(facts)
    return root


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no-such-command"], "No such command"),
        (["run", "nothing.yaml"], "there is no pipeline 'nothing.yaml'"),
        (["run", SUMMIT, "--detectors", "3..x"], "neither a number nor a range"),
        (["run", SUMMIT, "--workers", "0"], "--workers"),
        (["run", SUMMIT, "-b", "nowhere"], "nowhere"),
        (["run", SUMMIT, "-b", "{repo}", "--instrument", "LSSTCam"], "init-repo"),
        (["run", SUMMIT, "-b", "{repo}", "--detectors", "94"], "no detector 94"),
        (
            ["run", SUMMIT, "-b", "{repo}", "--pattern", "minimal"],
            "LATISS: no pattern, vendor, raft or detector 'minimal'",
        ),
        (["run", SUMMIT, "--pattern", "raft_chekerboard"], "did you mean 'raft_checkerboard'?"),
        (["run", SUMMIT, "--pattern", "-R00_SG0"], "'R00_SG0' is for neither science nor wavefront"),
        (["run", SUMMIT, "--pattern", "E2V,"], "--pattern: 'E2V,': a name is missing"),
        (["run", SUMMIT, "--pattern", "R21", "--detectors", "90"], "to which the run is limited"),
        (["run", SUMMIT, "--vary", "sometimes"], "'alternating-by-twos'"),
        (["run", SUMMIT, "--mode", "eager"], "'preemptive'"),
        (["run", SUMMIT, "-b", "{repo}", "-i", "no/such"], "no/such"),
        (["run", SUMMIT, "-b", "{repo}", "--watch", "no-folder"], "no-folder"),
        (["run", SUMMIT, "--instrument", "HSC"], "HSC"),
        (["init-repo", "{repo}", "--instrument", "HSC"], "HSC"),
        (["simulate", "landing", "--scale", "7"], "scale"),
        (["simulate", "landing", "--detectors", "999"], "999"),
        (["simulate", "landing", "--sequence", "sience"], "sequence"),
        (["simulate", "landing", "--fault", "lat:part=0.1"], "did you mean 'late'?"),
        (["simulate", "landing", "--fault", "late:secnds=5"], "did you mean 'seconds'?"),
        (
            ["simulate", "landing", "--fault", "missing:part=2"],
            "part: Input should be less than or equal to 1",
        ),
        (["simulate", "landing", "--fault", "missing:detectors=999"], "detector 999 is not read out"),
        (["simulate", "landing", "--fault", "missing:exposures=2"], "there is no exposure 2"),
        (["run", SUMMIT, "--fault", "out-of-order"], "--fault goes with --simulate"),
        (["run", SUMMIT, "--simulate", "1", "--fault", "missing:part=2"], "fault 'missing:part=2': part"),
        (["run", SUMMIT, "--simulate", "1", "--fault", "late:exposures=2"], "there is no exposure 2"),
        (["ingest-raws", "x.fits", "-b", "nowhere"], "nowhere"),
        (["report", "nothing.json"], "nothing.json"),
        (["run", SUMMIT, "-o", "../x"], "'../x' cannot be the name of an output"),
        (
            ["run", SUMMIT, "-b", "{repo}", "-o", "x" * 50],
            "letters too long: the names of the RUNs of summit",
        ),
        (["run", SUMMIT, "-b", "{repo}", "--report", "{repo}/butler.yaml/x"], "--report: "),
        (
            ["run", "{repo}/../odd.yaml", "-b", "{repo}"],
            "publish: no task of odd makes 'quick_isr_imag'; did you",
        ),
        (["run", "{repo}/../odd2.yaml", "-b", "{repo}"], "shared: no task of odd2 reads or makes 'nothing'"),
        (["simulate", "landing", "--scale", "1e999999999"], "scale"),
        (["report", "/dev/zero"], "it is not a file"),
        (["test-channels", "nothing.yaml"], "there is no pipeline 'nothing.yaml'"),
        (["test-channels", SUMMIT, "--step", "step9"], "step9"),
        (["test-channels", SUMMIT, "--instrument", "HSC"], "HSC"),
        (["test-channels", SUMMIT, "--detectors", "999"], "999"),
        (["test-channels", SUMMIT, "--work-dir", "{repo}/.."], "earlier test"),
    ],
)
def test_it_is_refused(
    arguments: list[str], told: str, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, output = rapid(*[str(a).format(repo=repo) for a in arguments], *_work(arguments, tmp_path))
    assert code == 2, output
    assert told in output
    assert "Traceback" not in output
    assert not (tmp_path / "landing").exists()
    assert not (tmp_path / "work" / "repo").exists()


def _work(arguments: list[str], folder: Path) -> list[str]:
    return ["--work-dir", str(folder / "work")] if arguments[0] == "run" else []


def test_a_site_file_with_a_typo_names_the_nearest_key(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("wokers: 2\n")
    code, output = rapid("run", SUMMIT, "--site", tmp_path / "site.yaml")
    assert code == 2
    assert "unknown key 'wokers'; did you mean 'workers'?" in output


@pytest.mark.stack_absent
def test_a_repository_whose_raws_cannot_be_read_here_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    Butler.makeRepo(str(root))
    with Butler.from_config(str(root), writeable=True) as butler:
        from lsst.ctrl.rapid.instruments import get_instrument

        get_instrument("LSSTCam").register(butler.registry)
        dimensions = butler.dimensions.conform(["instrument", "exposure", "detector"])
        butler.registry.registerDatasetType(DatasetType("raw", dimensions, "Exposure"))
    code, output = rapid("run", SUMMIT, "-b", root, "--work-dir", tmp_path / "work")
    assert code == 2
    assert "'Exposure'" in output
    assert "full stack" in output


def test_a_report_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    code, output = rapid("report", tmp_path / "x.json")
    assert code == 2
    assert "not a report" in output


def test_simulate_says_what_it_wrote(tmp_path: Path) -> None:
    code, output = rapid(
        "simulate", tmp_path / "landing", "--exposures", 2, "--detectors", "90,91", "--scale", "1/8",
        "--sequence", "bias,dark",
    )  # fmt: skip
    assert code == 0, output
    assert len(list((tmp_path / "landing").rglob("*.fits"))) == 4
    assert "4 raws" in output
