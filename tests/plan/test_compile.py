"""Pipelines compiled against a repository."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lsst.ctrl.rapid.model import InputError
from lsst.ctrl.rapid.plan import InputKind, PipelineSource, Planner, compile_pipeline, run_name

D = ("exposure", "detector")
E = ("exposure",)
Write = Callable[..., PipelineSource]


@pytest.fixture(scope="module")
def butler(make_repository: Callable[..., Any]) -> Any:
    return make_repository().butler


def test_steps_know_their_tasks_dimensions_and_order(butler: Any, pipeline: Write) -> None:
    path = pipeline(
        {"gather": "Gather", "stat": "Stat", "isr": "FlatIsr"},
        {"first": (D, ["stat", "isr"]), "last": (E, ["gather"])},
    )
    compiled = compile_pipeline(path, butler)
    assert compiled.name == "toy"
    assert [step.label for step in compiled.steps] == ["first", "last"]
    first, last = compiled.steps
    assert first.tasks == ("isr", "stat")
    assert first.per_detector
    assert not last.per_detector
    assert first.after == frozenset()
    assert last.after == {"first"}
    assert first.dimensions == butler.dimensions.conform(D)
    assert compiled.step("last") is last


def test_each_input_is_known_by_where_it_comes_from(butler: Any, pipeline: Write) -> None:
    path = pipeline(
        {"isr": "FlatIsr", "stat": "Stat", "gather": "Gather", "rank": "Rank"},
        {"a": (D, ["isr", "stat"]), "b": (E, ["gather"]), "c": (D, ["rank"])},
    )
    compiled = compile_pipeline(path, butler)
    assert compiled.step("a").inputs == {
        "raw": InputKind.TRIGGER,
        "bias": InputKind.CALIBRATION,
        "flat": InputKind.CALIBRATION,
        "isr_image": InputKind.WITHIN,
    }
    assert compiled.step("a").reads(InputKind.CALIBRATION) == ["bias", "flat"]
    assert compiled.step("b").inputs == {"stats": InputKind.EARLIER_STEP}
    assert compiled.step("c").inputs == {"stats": InputKind.EARLIER_STEP, "summary": InputKind.EARLIER_STEP}
    assert compiled.step("c").after == {"a", "b"}
    assert [t.name for t in compiled.calibrations] == ["bias", "flat"]
    assert {"raw", "bias", "stats", "isr_metadata", "isr_log"} <= compiled.dataset_types.keys()


def test_a_component_is_known_by_its_whole(butler: Any, pipeline: Write) -> None:
    path = pipeline(
        {"isr": "Isr", "catalog": "Catalog", "columns": "Columns"},
        {"a": (D, ["isr", "catalog"]), "b": (D, ["columns"])},
    )
    assert compile_pipeline(path, butler).step("b").inputs == {"sources": InputKind.EARLIER_STEP}


def test_steps_are_inferred_where_there_are_none(
    butler: Any, pipeline: Write, caplog: pytest.LogCaptureFixture
) -> None:
    path = pipeline({"gather": "Gather", "stat": "Stat", "isr": "Isr"})
    with caplog.at_level(logging.INFO, logger="lsst.ctrl.rapid"):
        compiled = compile_pipeline(path, butler)
    assert [(step.per_detector, step.tasks) for step in compiled.steps] == [
        (True, ("isr", "stat")),
        (False, ("gather",)),
    ]
    assert "has no steps" in caplog.text


def test_detectors_after_a_gather_are_an_inferred_step_of_their_own(butler: Any, pipeline: Write) -> None:
    path = pipeline({"isr": "Isr", "stat": "Stat", "gather": "Gather", "rank": "Rank"})
    compiled = compile_pipeline(path, butler)
    assert [(step.label, step.tasks) for step in compiled.steps] == [
        ("detector_step", ("isr", "stat")),
        ("exposure_step", ("gather",)),
        ("detector_step2", ("rank",)),
    ]
    assert compiled.step("detector_step2").after == {"detector_step", "exposure_step"}


def test_steps_that_read_from_later_ones_are_refused(butler: Any, pipeline: Write) -> None:
    path = pipeline(
        {"isr": "Isr", "stat": "Stat", "gather": "Gather", "rank": "Rank"},
        {"detectors": (D, ["isr", "stat", "rank"]), "whole": (E, ["gather"])},
    )
    with pytest.raises(InputError, match=r"step 'whole'.*earlier steps") as caught:
        compile_pipeline(path, butler)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_task_in_no_step_is_named(butler: Any, pipeline: Write) -> None:
    path = pipeline({"isr": "Isr", "stat": "Stat"}, {"a": (D, ["isr"])})
    with pytest.raises(InputError, match=r"toy\.yaml: .*[Nn]o step.*stat"):
        compile_pipeline(path, butler)


def test_an_input_that_nobody_makes_and_nobody_has_is_named(butler: Any, pipeline: Write) -> None:
    path = pipeline({"stray": "Stray"}, {"a": (D, ["stray"])})
    with pytest.raises(InputError, match=r"'from_nowhere' is read, which no task of the pipeline makes"):
        compile_pipeline(path, butler)


def test_a_task_that_is_not_of_one_exposure_is_refused(butler: Any, pipeline: Write) -> None:
    with pytest.raises(InputError, match=r"toy\.yaml: .*'odd_one'"):
        compile_pipeline(pipeline({"odd_one": "Master"}, {"a": (D, ["odd_one"])}), butler)
    with pytest.raises(InputError, match=r"task 'odd_one' has dimensions .*detector"):
        compile_pipeline(pipeline({"odd_one": "Master"}), butler)


NIGHT = {"isr": "Isr", "stat": "Stat", "gather": "Gather", "night": "Night"}


@pytest.mark.parametrize("declared", [True, False])
def test_a_step_of_a_day_is_planned_from_what_is_registered(
    butler: Any, pipeline: Write, *, declared: bool
) -> None:
    steps = {"a": (D, ["isr", "stat"]), "b": (E, ["gather"]), "c": (("day_obs",), ["night"])}
    compiled = compile_pipeline(pipeline(NIGHT, steps) if declared else pipeline(NIGHT), butler)
    [night] = compiled.day_steps
    assert night.label == ("c" if declared else "day_obs_step")
    assert night.planner is Planner.BUILDER
    assert night.reasons == ("it takes all that is registered of an observing day",)
    assert (night.per_day, night.per_detector, night.per_group) == (True, False, False)
    assert compiled.arrival_steps == compiled.steps[:2]


def test_steps_of_a_day_that_cannot_be_run_are_refused(butler: Any, pipeline: Write) -> None:
    alone = pipeline({"gather": "RawGather"}, {"nightly": (("day_obs",), ["gather"])})
    with pytest.raises(InputError, match=r"steps nightly take what others make.*there are no others"):
        compile_pipeline(alone, butler)
    tasks = {"isr": "Isr", "stat": "Stat", "night": "DetectorNight"}
    both = pipeline(tasks, {"a": (D, ["isr", "stat"]), "c": (("day_obs", "detector"), ["night"])})
    with pytest.raises(InputError, match=r"'c'.* a day_obs is processed as a whole"):
        compile_pipeline(both, butler)
    [whole] = compile_pipeline(
        pipeline(tasks, {"a": (D, ["isr", "stat"]), "c": (("day_obs",), ["night"])}), butler
    ).day_steps
    assert whole.tasks == ("night",)


@pytest.mark.parametrize(
    ("task", "planner", "told"),
    [
        ("Isr", Planner.MEMORY, None),
        ("LooksUp", Planner.TRIVIAL, "task 'isr' looks 'bias' up by a function of its own"),
        ("RefCat", Planner.TRIVIAL, "task 'isr' looks 'refcat' up by position on the sky"),
        ("Visit", Planner.MEMORY, None),
        ("Tract", Planner.BUILDER, "task 'isr' has dimensions skymap, tract"),
        ("AllBiases", Planner.BUILDER, "task 'isr' looks 'bias' up per detector"),
        ("AllTogether", Planner.BUILDER, "task 'isr' adjusts all of its quanta together"),
    ],
)
def test_a_step_is_planned_in_the_way_that_asks_least(
    butler: Any, pipeline: Write, task: str, planner: Planner, told: str | None
) -> None:
    [step] = compile_pipeline(pipeline({"isr": task}), butler).steps
    assert step.planner is planner
    assert step.reasons == (() if told is None else (told,))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("description: x\ntasks:\n  isr: {class: nowhere.at.all.Task}\n", "nowhere"),
        ("description: x\ntasks: [\n", "cannot be loaded"),
        ("description: x\ntasks:\n  isr: {class: rapid_plan_tasks.Isr, config: {treshold: 3}}\n", "treshold"),
    ],
)
def test_a_pipeline_that_cannot_be_loaded_is_named_with_the_reason(
    butler: Any, tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=told) as caught:
        compile_pipeline(PipelineSource(path), butler)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_pipeline_that_is_not_there_is_named(butler: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.yaml"):
        compile_pipeline(PipelineSource(tmp_path / "absent.yaml"), butler)


def test_compiling_writes_nothing(butler: Any, pipeline: Write) -> None:
    before = {t.name for t in butler.registry.queryDatasetTypes()}
    compile_pipeline(pipeline({"isr": "Isr", "catalog": "Catalog"}, {"a": (D, ["isr", "catalog"])}), butler)
    assert {t.name for t in butler.registry.queryDatasetTypes()} == before


TASKS = {"isr": {"class": "Isr", "config": {"threshold": 4.0}}, "stat": "Stat"}
STEPS = {"a": (D, ["isr", "stat"])}


def test_the_hash_is_the_same_for_the_same_payload(butler: Any, pipeline: Write) -> None:
    first = compile_pipeline(pipeline(TASKS, STEPS), butler).hash
    described = pipeline(TASKS, STEPS, name="other", description="Something else was written here.")
    turned = pipeline(dict(reversed(TASKS.items())), STEPS, name="turned")
    assert compile_pipeline(described, butler).hash == first
    assert compile_pipeline(turned, butler).hash == first
    assert len(first) == 8


@pytest.mark.parametrize(
    "tasks",
    [
        {**TASKS, "isr": {"class": "Isr", "config": {"threshold": 4.5}}},
        {**TASKS, "isr": {"class": "Isr", "config": {"threshold": 4.0, "connections.bias": "bias2"}}},
        {"isr": TASKS["isr"], "stats": "Stat"},
        {**TASKS, "catalog": "Catalog"},
        {"isr": TASKS["isr"], "stat": "Catalog"},
    ],
)
def test_another_payload_has_another_hash(butler: Any, pipeline: Write, tasks: dict[str, Any]) -> None:
    first = compile_pipeline(pipeline(TASKS, STEPS), butler).hash
    other = pipeline(tasks, {"a": (D, list(tasks))}, name="other")
    assert compile_pipeline(other, butler).hash != first


def test_another_version_of_the_payload_has_another_hash(
    butler: Any, pipeline: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pipeline(TASKS, STEPS)
    first = compile_pipeline(path, butler).hash
    monkeypatch.setattr("rapid_plan_tasks.__version__", "2.0", raising=False)
    assert compile_pipeline(path, butler).hash != first


def test_a_run_is_named_by_its_day_and_payload() -> None:
    assert run_name("u/me/rapid", 20260501, "summit", "0123abcd") == "u/me/rapid/20260501/summit-0123abcd"
