"""What is installed with the package besides its modules."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "lsst" / "ctrl" / "rapid"


def test_every_file_that_the_package_reads_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["lsst.ctrl.rapid"]
    installed = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    # The pipelines are behind a link.
    folders = [folder for folder, *_ in os.walk(PACKAGE, followlinks=True)]
    there = {path for folder in folders for path in Path(folder).iterdir() if path.is_file()}
    read = {path for path in there if path.suffix != ".py" and path.parent.name != "__pycache__"}
    assert read == installed
    assert PACKAGE / "resources/pipelines/summit.yaml" in installed
