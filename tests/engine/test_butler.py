"""Objects in memory: what is handed out, and what is dropped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from lsst.daf.butler import Butler, ButlerConfig, DatasetRef, DatasetType, StorageClassFactory
from lsst.images import Box, Image

from lsst.ctrl.rapid.datastore import LocalWriter, open_datastore
from lsst.ctrl.rapid.engine._butler import ObjectCache, ShardButler
from lsst.ctrl.rapid.ingest import make_repository


def test_cache_drops_the_least_recently_used() -> None:
    cache = ObjectCache(2.5e6)
    keys = [(uuid4(), "x") for _ in range(3)]
    for key in keys[:2]:
        cache.put(key, np.zeros(125_000))
    assert cache.get(keys[0]) is not None
    cache.put(keys[2], np.zeros(125_000))
    assert cache.get(keys[1]) is None
    assert cache.get(keys[0]) is not None
    assert cache.bytes == 2e6


def test_cache_refuses_what_is_larger_than_itself() -> None:
    cache = ObjectCache(1e3)
    cache.put((uuid4(), "x"), np.zeros(1000))
    assert cache.bytes == 0


class Shop:
    """A datastore with a calibration in it, and butlers for shards on top."""

    def __init__(self, root: Path) -> None:
        self.butler = Butler.from_config(str(root), writeable=True)
        universe = self.butler.dimensions
        self.types = {
            name: DatasetType(name, ["instrument", "detector"], "ImageV2", universe=universe)
            for name in ("calibration", "product")
        }
        config = ButlerConfig(str(root))
        self.datastore = open_datastore(config, universe)
        self.storage_classes = StorageClassFactory()
        self.storage_classes.addFromConfig(config)
        data_id = self.butler.registry.expandDataId(instrument="LATISS", detector=0)
        self.refs = {name: DatasetRef(found, data_id, run="r") for name, found in self.types.items()}
        self.datastore.put(Image(np.ones((4, 4), np.float32)), self.refs["calibration"])
        self.cache = ObjectCache(1e9)

    def shard(self, *shared: str) -> ShardButler:
        return ShardButler(
            [self.refs["calibration"].id, self.refs["product"].id],
            [self.refs["product"].id],
            self.butler.dimensions,
            self.datastore,
            self.storage_classes,
            self.types,
            cached=frozenset({"calibration"}),
            shared=frozenset(shared),
            cache=self.cache,
            writer=LocalWriter(self.datastore),
        )


@pytest.fixture(scope="module")
def empty_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop") / "repo"
    make_repository(root, ["LATISS"])
    return root


@pytest.fixture
def shop(empty_repository: Path, tmp_path: Path) -> Iterator[Shop]:
    found = Shop(shutil.copytree(empty_repository, tmp_path / "repo"))
    yield found
    found.butler.close()


def test_a_task_that_modifies_a_calibration_spoils_it_for_nobody(shop: Shop) -> None:
    first = shop.shard().get(shop.refs["calibration"])
    first.array[...] = 7.0
    assert np.all(shop.shard().get(shop.refs["calibration"]).array == 1.0)


def test_a_shared_calibration_is_read_once_and_not_copied(shop: Shop) -> None:
    first = shop.shard("calibration").get(shop.refs["calibration"])
    second = shop.shard("calibration").getDeferred(shop.refs["calibration"]).get()
    assert first.array is second.array


def test_a_component_comes_from_memory(shop: Shop) -> None:
    butler = shop.shard()
    assert butler.get(shop.refs["calibration"].makeComponentRef("bbox")).shape == (4, 4)


def test_what_is_shared_is_read_once_a_shard(shop: Shop) -> None:
    shop.datastore.put(Image(np.ones((4, 4), np.float32)), shop.refs["product"])
    butler = shop.shard("product")
    assert butler.get(shop.refs["product"], parameters={"bbox": Box.factory[:2, :2]}).bbox.shape == (2, 2)
    first = butler.get(shop.refs["product"])
    assert first.bbox.shape == (4, 4)
    assert butler.get(shop.refs["product"]).array is first.array
    assert shop.shard().get(shop.refs["product"]).array is not first.array


def test_a_product_passes_on_in_memory_and_is_written(shop: Shop) -> None:
    butler = shop.shard()
    image = Image(np.full((4, 4), 2.0, np.float32))
    assert not butler.stored(shop.refs["product"])
    butler.put(image, shop.refs["product"])
    assert butler.stored(shop.refs["product"])
    got = butler.get(shop.refs["product"])
    got.array[...] = 9.0
    assert np.all(butler.get(shop.refs["product"]).array == 2.0)
    assert np.all(shop.datastore.get(shop.refs["product"]).array == 2.0)
    assert butler.written == [shop.refs["product"]]
