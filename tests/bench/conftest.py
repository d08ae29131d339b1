"""A small result, with all that a result can have."""

from __future__ import annotations

import pytest

from lsst.ctrl.rapid.bench import Chart, Curve, Goal, Machine, Row, Series, SuiteResult


def ms(*values: float) -> Series:
    return Series(unit="ms", values=values)


@pytest.fixture
def result() -> SuiteResult:
    return SuiteResult(
        suite="overhead",
        title="What the framework costs",
        command="rapid-exec bench overhead --workers 2",
        started=1_795_000_000.0,
        seconds=123.4,
        machine=Machine(
            cpu="A fast one",
            cores=2,
            memory_gb=24.0,
            system="Linux",
            python="3.12.1",
            versions={"numpy": "2.5.5", "PostgreSQL": "18.1"},
        ),
        settings={"repetitions": "3"},
        rows=(
            Row(what="pipetask", where="SQLite", columns={"per detector": ms(2710.0, 2690.0, 2800.0)}),
            Row(
                what="rapid-exec",
                where="SQLite",
                columns={"per detector": ms(12.0, 11.5, 13.25), "CPU": Series(unit="s", values=(0.02,))},
            ),
            Row(what="floor", columns={"CPU": Series(unit="s", values=(0.001,))}),
        ),
        goals=(
            Goal(name="below pipetask", bound="least", target=100.0, value=225.8, unit="x"),
            Goal(name="file closed to start, p50", bound="most", target=10.0, value=13.0, unit="ms"),
            Goal(name="below (c)", bound="least", target=10.0, value=7.6, unit="x"),
            Goal(name="on PostgreSQL", bound="least", target=10.0, value=None, unit="x"),
        ),
        charts=(
            Chart(
                name="the registry",
                title="What is in the registry",
                x_label="datasets",
                y_label="ms a dataset",
                log_x=True,
                curves=(
                    Curve(label="commit", x=(0.0, 1e4, 1e6), y=(ms(1.0, 1.1), ms(1.0, 1.2), ms(1.1, 1.3))),
                ),
            ),
        ),
        notes=("Images are tiny.",),
    )
