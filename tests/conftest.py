"""Fixtures that every test may use."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsst.daf.butler import StorageClassDelegate, StorageClassFactory

from lsst.ctrl.rapid.instruments import WITHOUT_STACK, has_full_stack
from support import afw_stand_in

_LONG = {"test_fidelity.py", "test_graph_executor.py", "test_peers.py", "test_scale.py", "test_warmup.py"}
"""Files beside those of whole commands whose tests take long together."""

_EARLY = {"test_refused.py", "test_full_disk.py"}
"""Files whose tests read the log; after tests of ``doctor`` in the same process they miss lines of it."""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real raws, headers and camera tables; tests that need it skip where it is absent."""
    root = os.environ.get("RAPID_SHARED")
    folder = (Path(root) if root else Path(__file__).parents[1].parent / "shared") / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real raws and headers is not beside the project")
    return folder


@pytest.fixture(autouse=True)
def log_level_of_the_package() -> None:
    """Have no command that a test or a fixture runs in this process leave its log levels to a test."""
    for name in ("lsst", "lsst.ctrl.rapid"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def stack_absence(request: pytest.FixtureRequest) -> None:
    """Skip a test that has the marker ``stack_absent`` where the full stack can be imported."""
    if request.node.get_closest_marker("stack_absent") and importlib.util.find_spec("lsst.afw"):
        pytest.skip("the full stack can be imported")


@pytest.fixture
def full_stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use the full stack in a test and in processes that it starts; skip where it cannot be imported."""
    pytest.importorskip("lsst.obs.lsst")
    monkeypatch.delenv(WITHOUT_STACK)
    has_full_stack.cache_clear()
    yield
    has_full_stack.cache_clear()


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have upstream's storage classes of afw's types be of the stand-ins while a test runs."""
    factory = StorageClassFactory()
    for name, pytype in afw_stand_in.STORAGE_CLASSES.items():
        storage_class = factory.getStorageClass(name)
        monkeypatch.setattr(storage_class, "_pytype", pytype)
        monkeypatch.setattr(storage_class, "_delegate", StorageClassDelegate)
    monkeypatch.setattr(afw_stand_in.StandInFormatter, "reads", [])
    monkeypatch.setattr(afw_stand_in.StandInFormatter, "kept", {})


def pytest_configure() -> None:
    """Prepare this process, and those that tests start.

    Interrupts are taken, which shells have ignored by what they start in the background.  The full stack is
    left aside where it can be imported: tests of it are in the folder ``stack``.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault(WITHOUT_STACK, "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take long, so that no process is left with one of them at the end."""
    items.sort(key=lambda item: "system" not in item.path.parts and item.path.name not in _LONG | _EARLY)
