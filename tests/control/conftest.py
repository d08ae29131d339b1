"""A server in this process, before an executor that does nothing."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lsst.ctrl.rapid.control import ControlDesk, ControlServer
from lsst.ctrl.rapid.model import ControlSpec, parse
from support.fake_executor import FakeExecutor, Serve


@pytest.fixture
def executor() -> FakeExecutor:
    return FakeExecutor()


@pytest.fixture
def serve(tmp_path: Path, executor: FakeExecutor) -> Serve:
    """Have orders taken, as a site file says."""

    @contextlib.asynccontextmanager
    async def serving(**spec: object) -> AsyncIterator[ControlServer]:
        server = ControlServer(parse(ControlSpec, spec, "site"), tmp_path, ControlDesk(executor))
        server.start()
        try:
            yield server
        finally:
            await server.stop()

    return serving
