"""What a run does with a policy: against the instruments of its repository, and against its pipelines."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsst.ctrl.rapid.conductor import DetectorPurpose
from lsst.ctrl.rapid.ingest import make_repository
from lsst.ctrl.rapid.model import InputError, PatternSpec, parse
from lsst.ctrl.rapid.model import Policy as AnyPolicy
from lsst.ctrl.rapid.service import RunSettings, camera_detectors
from lsst.ctrl.rapid.service._compiled import CompiledRun, compile_run
from support.registered import INSTRUMENT, PIPELINE, make_registry

SCIENCE = frozenset(range(189))
R22 = frozenset(range(90, 99))
WAVEFRONT = frozenset({191, 192, 195, 196, 199, 200, 203, 204})


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = make_registry(tmp_path_factory.mktemp("policy"))
    make_repository(Path(root), ["LSSTComCamSim"])
    return root


def run(repository: str, folder: Path, rapid: str = "", **told: object) -> CompiledRun:
    """Compile a run of two pipelines of the same two steps."""
    (folder / "toy.yaml").write_text(PIPELINE)
    (folder / "bias.yaml").write_text(PIPELINE)
    (folder / "toy.rapid.yaml").write_text(rapid)
    given = {"instruments": (INSTRUMENT,), "labels": (), **told}
    return compile_run(
        RunSettings(repository=repository, pipeline=folder / "toy.yaml", work_dir=folder, **given)
    )


def policy(**values: object) -> AnyPolicy:
    return parse(AnyPolicy, values, "a test")


def test_records_say_the_same_of_a_detector_as_the_table(repository: str, tmp_path: Path) -> None:
    found = run(repository, tmp_path, instruments=()).detectors
    assert dict(found) == {
        name: tuple(sorted(camera_detectors(name), key=lambda d: d.number))
        for name in (INSTRUMENT, "LSSTComCamSim")
    }
    camera = {detector.number: detector for detector in found[INSTRUMENT]}
    assert (camera[94].name, camera[94].vendor) == ("R22_S11", "E2V")
    assert (camera[191].partner, camera[189].purpose) == (192, DetectorPurpose.OTHER)


def test_without_a_policy_every_science_detector_is_processed(repository: str, tmp_path: Path) -> None:
    compiled = run(repository, tmp_path)
    assert compiled.policy == AnyPolicy()
    assert compiled.expected == {INSTRUMENT: SCIENCE}
    assert compiled.patterns[INSTRUMENT].of_step("toy", "step1a", 0) == SCIENCE


def test_a_run_follows_its_files_where_it_is_not_told_otherwise(repository: str, tmp_path: Path) -> None:
    rapid = """
    pipelines:
      - {pipeline: bias.yaml, where: "exposure.observation_type = 'bias'", pattern: [R22, wavefront]}
      - {pipeline: toy.yaml}
    policy: {pattern: {include: raft_checkerboard, vary: alternating}}
    patterns: {step1a: {exclude: E2V}}
    """
    compiled = run(repository, tmp_path, rapid)
    patterns = compiled.patterns[INSTRUMENT]
    assert [len(patterns.detectors("toy", turn)) for turn in (0, 1)] == [108, 81]
    assert patterns.detectors("bias", 0) == R22 | WAVEFRONT
    assert 0 < len(patterns.of_step("toy", "step1a", 0)) < 72
    told = run(repository, tmp_path, rapid.replace("exclude: E2V", "include: R22"), policy=AnyPolicy())
    patterns = told.patterns[INSTRUMENT]
    assert patterns.detectors("toy", 0) == SCIENCE
    assert patterns.of_step("toy", "step1a", 1) == patterns.of_step("bias", "step1a", 0) == R22


def test_another_policy_is_tried_before_it_is_followed(repository: str, tmp_path: Path) -> None:
    compiled = run(repository, tmp_path, "patterns: {step1a: R22}")
    other = compiled.patterns_under(policy(pattern="5-on-a-die"))
    assert len(other[INSTRUMENT].detectors("toy", 0)) == 45
    with pytest.raises(InputError, match=r"LSSTCamSim: no pattern, .* did you mean 'minimal'\?"):
        compiled.patterns_under(policy(pattern="minimall"))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"detectors": (0, 90, 190, 191)}, {0, 90, 190, 191}),
        ({"data_query": "True"}, set(range(205))),
        ({"data_query": "True", "detectors": (90, 94)}, {90, 94}),
        ({"data_query": "True", "policy": AnyPolicy(pattern=PatternSpec(include=("R22",)))}, R22),
        ({"detectors": (0, 94), "policy": AnyPolicy(pattern=PatternSpec(include=("R22",)))}, {94}),
    ],
)
def test_a_pattern_chooses_among_the_detectors_that_the_run_takes(
    repository: str, tmp_path: Path, told: dict[str, object], expected: set[int]
) -> None:
    compiled = run(repository, tmp_path, **told)
    assert compiled.patterns[INSTRUMENT].detectors("toy", 0) == expected


@pytest.mark.parametrize(
    ("rapid", "told", "message"),
    [
        ("patterns: {step1: R22}", {}, "patterns: no pipeline has a step 'step1'; did you mean 'step1"),
        ("patterns: {step1b: R22}", {}, "patterns.step1b: this step runs once for all detectors"),
        ("policy: {pattern: R23_S33}", {}, "pattern: LSSTCamSim: no pattern"),
        ("policy: {pattern: minimal}", {"instruments": ()}, "LSSTComCamSim: no pattern, vendor, raft"),
        ("", {"detectors": (94, 300)}, "--detectors: no detector 300 in LSSTCamSim"),
    ],
)
def test_what_cannot_be_followed_is_refused(
    repository: str, tmp_path: Path, rapid: str, told: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        run(repository, tmp_path, rapid, **told)
    assert message in str(caught.value)


def test_a_step_that_will_not_run_is_told(
    repository: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    compiled = run(repository, tmp_path, "patterns: {step1a: R22}")
    assert "will not run" not in caplog.text
    compiled.patterns_under(policy(pattern="wavefront"))
    assert "LSSTCamSim: step step1a of pipeline toy will not run" in caplog.text


def test_patterns_of_steps_that_are_not_run_do_not_matter(repository: str, tmp_path: Path) -> None:
    compiled = run(repository, tmp_path, "patterns: {step1a: R22, step2: R21}", labels=("step1a",))
    assert compiled.patterns[INSTRUMENT].of_steps.keys() == {"step1a"}


HILL_PATTERNS = {"ends": (("Chip0", "Chip5"),), "halves": (("0..2",), ("3..5",))}


@pytest.fixture(scope="module")
def hill(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("hill") / "repo"
    make_repository(root, ["support.other_observatory.HillCam"])
    return str(root)


def run_hill(root: str, folder: Path, pattern: object, **told: object) -> CompiledRun:
    (folder / "hill.yaml").write_text(
        "description: d\ntasks: {level: support.other_observatory.tasks.LevelTask}"
    )
    return compile_run(
        RunSettings(
            repository=root,
            pipeline=folder / "hill.yaml",
            work_dir=folder,
            policy=policy(pattern=pattern),
            **{"detector_patterns": {"HillCam": HILL_PATTERNS}, **told},
        )
    )


@pytest.mark.parametrize(
    ("pattern", "phases"),
    [
        ("all", [{0, 1, 2, 3, 4, 5}] * 2),
        ("ends", [{0, 5}] * 2),
        ({"include": "halves", "vary": "alternating"}, [{0, 1, 2}, {3, 4, 5}]),
        ("Chip4", [{4}] * 2),
        ("1..3", [{1, 2, 3}] * 2),
        ({"exclude": "ends"}, [{1, 2, 3, 4}] * 2),
    ],
    ids=str,
)
def test_instruments_of_others_have_the_patterns_of_the_site(
    hill: str, tmp_path: Path, pattern: object, phases: list[set[int]]
) -> None:
    found = run_hill(hill, tmp_path, pattern).patterns["HillCam"]
    assert [found.detectors("hill", turn) for turn in (0, 1)] == phases


@pytest.mark.parametrize(
    ("pattern", "told", "message"),
    [
        ("raft_checkerboard", {}, "(patterns are all, ends, halves); did you mean "),
        ("endss", {}, "did you mean 'ends'?"),
        ("wavefront", {"detector_patterns": {}}, "(patterns are all); did you mean "),
        (
            "all",
            {"detector_patterns": {"HillCam": {"x": (("Chip9",),)}}},
            "pattern 'x' has 'Chip9', which is no",
        ),
        ("all", {"instruments": ("Hillcam",)}, "did you mean 'HillCam'?"),
    ],
)
def test_patterns_that_an_instrument_of_others_has_not_are_refused(
    hill: str, tmp_path: Path, pattern: str, told: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        run_hill(hill, tmp_path, pattern, **told)
    assert message in str(caught.value)
