"""Test cases, and the JUnit XML that continuous integration reads."""

from __future__ import annotations

__all__ = ("Case", "write_junit")

import dataclasses
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, like the escape sequences of coloured logs."""


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One thing that was checked.

    Attributes
    ----------
    pipeline, step
        Where; the step is empty where a pipeline runs whole.
    name
        What: usually the label of a task.
    seconds
        How long it took.
    failure
        What is wrong, in one line; empty when all is well.
    details
        What helps to mend it: the command, the tail of the log.
    skipped
        Why it was not checked; empty when it was.
    """

    pipeline: str
    step: str
    name: str
    seconds: float = 0.0
    failure: str = ""
    details: str = ""
    skipped: str = ""


def write_junit(cases: Sequence[Case], path: Path) -> None:
    """Write cases as JUnit XML; whoever reads it sees the whole file or the one before.

    Parameters
    ----------
    cases
        In the order of their pipelines: each pipeline is a test suite.
    path
        File to write; its folder is created.
    """
    root = ET.Element("testsuites", _counts(cases))
    for pipeline, group in itertools.groupby(cases, key=lambda case: case.pipeline):
        members = list(group)
        suite = ET.SubElement(root, "testsuite", {"name": pipeline} | _counts(members))
        for case in members:
            _add(suite, case)
    ET.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    ET.ElementTree(root).write(part, encoding="utf-8", xml_declaration=True)
    part.replace(path)


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(sum(bool(case.failure) for case in cases)),
        "errors": "0",
        "skipped": str(sum(bool(case.skipped) for case in cases)),
        "time": f"{sum(case.seconds for case in cases):.3f}",
    }


def _add(suite: ET.Element, case: Case) -> None:
    where = ".".join(part for part in (case.pipeline, case.step) if part)
    element = ET.SubElement(
        suite, "testcase", {"classname": where, "name": case.name, "time": f"{case.seconds:.3f}"}
    )
    if case.failure:
        failure = ET.SubElement(element, "failure", {"message": _clean(case.failure)})
        failure.text = _clean(case.details)
    elif case.skipped:
        ET.SubElement(element, "skipped", {"message": _clean(case.skipped)})


def _clean(text: str) -> str:
    return _NOT_XML.sub("�", text)
