"""Which detectors a pattern has, on each camera of the family, and what is refused."""

from __future__ import annotations

from collections import Counter

import pytest

from lsst.ctrl.rapid.conductor import (
    DetectorPurpose,
    Pattern,
    PatternDetector,
    compile_pattern,
    compile_policy,
    pairs,
)
from lsst.ctrl.rapid.model import InputError, PatternSpec, Policy, Vary, parse
from lsst.ctrl.rapid.service import camera_detectors

SCIENCE = frozenset(range(189))
DIAGONALS = {90, 94, 98, 144, 148, 152, 36, 40, 44, 92, 96, 132, 130, 128, 58, 56, 60}
CROSS = {76, 75, 77, 85, 84, 86, 94, 93, 95, 103, 102, 104, 112, 111, 113} | {
    10, 13, 16, 46, 49, 52, 91, 97, 136, 139, 142, 172, 175, 178
}  # fmt: skip
WAVEFRONT = frozenset({191, 192, 195, 196, 199, 200, 203, 204})


def compiled(written: object, instrument: str = "LSSTCam") -> Pattern:
    return compile_pattern(parse(PatternSpec, written, "a test"), camera_detectors(instrument), instrument)


def chosen(written: object, turn: int = 0, instrument: str = "LSSTCam") -> frozenset[int]:
    return compiled(written, instrument).detectors(turn)


def varied(name: str, instrument: str = "LSSTCam") -> tuple[frozenset[int], frozenset[int]]:
    """Return both phases of a pattern."""
    pattern = compiled({"include": name, "vary": "alternating"}, instrument)
    return pattern.detectors(0), pattern.detectors(1)


def rafts(numbers: frozenset[int]) -> Counter[str]:
    return Counter(d.raft for d in camera_detectors("LSSTCam") if d.number in numbers)


@pytest.mark.parametrize("instrument", ["LSSTCam", "LSSTCamSim"])
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("all", SCIENCE),
        ("ultra-minimal", DIAGONALS),
        ("minimal", DIAGONALS | CROSS),
        ("wavefront", WAVEFRONT),
        ("R22", range(90, 99)),
        ("R00", {191, 192}),
        ("R22_S11", {94}),
        ("R44_SW1", {204}),
        (94, {94}),
        ("90..98", range(90, 99)),
        (["R22", "R01", "0..2", 191], {*range(9), *range(90, 99), 191}),
        ({"include": "all", "exclude": ["10..188"]}, range(10)),
        ({"exclude": "R22_S11"}, SCIENCE - {94}),
        ({"exclude": "wavefront"}, SCIENCE),
    ],
)
def test_what_does_not_change_has_exactly_these(
    written: object, expected: frozenset[int], instrument: str
) -> None:
    pattern = compiled(written, instrument)
    assert {pattern.detectors(turn) for turn in range(4)} == {frozenset(expected)}


def test_the_counts_are_those_of_the_summit() -> None:
    counts = {name: len(chosen(name)) for name in ("all", "5-on-a-die", "ultra-minimal", "minimal")}
    assert counts == {"all": 189, "5-on-a-die": 45, "ultra-minimal": 17, "minimal": 45}
    assert (len(chosen("E2V")), len(chosen("ITL"))) == (117, 72)
    assert [len(phase) for phase in varied("raft_checkerboard")] == [108, 81]
    assert [len(phase) for phase in varied("ccd_checkerboard")] == [96, 93]


def test_the_die_has_five_whole_rafts() -> None:
    assert rafts(chosen("5-on-a-die")) == dict.fromkeys(("R22", "R11", "R13", "R31", "R33"), 9)


def test_vendors_have_their_science_detectors() -> None:
    assert chosen("E2V") | chosen("ITL") == SCIENCE
    assert not chosen("E2V") & chosen("ITL")
    assert {0, 8, 27} <= chosen("ITL")
    assert {94, 98} <= chosen("E2V")


def test_a_raft_is_whole_or_not_there_in_the_raft_checkerboard() -> None:
    first, second = varied("raft_checkerboard")
    assert set(rafts(first)) == {
        "R01", "R03", "R10", "R12", "R14", "R21", "R23", "R30", "R32", "R34", "R41", "R43"
    }  # fmt: skip
    assert set(rafts(first).values()) == {9}
    assert second == SCIENCE - first
    assert set(range(90, 99)) <= second


def test_neighbours_are_never_of_one_phase_in_the_detector_checkerboard() -> None:
    first, second = varied("ccd_checkerboard")
    assert second == SCIENCE - first
    # R22_S00 is at (6, 6), an even place; S01 above it and the next raft's S00, R23 at (6, 9), are odd.
    assert {90, 92, 94, 96, 98} <= second
    assert {91, 93, 95, 97, 99} <= first


