"""Objects that cannot be copied, that nothing can modify, or of which Python does not see the content."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lsst.daf.butler import Butler, ButlerConfig, DatasetRef, DatasetType, StorageClassFactory

from lsst.ctrl.rapid.datastore import LocalWriter, open_datastore
from lsst.ctrl.rapid.engine._butler import ObjectCache, ShardButler
from lsst.ctrl.rapid.engine._sizes import memory_size
from lsst.ctrl.rapid.instruments import LsstCamSim, RawImage, repository_config
from support import afw_stand_in as afw

pytestmark = pytest.mark.usefixtures("stand_ins")

READS = afw.StandInFormatter


class Shop:
    """A datastore in which a dataset of each kind is, and butlers of shards on it."""

    def __init__(self, root: Path) -> None:
        config = repository_config()
        for name in (*afw.STORAGE_CLASSES, "StructuredDataDict"):
            config["datastore", "formatters", name] = "support.afw_stand_in.StandInFormatter"
        Butler.makeRepo(str(root), config=config)
        self.butler = Butler.from_config(str(root), writeable=True)
        LsstCamSim().register(self.butler.registry)
        config = ButlerConfig(str(root))
        self.universe = self.butler.dimensions
        self.datastore = open_datastore(config, self.universe)
        self.storage_classes = StorageClassFactory()
        self.cache = ObjectCache(1e9)
        self.types: dict[str, DatasetType] = {}
        self.refs: dict[str, DatasetRef] = {}
        self.data_id = self.butler.registry.expandDataId(instrument="LSSTCamSim", detector=94)

    def add(self, name: str, storage_class: str, made: Any = None) -> DatasetRef:
        """Return a dataset; it is stored where there is something to store."""
        dimensions = ["instrument", "detector"]
        self.types[name] = DatasetType(name, dimensions, storage_class, universe=self.universe)
        self.refs[name] = DatasetRef(self.types[name], self.data_id, run="r")
        if made is not None:
            self.datastore.put(made, self.refs[name])
        return self.refs[name]

    def shard(self, *, cached: str = "", shared: str = "", repeated: bool = False) -> ShardButler:
        ids = [ref.id for ref in self.refs.values()]
        return ShardButler(
            ids, ids, self.universe, self.datastore, self.storage_classes, self.types,
            cached=frozenset([cached]), shared=frozenset([shared]), cache=self.cache,
            writer=LocalWriter(self.datastore), repeated=frozenset(ids if repeated else []),
        )  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    found = Shop(tmp_path / "repo")
    yield found
    found.butler.close()


def _detector() -> afw.Detector:
    return afw.Detector(94, "R22_S11", afw.Box2I(0, 0, 1, 1), [])


@pytest.mark.parametrize(
    ("storage_class", "made"), [("Camera", lambda: afw.Camera("c")), ("Detector", _detector)]
)
def test_what_nothing_can_modify_is_read_once_and_shared(shop: Shop, storage_class: str, made: Any) -> None:
    ref = shop.add("fixed", storage_class, made())
    first = shop.shard(cached="fixed").get(ref)
    butler = shop.shard(cached="fixed")
    assert butler.get(ref) is first
    assert butler.getDeferred(ref).get() is first
    assert READS.reads == ["fixed"]


@pytest.mark.parametrize(
    ("storage_class", "made"),
    [
        ("Defects", lambda: afw.Defects([1, 2])),
        ("StructuredDataDict", lambda: {"camera": afw.Camera("c")}),
    ],
)
def test_what_cannot_be_copied_is_read_for_each_task(shop: Shop, storage_class: str, made: Any) -> None:
    READS.reads.clear()
    ref = shop.add("odd", storage_class, {} if storage_class != "Defects" else afw.Defects())
    READS.kept[str(ref.id)] = made
    taken = [shop.shard(cached="odd").get(ref), *(shop.shard(cached="odd").get(ref) for _ in range(2))]
    assert len({id(obj) for obj in taken}) == 3
    assert READS.reads == ["odd"] * 3
    assert shop.cache.bytes == 0
    # Where the pipeline says that no task modifies it, one is enough.
    first = shop.shard(cached="odd", shared="odd").get(ref)
    assert shop.shard(cached="odd", shared="odd").get(ref) is first


def test_what_can_be_copied_is_read_once_and_copied(shop: Shop) -> None:
    ref = shop.add("none", "Defects", afw.Defects())
    first = shop.shard(cached="none").get(ref)
    first.append(1)
    assert shop.shard(cached="none").get(ref) == []
    assert READS.reads == ["none"]


def test_a_product_that_cannot_be_copied_passes_on_by_its_file(shop: Shop) -> None:
    ref = shop.add("made", "Defects")
    butler = shop.shard()
    made = afw.Defects([1, 2])
    butler.put(made, ref)
    READS.kept[str(ref.id)] = lambda: afw.Defects(made)
    assert butler.stored(ref)
    one, other = butler.get(ref), butler.get(ref)
    assert one == other == made
    assert one is not made
    assert one is not other
    assert READS.reads == ["made", "made"]


def test_an_exposure_is_copied(shop: Shop) -> None:
    ref = shop.add("bias", "ExposureF", afw.ExposureF(np.ones((4, 5)), detector=_detector()))
    first, second = (shop.shard(cached="bias").get(ref) for _ in range(2))
    assert first is not second
    assert first.getDetector() is second.getDetector()
    assert READS.reads == ["bias"]


def _raw() -> afw.ExposureF:
    box = afw.Box2I(0, 0, 3, 1)
    amplifier = afw.Amplifier(
        "A", afw.Box2I(0, 0, 1, 1), box, afw.Box2I(0, 0, 1, 1), afw.Box2I(2, 0, 3, 1),
        afw.Box2I(0, 0, -1, -1), afw.Box2I(0, 0, -1, -1), afw.Extent2I(0, 0),
        False, False, afw.ReadoutCorner.LL, 1.0, 5.0, 1e5,
    )  # fmt: skip
    detector = afw.Detector(94, "R22_S11", afw.Box2I(0, 0, 1, 1), [amplifier])
    return afw.ExposureF(np.arange(8.0).reshape(2, 4), detector=detector)


def test_a_converted_raw_that_several_tasks_read_is_read_once(shop: Shop) -> None:
    whole = shop.add("raw", "Exposure", _raw())
    ref = whole.overrideStorageClass("RapidRaw")
    butler = shop.shard(shared="raw")
    first = butler.get(ref)
    assert isinstance(first, RawImage)
    assert butler.get(whole, storageClass="RapidRaw") is first
    assert butler.getDeferred(ref).get() is first
    assert READS.reads == ["raw"]

    copied = shop.shard(repeated=True)
    first = copied.get(ref)
    first.segments[0].array[...] = 9
    assert copied.get(ref).segments[0].array[0, 1] == 1
    assert READS.reads == ["raw"] * 2

    plain = shop.shard()
    assert plain.get(ref) is not plain.get(ref)
    assert READS.reads == ["raw"] * 4


def test_a_shared_exposure_is_converted_in_memory_and_once(shop: Shop) -> None:
    whole = shop.add("raw", "Exposure", _raw())
    butler = shop.shard(shared="raw")
    exposure = butler.get(whole)
    raw = butler.get(whole.overrideStorageClass("RapidRaw"))
    assert butler.get(whole.overrideStorageClass("RapidRaw")) is raw
    assert butler.get(whole) is exposure
    assert READS.reads == ["raw"]


def test_a_converted_calibration_stays_in_memory_without_its_other_planes(shop: Shop) -> None:
    whole = shop.add("bias", "ExposureF", afw.ExposureF(np.ones((1000, 500))))
    ref = whole.overrideStorageClass("ImageV2")
    first = shop.shard(cached="bias", shared="bias").get(ref)
    assert shop.shard(cached="bias", shared="bias").get(ref) is first
    assert READS.reads == ["bias"]
    assert 2e6 <= shop.cache.bytes < 2.1e6
    # Another task reads it as it is stored.
    shop.shard(cached="bias").get(whole)
    assert 8e6 <= shop.cache.bytes < 8.2e6


def test_sizes_are_those_of_the_content_or_of_the_file() -> None:
    assert memory_size(afw.ExposureF(np.zeros((1000, 500)))) == pytest.approx(6e6, rel=0.01)
    assert memory_size(afw.Camera("c"), stored=5_000_000) == 5_000_000

    class Crosstalk:
        """Values in attributes, some behind others."""

        def __init__(self) -> None:
            self.coefficients = np.zeros((500, 500))
            self.view = self.coefficients[:10]
            self.by_amplifier = {"C00": {"valid": np.ones((100, 100), bool)}}
            self.log = logging.getLogger("x")

    assert memory_size(Crosstalk(), stored=48) == pytest.approx(2_010_000, rel=0.01)


def test_the_cache_counts_what_the_datastore_knows(shop: Shop) -> None:
    ref = shop.add("camera", "Camera", afw.Camera("c"))
    shop.shard(cached="camera").get(ref)
    assert shop.cache.bytes == 5000
