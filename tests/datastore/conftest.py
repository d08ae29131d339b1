"""A repository, and its datastore opened without the registry: upstream's way and ours."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsst.daf.butler import Butler, ButlerConfig, DatasetRef, DatasetType
from lsst.daf.butler.datastores.fileDatastore import FileDatastore

from lsst.ctrl.rapid.datastore import open_datastore
from lsst.ctrl.rapid.ingest import make_repository


class Place:
    """One empty repository."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = ButlerConfig(str(root))
        self.butler = Butler.from_config(str(root), writeable=True)
        self.data_id = self.butler.registry.expandDataId(instrument="LATISS", detector=0)

    def datastore(self, **formatters: str) -> FileDatastore:
        found = open_datastore(self.config, self.butler.dimensions, formatters)
        assert isinstance(found, FileDatastore)
        return found

    def ref(self, storage_class: str, name: str = "thing") -> DatasetRef:
        dataset_type = DatasetType(
            name, ["instrument", "detector"], storage_class, universe=self.butler.dimensions
        )
        return DatasetRef(dataset_type, self.data_id, run="a/run")

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in (self.root / "a").rglob("*.*"))


@pytest.fixture(scope="session")
def empty_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("datastore") / "repo"
    make_repository(root, ["LATISS"])
    return root


@pytest.fixture
def place(empty_repository: Path, tmp_path: Path) -> Iterator[Place]:
    shutil.copytree(empty_repository, tmp_path / "repo")
    found = Place(tmp_path / "repo")
    yield found
    found.butler.close()
