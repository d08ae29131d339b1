"""What ``new-channel`` writes: it runs, it is clean, and nothing else is touched."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from lsst.pipe.base import Pipeline

from lsst.ctrl.rapid import channels
from lsst.ctrl.rapid.cli.scaffold import find_checkout
from lsst.ctrl.rapid.cli.scaffold._yaml import PipelineText
from lsst.ctrl.rapid.model import InputError, load_rapid_file
from support.processes import ROOT, rapid_here

DETECTOR = ("--dimensions", "exposure,detector")
CHANNELS = Path("python/lsst/ctrl/rapid/channels")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout without what does not matter here, as the working directory."""
    root = tmp_path / "checkout"
    for folder in ("pipelines", "python", "tests/channels", "tests/support"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, root / folder, symlinks=True, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with nothing in it; new packages can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "my-sky" / "python"))
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_sky"]:
        del sys.modules[name]


def contents(folder: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in folder.rglob("*.*") if path.is_file()}


def load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_unit_test(path: Path) -> int:
    """Run the tests in a file, here; returns how many there were."""
    tests = [value for name, value in vars(load(path, path.stem)).items() if name.startswith("test_")]
    for test in tests:
        test()
    return len(tests)


def assert_clean(folder: Path) -> None:
    for command in (["check"], ["format", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "."],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_channel_in_the_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(checkout)
    told = rapid_here("new-channel", "skyLevel", *DETECTOR, "--input", "raw", "--input", "bias")
    new = {checkout / CHANNELS / "_sky_level.py", checkout / "tests/channels/test_sky_level.py"}
    after = contents(checkout)
    assert after.keys() - before.keys() == new
    changed = {path for path in before if after[path] != before[path]}
    assert changed == {checkout / "pipelines/summit.yaml", checkout / CHANNELS / "__init__.py"}
    # The pipeline has two lines more, and all others as they were.
    lines = after[checkout / "pipelines/summit.yaml"].splitlines()
    lines.remove("  skyLevel: lsst.ctrl.rapid.channels.SkyLevelTask")
    lines.remove("      - skyLevel")
    assert lines == before[checkout / "pipelines/summit.yaml"].splitlines()
    assert "pytest tests/channels/test_sky_level.py" in told
    assert "rapid-exec test-channels pipelines/summit.yaml" in told
    assert_clean(checkout)

    module = load(checkout / CHANNELS / "_sky_level.py", "sky_level")
    monkeypatch.setitem(sys.modules, "sky_level", module)
    for name in module.__all__:
        monkeypatch.setattr(channels, name, getattr(module, name), raising=False)
        assert f'"{name}"' in after[checkout / CHANNELS / "__init__.py"]
    assert run_unit_test(checkout / "tests/channels/test_sky_level.py") == 2
    graph = Pipeline.from_uri("pipelines/summit.yaml").to_graph()
    assert "skyLevel" in graph.task_subsets["step1a"]


def test_channels_in_a_package_of_its_own(anywhere: Path) -> None:
    told = rapid_here(
        "new-channel", "skyLevel", *DETECTOR, "--input", "raw", "--output", "my_sky", "--output",
        "my_table:ArrowAstropy", "--package", "my-sky",
    )  # fmt: skip
    package = anywhere / "my-sky"
    assert f"export PYTHONPATH={package}/python" in told
    pipeline = package / "pipelines" / "skyLevel.yaml"
    inputs = (
        "my_sky",
        "quick_isr_image",
        "quick_source_catalog",
        "quick_focal_plane_mosaic",
        "quickIsr_metadata",
    )
    rapid_here(
        "new-channel", "skySpread", "--dimensions", "exposure", *(f"--input={name}" for name in inputs),
        "--output", "sky_spread:Plot", "--package", package, "--pipeline", pipeline,
    )  # fmt: skip
    assert_clean(package)
    assert [run_unit_test(path) for path in sorted((package / "tests").iterdir())] == [2, 2]
    # It has all that the summit's has, wherever that is installed, and a step for each of its dimensions.
    graph = Pipeline.from_uri(str(pipeline)).to_graph()
    steps = {step: set(graph.task_subsets[step]) for step in graph.steps}
    assert steps["my_sky_exposure_detector"] == {"skyLevel"}
    assert steps["my_sky_exposure"] == {"skySpread"}
    assert "quickIsr" in steps["step1a"]
    facts = load_rapid_file(pipeline)
    assert [choice.where for choice in facts.pipelines] == ["exposure.observation_type = 'science'"]
    assert "quick_focal_plane_plot" in facts.publish


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["QuickSky", *DETECTOR, "--input", "raw"], "lower-case letter"),
        (["quickIsr", *DETECTOR, "--input", "raw"], "has a task or a subset 'quickIsr' already"),
        (["lambda", *DETECTOR, "--input", "raw"], "means something"),
        (["x", "--dimensions", "exposur", "--input", "raw"], "the nearest are exposure"),
        (["x", "--dimensions", ",", "--input", "raw"], "at least one"),
        (["x", *DETECTOR, "--input", "quick_isr"], "the nearest are quick_isr_image"),
        (["x", *DETECTOR, "--input", "raw", "--input", "raw"], "named twice"),
        (["x", *DETECTOR, "--input", "quick_psf_plane_plot"], "not be read"),
        (["x", "--dimensions", "exposure", "--input", "bias"], "cannot look it up"),
        (["x", *DETECTOR, "--input", "a:b:c:d"], "no dimension"),
        (["x", *DETECTOR, "--input", "raw", "--output", "quick_isr_image"], "already"),
        (["x", *DETECTOR, "--input", "raw", "--output", "x:ImageV2"], "StructuredDataDict"),
        (["x", *DETECTOR, "--input", "raw", "--output", "x:Plot:visit"], "leave them out"),
        (["x", *DETECTOR, "--input", "raw", "--package", "pyproject.toml"], "is a file"),
        (["x", *DETECTOR, "--input", "raw", "--package", "."], "leave --package out"),
        (["x", *DETECTOR, "--input", "raw", "--package", "3d"], "name of a Python package"),
        (
            ["x", *DETECTOR, "--input", "raw", "--package", "mine", "--pipeline", "pipelines/summit.yaml"],
            "own pipelines",
        ),
    ],
    ids=lambda value: None if isinstance(value, list) else value,
)
def test_it_is_refused_and_nothing_is_written(arguments: list[str], told: str, checkout: Path) -> None:
    before = contents(checkout)
    output = rapid_here("new-channel", *arguments, code=2)
    assert told in " ".join(output.split())
    assert contents(checkout) == before