@pytest.mark.parametrize(
    ("vary", "phases"),
    [
        (Vary.FIXED, [0, 0, 0, 0, 0, 0, 0, 0]),
        (Vary.ALTERNATING, [0, 1, 0, 1, 0, 1, 0, 1]),
        (Vary.ALTERNATING_BY_TWOS, [0, 0, 1, 1, 0, 0, 1, 1]),
    ],
)
def test_a_pattern_changes_as_it_is_told(vary: Vary, phases: list[int]) -> None:
    pattern = compiled({"include": "raft_checkerboard", "vary": str(vary)})
    assert [len(pattern.detectors(turn)) for turn in range(8)] == [(108, 81)[phase] for phase in phases]


def test_names_are_united_and_taken_away_in_each_phase() -> None:
    first, second = varied("raft_checkerboard")
    united = compiled({"include": ["raft_checkerboard", "R22", "R00"], "vary": "alternating"})
    assert united.detectors(0) == first | set(range(90, 99)) | {191, 192}
    assert united.detectors(1) == second | {191, 192}
    without = compiled({"exclude": ["raft_checkerboard", "90"], "vary": "alternating"})
    assert without.detectors(0) == second - {90}
    assert without.detectors(1) == first


def test_a_small_camera_has_the_patterns_that_choose_among_its_detectors() -> None:
    assert varied("ccd_checkerboard", "LSSTComCam") == ({1, 3, 5, 7}, {0, 2, 4, 6, 8})
    assert chosen("ITL", instrument="LSSTComCamSim") == set(range(9))
    assert chosen(["R22_S11", 0], instrument="LSSTComCam") == {0, 4}
    assert chosen(["all", "RXX", "RXX_S00", 0, "ITL"], instrument="LATISS") == {0}


@pytest.mark.parametrize(
    ("instrument", "written", "told"),
    [
        ("LSSTCam", "raft_chekerboard", ("no pattern, vendor, raft or detector 'raft_chekerboard' (patterns "
         "are all, 5-on-a-die, ccd_checkerboard, minimal, raft_checkerboard, ultra-minimal, wavefront, E2V, "
         "ITL); did you mean 'raft_checkerboard'?")),
        ("LSSTCam", "e2v", "did you mean 'E2V'?"),
        ("LSSTCam", "r22_s11", "did you mean 'R22_S11'?"),
        ("LSSTCam", "R22_S33", "; did you mean 'R22_S"),
        ("LSSTCam", {"exclude": "minimall"}, "did you mean 'minimal'?"),
        ("LSSTCam", 205, "no detector 205; did you mean '204'?"),
        ("LSSTCam", "100..300", "'100..300': detector 189 (R00_SG0) is for neither science nor wavefront"),
        ("LSSTCam", 190, ("detector 190 (R00_SG1) is for neither science nor wavefront sensing; "
         "did you mean '191'?")),
        ("LSSTCam", "R00_SG0", ("'R00_SG0' is for neither science nor wavefront sensing; "
         "did you mean 'R00_S")),
        ("LSSTCam", "98..90", "'98..90' goes backwards; did you mean '90..98'?"),
        ("LSSTCam", {"include": "R22", "exclude": "90..98"}, "'R22 without 90..98' leaves no detector"),
        ("LSSTComCam", "raft_checkerboard", ("no pattern, vendor, raft or detector 'raft_checkerboard' "
         "(patterns are all, ccd_checkerboard, ITL); did you mean 'ccd_checkerboard'?")),
        ("LSSTComCam", "5-on-a-die", "(patterns are all, ccd_checkerboard, ITL); did you mean "),
        ("LSSTComCam", "minimal", "(patterns are all, ccd_checkerboard, ITL); did you mean "),
        ("LSSTComCam", "wavefront", "(patterns are all, ccd_checkerboard, ITL); did you mean "),
        ("LSSTComCam", "E2V", "(patterns are all, ccd_checkerboard, ITL); did you mean "),
        ("LSSTComCam", "R21", "did you mean 'R22'?"),
        ("LSSTComCam", "90..98", "'90..98': no detector 90; did you mean '8'?"),
        ("LATISS", "ccd_checkerboard", "(patterns are all, ITL); did you mean "),
        ("LATISS", "R22", "did you mean 'RXX'?"),
    ],
)  # fmt: skip
def test_what_an_instrument_does_not_have_is_refused(instrument: str, written: object, told: str) -> None:
    with pytest.raises(InputError) as caught:
        compiled(written, instrument)
    message = str(caught.value)
    assert message.startswith(f"{instrument}: ")
    assert told in message
    assert "\n" not in message


