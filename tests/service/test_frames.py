"""A repository that version 0.1 wrote, whose detectors have their rows reversed, is refused."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from lsst.daf.butler import Butler

from lsst.ctrl.rapid._frame import RUN_DOC
from lsst.ctrl.rapid.cli import main
from lsst.ctrl.rapid.ingest import make_repository
from lsst.ctrl.rapid.model import InputError
from lsst.ctrl.rapid.service._frames import check_calibration_frames, check_run_frames
from support.processes import SUMMIT


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """Return a repository of version 0.1: two reduced detectors of LSSTCamSim, with calibrations."""
    with tarfile.open(Path(__file__).with_name("data") / "repository-0.1.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "repo"


def refusal(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 2
    [line] = [line for line in done.output.splitlines() if line.startswith("Error")]
    return line


@pytest.mark.parametrize("command", [["run", "--until-idle", 1], ["run", "-d", "exposure > 0"]])
def test_a_run_is_refused_in_one_line(earlier: Path, command: list[object]) -> None:
    name, *options = command
    line = refusal(name, SUMMIT, "-b", earlier, "--work-dir", earlier.parent / "work", *options)
    assert "RUN rapid/20261127/summit" in line
    assert "rows of each detector reversed" in line
    assert "name another output" in line
    line = refusal(name, SUMMIT, "-b", earlier, "--work-dir", earlier.parent / "work", "-o", "new", *options)
    assert "images in RUN LSSTCamSim/calib/demo have the rows of each detector reversed" in line
    assert "certify calibrations in the frame of cameraGeom" in line
    with Butler.from_config(earlier) as butler:
        assert not butler.collections.query("new*")


def test_doctor_names_it(earlier: Path) -> None:
    done = CliRunner().invoke(main, ["doctor", str(SUMMIT), "-b", str(earlier), "-o", "new"])
    assert done.exit_code != 0
    assert "LSSTCamSim/calib/demo have the rows of each detector reversed" in " ".join(done.output.split())


def calibrations(butler: Butler) -> list:
    return [
        ref for name in ("bias", "dark", "flat") for ref in butler.query_datasets(name, "*", find_first=False)
    ]


def test_a_site_can_say_that_its_calibrations_are_right(earlier: Path) -> None:
    """Calibrations that other software made do not name their frame; butler.yaml may."""
    with Butler.from_config(earlier) as butler:
        refs = calibrations(butler)
        with pytest.raises(InputError, match="rows of each detector reversed"):
            check_calibration_frames(butler, str(earlier), refs)
        config = yaml.safe_load((earlier / "butler.yaml").read_text())
        config["rapid"] = {"pixel_frame": "cameraGeom"}
        (earlier / "butler.yaml").write_text(yaml.safe_dump(config))
        check_calibration_frames(butler, str(earlier), refs)


def test_other_repositories_are_in_the_frame_of_the_stack(earlier: Path, tmp_path: Path) -> None:
    """Neither one that is made now, nor one that knows nothing of us, has calibrations of version 0.1."""
    make_repository(tmp_path / "now", ["LSSTCamSim"])
    Butler.makeRepo(str(tmp_path / "foreign"))
    with Butler.from_config(earlier) as butler:
        for root in ("now", "foreign"):
            check_calibration_frames(butler, str(tmp_path / root), calibrations(butler))


def test_runs_of_this_version_and_of_others_are_kept(earlier: Path) -> None:
    with Butler.from_config(earlier, writeable=True) as butler:
        butler.collections.register("out/20261128/summit-0123abcd", doc=RUN_DOC)
        butler.collections.register("out/20261128/another")
        check_run_frames(butler, "out", ())
        butler.collections.register("out/partial/20261128/summit-00000000")
        with pytest.raises(InputError, match="RUN out/partial/20261128/summit-00000000"):
            check_run_frames(butler, "out", ())
        check_run_frames(butler, "out", {"00000000"})
