"""A result as text and in pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.image import imread

from lsst.ctrl.rapid.bench import SuiteResult, draw_plots, format_number, render_markdown


def _cells(markdown: str, begin: str) -> list[str]:
    (line,) = [line for line in markdown.splitlines() if line.startswith(f"| {begin} ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_has_median_and_spread_of_every_row(result: SuiteResult) -> None:
    markdown = render_markdown(result)
    assert _cells(markdown, "pipetask") == ["pipetask", "SQLite", "2,710 (2,690 to 2,800)", ""]
    assert _cells(markdown, "rapid-exec") == ["rapid-exec", "SQLite", "12.0 (11.5 to 13.2)", "0.0200"]
    assert _cells(markdown, "floor") == ["floor", "", "", "0.00100"]
    assert "per detector, ms" in markdown
    assert "CPU, s" in markdown


def test_each_goal_has_target_and_value_and_how_far_it_is(result: SuiteResult) -> None:
    markdown = render_markdown(result)
    assert _cells(markdown, "below pipetask")[1:] == ["at least 100 x", "226 x", "met"]
    missed = _cells(markdown, "file closed to start, p50")
    assert missed[1:] == ["at most 10 ms", "13.0 ms", "missed, 1.30 of the target"]
    assert _cells(markdown, "below (c)")[1:] == ["at least 10 x", "7.60 x", "missed, 0.760 of the target"]
    assert _cells(markdown, "on PostgreSQL")[1:] == ["at least 10 x", "-", "not measured"]


def test_the_text_says_how_to_repeat_it_and_on_what_it_was_measured(result: SuiteResult) -> None:
    markdown = render_markdown(result)
    for part in (
        "`rapid-exec bench overhead --workers 2`",
        "2026-11-18",
        "A fast one, 2 core(s), 24 GB",
        "Python 3.12.1",
        "PostgreSQL 18.1",
        "repetitions: 3",
        "Images are tiny.",
    ):
        assert part in markdown


def test_columns_stand_below_each_other_in_a_terminal(result: SuiteResult) -> None:
    lines = [line for line in render_markdown(result).splitlines() if line.startswith("|")]
    bars = [tuple(i for i, character in enumerate(line) if character == "|") for line in lines]
    assert len(set(bars[:5])) == 1
    assert len(set(bars[5:])) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0254321, "0.0254"),
        (2.5, "2.50"),
        (12.0, "12.0"),
        (100.0, "100"),
        (999.4, "999"),
        (999.6, "1,000"),
        (1234567.8, "1,234,568"),
        (-2.0, "-2.00"),
    ],
)
def test_numbers_have_the_digits_that_count(value: float, text: str) -> None:
    assert format_number(value) == text


def test_there_is_a_picture_of_each_column_and_of_each_chart(result: SuiteResult, tmp_path: Path) -> None:
    written = draw_plots(result, tmp_path / "plots")
    assert [path.name for path in written] == [
        "overhead-per-detector.png",
        "overhead-cpu.png",
        "overhead-the-registry.png",
    ]
    for path in written:
        pixels = imread(path)
        assert pixels.shape[1] > 800
        assert pixels.std() > 0.05, "Nothing is drawn."