def test_other_cameras_have_numbers_names_and_all() -> None:
    detectors = [PatternDetector(number, f"S{number}") for number in range(1, 4)]
    detectors.append(PatternDetector(4, "FS1", purpose=DetectorPurpose.OTHER))
    assert compile_pattern(PatternSpec(), detectors, "DECam").detectors(0) == {1, 2, 3}
    assert compile_pattern(PatternSpec(include=("S1", "3")), detectors, "DECam").detectors(0) == {1, 3}
    with pytest.raises(InputError, match=r"DECam: no pattern, .* \(patterns are all\); did you mean 'all'"):
        compile_pattern(PatternSpec(include=("ccd_checkerboard",)), detectors, "DECam")


def test_wavefront_halves_come_in_pairs() -> None:
    found = pairs(camera_detectors("LSSTCam"))
    assert list(found.items()) == [
        (191, 192), (192, 191), (195, 196), (196, 195), (199, 200), (200, 199), (203, 204), (204, 203)
    ]  # fmt: skip
    assert not pairs(camera_detectors("LSSTComCam"))


def policy(**values: object) -> Policy:
    return parse(Policy, values, "a test")


CAMERAS = {name: camera_detectors(name) for name in ("LSSTCam", "LSSTComCam")}


def test_pipelines_and_steps_have_patterns_of_their_own() -> None:
    found = compile_policy(
        policy(pattern={"include": "ccd_checkerboard", "vary": "alternating"}),
        CAMERAS,
        pipelines={"bias": PatternSpec(include=("all",))},
        steps={"detail": PatternSpec(include=("R22",))},
    )
    odd, even = {91, 93, 95, 97}, {90, 92, 94, 96, 98}
    camera = found["LSSTCam"]
    assert [len(camera.detectors("summit", turn)) for turn in range(3)] == [96, 93, 96]
    assert [camera.of_step("summit", "detail", turn) for turn in (0, 1)] == [odd, even]
    assert camera.of_step("summit", "isr", 0) == camera.detectors("summit", 0)
    assert camera.detectors("bias", 1) == camera.whole == SCIENCE
    assert camera.of_step("bias", "detail", 0) == odd | even
    assert camera.down_selected is camera
    assert [found["LSSTComCam"].of_step("summit", "detail", t) for t in (0, 1)] == [
        {1, 3, 5, 7}, {0, 2, 4, 6, 8}
    ]  # fmt: skip


def test_down_selection_replaces_the_usual_pattern_only() -> None:
    found = compile_policy(
        policy(down_selection={"pattern": "ultra-minimal"}),
        {"LSSTCam": CAMERAS["LSSTCam"]},
        pipelines={"optics": PatternSpec(include=("wavefront",))},
    )["LSSTCam"]
    assert found.detectors("summit", 0) == SCIENCE
    assert found.down_selected.detectors("summit", 0) == DIAGONALS
    assert found.down_selected.detectors("optics", 0) == found.detectors("optics", 0) == WAVEFRONT


@pytest.mark.parametrize(
    ("values", "more", "told"),
    [
        ({"pattern": "minimal"}, {}, "pattern: LSSTComCam: no pattern, vendor, raft or detector 'minimal'"),
        (
            {"down_selection": {"pattern": "raft_checkerboard"}},
            {},
            "down_selection.pattern: LSSTComCam: no pattern, vendor, raft or detector 'raft_checkerboard'",
        ),
        (
            {},
            {"pipelines": {"bias": PatternSpec(include=("R21",))}},
            "pattern of pipeline 'bias': LSSTComCam:",
        ),
        ({}, {"steps": {"isr": PatternSpec(include=("E2V",))}}, "patterns.isr: LSSTComCam:"),
    ],
)
def test_a_policy_must_be_valid_for_every_instrument(
    values: dict[str, object], more: dict[str, dict[str, PatternSpec]], told: str
) -> None:
    with pytest.raises(InputError) as caught:
        compile_policy(policy(**values), CAMERAS, **more)
    assert str(caught.value).startswith(told)
    assert str(caught.value).endswith("It is valid for LSSTCam; --instrument limits the run.")


def test_patterns_choose_among_the_detectors_to_which_a_run_is_limited() -> None:
    limits = {"LSSTCam": frozenset({*range(90, 99), 189, 191}), "LSSTComCam": frozenset[int]()}
    found = compile_policy(policy(), CAMERAS, limits=limits)
    assert found["LSSTCam"].detectors("summit", 0) == limits["LSSTCam"]
    assert not found["LSSTComCam"].detectors("summit", 0)
    alternating = policy(pattern={"include": "ccd_checkerboard", "vary": "alternating"})
    found = compile_policy(alternating, CAMERAS, limits=limits)
    assert found["LSSTCam"].detectors("summit", 0) == {91, 93, 95, 97}
    assert found["LSSTCam"].detectors("summit", 1) == {90, 92, 94, 96, 98}
    with pytest.raises(InputError, match="any of the 11 detectors to which the run is limited"):
        compile_policy(policy(pattern="raft_checkerboard"), CAMERAS, limits=limits)
