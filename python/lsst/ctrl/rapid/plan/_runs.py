"""Names of the RUNs that the executor writes."""

from __future__ import annotations

__all__ = ("day_chain", "partial_chain", "payload_hash", "run_name", "run_parts")

import hashlib
import importlib
import json
from pathlib import Path

from lsst.pipe.base.pipeline_graph import PipelineGraph

from .._frame import PIXEL_FRAME


def payload_hash(graph: PipelineGraph) -> str:
    """Return a short hash of a pipeline, its configs, its payloads' versions and code, and the pixel frame.

    A change of any of them gives another RUN, so that one RUN never mixes two of them.  Versions of other
    packages do not count: a RUN may be continued after the environment was updated.  The code of a payload is
    that of the Python files in the folder of its module.
    """
    digest = hashlib.sha256(PIXEL_FRAME.encode())
    for label, node in sorted(graph.tasks.items()):
        config = node.config.saveToString(skipImports=True)  # type: ignore[no-untyped-call]  # upstream is untyped
        name = node.task_class_name
        identity = [label, name, config, _version(name), _code(name.rpartition(".")[0])]
        digest.update(json.dumps(identity).encode())
    return digest.hexdigest()[:8]


def run_name(output: str, day_obs: int, pipeline: str, short_hash: str) -> str:
    """Return the name of the RUN for one observing day of one pipeline."""
    return f"{output}/{day_obs}/{pipeline}-{short_hash}"


def run_parts(run: str) -> tuple[str, str]:
    """Return the name of the pipeline and the hash in the name of a RUN, as `run_name` made it."""
    pipeline, _, short_hash = run.rpartition("/")[2].rpartition("-")
    return pipeline, short_hash


def day_chain(output: str, day_obs: int) -> str:
    """Return the chain of the RUNs of one observing day, the newest first."""
    return f"{output}/{day_obs}"


def partial_chain(output: str) -> str:
    """Return the chain of the RUNs of partial gathers, which are below it; it is an input of nothing."""
    return f"{output}/partial"


def _version(class_name: str) -> str:
    """Return the version of the package that a task class comes from, or ``""`` where it has none."""
    package = class_name.rpartition(".")[0]
    while package:
        module = importlib.import_module(package)
        if isinstance(version := getattr(module, "__version__", None), str):
            return version
        package = package.rpartition(".")[0]
    return ""


def _code(module: str) -> str:
    """Return a hash of the Python files beside a module, or ``""`` where it is of no file."""
    file = importlib.import_module(module).__file__ if module else None
    if file is None:
        return ""
    digest = hashlib.sha256()
    for path in sorted(Path(file).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