def test_no_file_is_overwritten(checkout: Path) -> None:
    (checkout / "tests/channels/test_sky_level.py").write_text("# mine\n")
    before = contents(checkout)
    output = rapid_here("new-channel", "skyLevel", *DETECTOR, "--input", "raw", code=2)
    assert "test_sky_level.py is there already" in " ".join(output.split())
    assert contents(checkout) == before


def test_without_a_source_tree_a_package_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--package DIR"):
        find_checkout(tmp_path, tmp_path / "site-packages" / "lsst" / "ctrl" / "rapid")


PLAIN = """# Mine.
description: d
tasks:
  a: m.A     # first
  b:
    class: m.B
    config: {x: 1}

    # about nothing
subsets:
  one: [a, b]
  two:
    description: >
      words
    subset:
    - a   # last
steps: []
"""


@pytest.mark.parametrize("subset", ["one", "two"])
def test_comments_and_layout_of_a_pipeline_survive(subset: str) -> None:
    text = PipelineText(Path("p.yaml"), PLAIN)
    text.add_task("c", "m.C")
    text.add_to_subset(subset, "c")
    lines = text.text.splitlines()
    kept = [line for line in lines if line not in {"  c: m.C", "    - c"}]
    assert "\n".join(kept).replace("[a, b, c]", "[a, b]") + "\n" == PLAIN
    data = yaml.safe_load(text.text)
    assert data["tasks"]["c"] == "m.C"
    assert "c" in (data["subsets"]["one"] if subset == "one" else data["subsets"]["two"]["subset"])


def test_a_pipeline_gets_sections_that_it_has_not() -> None:
    text = PipelineText(Path("p.yaml"), "description: d\nimports:\n  - location: other.yaml")
    text.add_task("c", "m.C")
    text.add_step("mine", ["exposure"], "c", "For each exposure.")
    assert yaml.safe_load(text.text) == {
        "description": "d",
        "imports": [{"location": "other.yaml"}],
        "tasks": {"c": "m.C"},
        "subsets": {"mine": {"subset": ["c"], "description": "For each exposure."}},
        "steps": [{"label": "mine", "dimensions": ["exposure"]}],
    }


@pytest.mark.parametrize("tasks", ["tasks:", "tasks: {a: m.A # no\n}", "tasks: &x\n  a: m.A\nb: *x"])
def test_what_cannot_be_edited_safely_is_left_to_its_author(tasks: str) -> None:
    text = PipelineText(Path("p.yaml"), f"description: d\n{tasks}\n")
    before = text.text
    with pytest.raises(InputError, match="by hand: c: "):
        text.add_task("c", "m.C")
    assert text.text == before
