"""How much is tried: little and always the same, or much and each time something else.

``HYPOTHESIS_PROFILE=long`` tries a hundred times as much.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

NO_HANG = datetime.timedelta(seconds=20)
"""Of one example: some milliseconds on an idle machine."""

_COMMON = settings(deadline=NO_HANG, database=None, suppress_health_check=list(HealthCheck))
settings.register_profile("quick", _COMMON, derandomize=True, max_examples=40)
settings.register_profile("long", _COMMON, max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "4000")))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

_CHANGING = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate",
             "os.chmod", "shutil.rmtree", "shutil.move", "shutil.copyfile"}  # fmt: skip
"""What changes a file system, beside opening for writing, as the interpreter tells of it."""

_watched: list[tuple[Path, list[str]]] = []


def _look(event: str, arguments: tuple[object, ...]) -> None:
    if not _watched:
        return
    if event == "open":
        path, _, flags = arguments
        if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        paths: tuple[object, ...] = (path,)
    elif event in _CHANGING:
        paths = arguments[:2] if event != "os.mkdir" else arguments[:1]
    else:
        return
    folder, outside = _watched[-1]
    for path in paths:
        if isinstance(path, str | bytes | os.PathLike):
            where = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 -- a link is looked at, not followed
            # Modules that are imported now for the first time leave what was compiled of them.
            ours = where == str(folder) or where.startswith(f"{folder}{os.sep}")
            if not ours and where != os.devnull and not {"__pycache__", ".hypothesis"} & {*Path(where).parts}:
                outside.append(f"{event} {where}")


sys.addaudithook(_look)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Be in a folder of its own, outside of which nothing is touched."""
    folder = tmp_path_factory.mktemp("sandbox").resolve()
    before = Path.cwd()
    outside: list[str] = []
    os.chdir(folder)
    _watched.append((folder, outside))
    try:
        yield folder
    finally:
        _watched.pop()
        os.chdir(before)
    assert not outside
