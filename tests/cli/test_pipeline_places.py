"""Pipelines that are not files of the current folder."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsst.pipe.base import Pipeline

from lsst.ctrl.rapid.plan import PipelineSource
from support.processes import ROOT, SUMMIT, rapid_here

PACKAGED = "resource://lsst.ctrl.rapid/resources/pipelines"


def hashes(name: str | Path, *words: str) -> dict[str, str]:
    output = rapid_here("plan", name, *words, "--json")
    found = json.loads(output[output.index("[{") :])
    return {Path(one["pipeline"].partition("#")[0]).stem: one["hash"] for one in found}


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder by HTTP, at a port of its own."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Silent, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def expected() -> dict[str, str]:
    return hashes(f"{SUMMIT}#step1a")


@pytest.mark.parametrize(
    "name",
    [
        f"{PACKAGED}/summit.yaml#step1a",
        f"file://{SUMMIT}#step1a",
        "$PLACE_OF_PIPELINES/summit.yaml#step1a",
        "~/summit.yaml#step1a",
        "$CTRL_RAPID_DIR/pipelines/summit.yaml#step1a",
        "eups://ctrl_rapid/pipelines/summit.yaml#step1a",
        "summit.yaml#step1a",
    ],
)
@pytest.mark.parametrize("eups", ["with EUPS", "without EUPS"])
def test_by_any_name(
    name: str, eups: str, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its companions and their expressions are found, too; ``pipetask`` finds the pipeline there as well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLACE_OF_PIPELINES", str(SUMMIT.parent))
    monkeypatch.setenv("HOME", str(SUMMIT.parent))
    monkeypatch.delenv("CTRL_RAPID_DIR", raising=False)
    if eups == "with EUPS":
        monkeypatch.setenv("CTRL_RAPID_DIR", str(ROOT))
    assert hashes(name) == expected
    if not name.startswith("summit"):
        assert set(Pipeline.from_uri(name).task_labels) == set(
            Pipeline.from_uri(f"{SUMMIT}#step1a").task_labels
        )


def test_over_http(expected: dict[str, str]) -> None:
    with served(SUMMIT.parent) as address:
        assert hashes(f"{address}/summit.yaml#step1a") == expected
        told = rapid_here("plan", f"{address}/sumit.yaml", code=2)
        assert f"there is no pipeline 'sumit.yaml' in {address}/" in told


def test_a_file_here_comes_before_the_packaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = rapid_here("plan", "summit.yaml")
    assert told.count(f"summit.yaml is not in {tmp_path}: taking {PACKAGED}/summit.yaml.") == 1
    (tmp_path / "summit.yaml").write_text("description: x\ntasks: {level: support.toy_tasks.LevelTask}\n")
    told = rapid_here("plan", "summit.yaml")
    assert "taking" not in told
    assert "tasks: level" in told


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sumit.yaml", "none comes with lsst.ctrl.rapid; did you mean 'summit.yaml'?"),
        ("folder/summit.yaml", "folder/summit.yaml: there is no pipeline 'summit.yaml'"),
        (f"{PACKAGED}/nothing.yaml", f"there is no pipeline 'nothing.yaml' in {PACKAGED}/"),
        ("resource://no.such.package/x.yaml", "there is no pipeline 'x.yaml' in resource://no.such.package/"),
        ("gopher://x/y.yaml", "neither the name of a file nor a URI"),
        (f"{PACKAGED}/summit.rapid.yaml", "name the pipeline"),
    ],
)
def test_what_is_not_there_is_told(
    name: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    output = rapid_here("plan", name, code=2)
    assert told in output
    assert "Traceback" not in output


def test_ranges_of_labels_are_upstreams() -> None:
    name = f"{SUMMIT}#quickIsr..quickBin"
    assert set(PipelineSource.parse(name).read().task_labels) == set(Pipeline.from_uri(name).task_labels)
