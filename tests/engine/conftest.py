"""A repository with four detectors, and pipelines of mock tasks on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lsst.pipe.base.tests.mocks import DirectButlerRepo


@pytest.fixture
def mock_repo() -> Iterator[tuple[DirectButlerRepo, str]]:
    """Upstream's test repository: instrument Cam1 with detectors 1 to 4; and its root."""
    with DirectButlerRepo.make_temporary("base.yaml") as (repo, root):
        yield repo, root
