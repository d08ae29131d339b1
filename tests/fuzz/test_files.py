"""Site files, rapid files and reports that somebody spoilt: read, or refused with one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib.backends.backend_agg  # noqa: F401 -- it makes folders of its own when it is imported
import yaml
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lsst.ctrl.rapid.cli import main
from lsst.ctrl.rapid.model import (
    Times,
    load_rapid_file,
    load_site_file,
    read_json,
)
from support.refusals import taken_or_refused

SITE: dict[str, Any] = {
    "repository": "repo", "instruments": ["LSSTCam"], "input": ["LSSTCam/defaults"], "output": "rapid",
    "watch": ["landing", "butler"], "polling": False, "transfer": "direct", "workers": {"count": 2,
    "host": "127.0.0.1"},
    "detectors": [90, 91], "work_dir": "work", "gather_timeout": 5, "gather_deadline": 60.5, "attempts": 2,
    "policy": {
        "mode": "preemptive", "pattern": {"include": ["all"], "exclude": "R22", "vary": "fixed"},
        "guaranteed": {"exposures": [1], "where": "exposure = 1"},
        "down_selection": {"pattern": "minimal", "above": 60, "below": 10},
    },
    "control": {"socket": "control.sock", "port": 0, "host": "127.0.0.1", "token_file": "token"},
    "redis": {"url": "redis://localhost", "instrument": "LSSTCam"},
}  # fmt: skip
RAPID: dict[str, Any] = {
    "pipelines": [{"pipeline": "p.yaml", "where": "exposure = 1", "pattern": [94]}],
    "publish": ["a"], "shared": ["b"], "scratch": ["c"], "gather_timeout": 5, "gather_deadline": 60,
    "policy": SITE["policy"], "patterns": {"step1a": "E2V"},
}  # fmt: skip
WORDS = st.sampled_from([
    "", "off", "butler", "../../x", "/etc/passwd", "a\x00b", "1e999", "nan", "R22", "site.yaml", "p.yaml",
    "x" * 3000,
    "redis://u:p@h", "unix:///x", "0.0.0.0", "::1", "{}", "[]", "\ud800", "\x1b[2J", "a\nb",
])  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WORDS, st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(data: Any, before: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return where in nested data something stands."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [before, *(place for key, value in inner for place in places(value, (*before, key)))]


@st.composite
def spoilt(draw: st.DrawFn, data: dict[str, Any]) -> Any:
    """Data of which a part is something else, or has another name."""
    new = json.loads(json.dumps(data))
    for place in draw(st.lists(st.sampled_from(places(data)), min_size=1, max_size=3)):
        value = draw(VALUES)
        if not place:
            return value
        there = new
        for key in place[:-1]:
            try:
                there = there[key]
            except (KeyError, IndexError, TypeError):
                break
        else:
            if isinstance(there, dict):
                name = draw(st.one_of(st.just(place[-1]), st.text(max_size=8), st.integers()))
                there[name] = there.pop(place[-1], None) if name != place[-1] else value
    return new


REPORTED = st.one_of(st.none(), VALUES)


def text_of(data: Any) -> str:
    """Return YAML of anything, also of what cannot be written as UTF-8."""
    return yaml.safe_dump(data, allow_unicode=False)


TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from([
        "workers", ": ", "\n", "- ", "[", "]", "{", "}", "&a ", "*a", "!!python/object:x ", "!!int ", "'",
        '"', "|\n ", "? ",
        "<<: ", "%YAML 1.1\n", "---\n", "...\n", "#", "\t", "  ", "0x", "1_0", "2026-13-45", "1:60",
        ".inf", "~", "\\x",
    ]), max_size=14).map("".join),
)  # fmt: skip


@given(st.one_of(spoilt(SITE).map(text_of), TEXTS))
@example("a: 2026-13-45")
@example("policy: {pattern: {include: 5.5}}")
@example("a: !!int ''")
@example("!!map [1]")
@example("{a: *a}")
@example("extends: site.yaml")
@example('extends: "a\\0b"')
@example("extends: /dev/zero")
def test_a_site_file_is_read_or_refused(sandbox: Path, text: str) -> None:
    path = sandbox / "site.yaml"
    path.write_text(text, errors="surrogatepass")
    with taken_or_refused():
        load_site_file(path)


@given(st.one_of(spoilt(RAPID).map(text_of), TEXTS))
@example('pipelines: [{pipeline: "p.yaml\\0"}]')
@example("pipelines: [{pipeline: ''}]")
@example("pipelines: [{pipeline: ..}]")
def test_a_rapid_file_is_read_or_refused(sandbox: Path, text: str) -> None:
    (sandbox / "p.yaml").write_text("description: x\n")
    (sandbox / "p.rapid.yaml").write_text(text, errors="surrogatepass")
    with taken_or_refused():
        load_rapid_file(sandbox / "p.yaml")


@given(st.binary(max_size=100))
def test_a_file_of_anything_is_read_or_refused(sandbox: Path, content: bytes) -> None:
    path = sandbox / "bytes.yaml"
    path.write_bytes(content)
    with taken_or_refused():
        load_site_file(path)


@given(st.one_of(st.binary(max_size=60), VALUES.map(lambda value: json.dumps(value).encode())))
@example(b"[" * 100_000)
@example(b'{"a": 1e400}')
@example(b"1" * 5000)
def test_json_is_read_or_refused(text: bytes) -> None:
    with taken_or_refused():
        read_json(text, "it")


@given(REPORTED, REPORTED)
@settings(max_examples=settings.default.max_examples // 4)
def test_a_report_is_one_or_is_refused(sandbox: Path, one: Any, other: Any) -> None:
    summary = {
        "exposures": 1, "shards": {"done": 1}, "missing": 0, "refused_files": 0, "datasets_committed": 1,
        "warm_up_seconds": 1.0, "overhead_ms": {}, "latency_ms": {}, "no_worker_free_ms": {},
        "file_closed_to_committed_ms": {},
    }  # fmt: skip
    shard = {
        "pipeline": "p",
        "step": "s",
        "data_id": {"exposure": 1},
        "outcome": "done",
        "times": Times().model_dump(),
    }
    report: dict[str, Any] = {
        "version": "1", "repo": "r", "pipeline": "p", "instrument": ["LSSTCam"], "inputs": [],
        "output": "o", "runs": [],
        "started": 1.0, "ended": 2.0, "workers": 1, "summary": summary, "shards": [shard],
    }  # fmt: skip
    for there, key, value in ((report, "repo", one), (shard["times"], "finished", other)):
        if value is not None:
            there[key] = value
    path = sandbox / "report.json"
    path.write_text(json.dumps(report))
    done = CliRunner().invoke(main, ["report", str(path)])
    assert done.exit_code in (0, 2), done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
