"""Nothing half written, and a clear reason, where nothing can be written."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from astropy.io import fits

from lsst.ctrl.rapid.datastore import LocalWriter, StorageError, can_write
from lsst.ctrl.rapid.model import is_full
from lsst.ctrl.rapid.plan import is_away
from support.small_disk import SmallDisk, small_disk

from .conftest import Place
from .test_writer import THINGS, thing


@pytest.fixture
def disk(place: Place) -> Iterator[SmallDisk]:
    """The folder of the RUN of the tests, on a disk of its own."""
    with small_disk(place.root / "a") as disk:
        yield disk


@pytest.mark.parametrize("storage_class", sorted(THINGS))
def test_a_full_disk_is_named_and_nothing_is_left_on_it(
    place: Place, disk: SmallDisk, storage_class: str
) -> None:
    datastore, ref, obj = place.datastore(), place.ref(storage_class), thing(storage_class)
    writer = LocalWriter(datastore)
    disk.fill()
    with pytest.raises(StorageError, match=rf"^No space left on device: {place.root}/a/run/") as caught:
        writer.put(obj, ref)
    assert is_away(caught.value), "the committer tries it again"
    disk.make_room()
    assert place.files() == []
    assert not [path for path in disk.folder.rglob("*") if path.is_file()]
    assert not any(datastore.knows_these([ref]).values())
    assert writer.put(obj, ref)
    assert datastore.exists(ref)


def test_whether_there_is_room_is_tried(place: Place, disk: SmallDisk) -> None:
    folder = str(disk.folder / "run" / "not" / "there" / "yet")
    assert can_write(folder) == ""
    disk.fill()
    assert can_write(folder) == f"No space left on device: {disk.folder}"
    disk.make_room()
    assert can_write(folder) == ""
    assert list(disk.folder.iterdir()) == []


def make_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(path: str, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "makedirs", deny)


def in_the_way(place: Place) -> None:
    (place.root / "a").write_text("a file where the folder should be")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _, monkeypatch: make_read_only(monkeypatch), "Permission denied"),
        (lambda place, _: in_the_way(place), "Not a directory|File exists"),
    ],
    ids=["no permission", "a file in the way"],
)
def test_a_folder_that_cannot_be_written_is_named(
    place: Place, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Place, Any], None], reason: str
) -> None:
    writer = LocalWriter(place.datastore())
    spoil(place, monkeypatch)
    with pytest.raises(StorageError, match=rf"^({reason}): {place.root}/a/run/"):
        writer.put({"a": 1}, place.ref("StructuredDataDict"))


def test_a_folder_that_was_removed_is_made_again(place: Place) -> None:
    writer, ref = LocalWriter(place.datastore()), place.ref("StructuredDataDict", "other")
    writer.put({"a": 1}, place.ref("StructuredDataDict"))
    [folder] = {path.parent for path in (place.root / "a").rglob("*.*")}
    for path in sorted((place.root / "a").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert not folder.exists()
    assert writer.put({"a": 1}, ref)


def test_a_file_that_is_missing_elsewhere_is_no_fault_of_the_disk(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_lazily(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/landing/raw.fits")

    monkeypatch.setattr(os, "replace", read_lazily)
    with pytest.raises(RuntimeError, match="Failed to serialize"):
        LocalWriter(place.datastore()).put({"a": 1}, place.ref("StructuredDataDict"))


def test_what_cannot_be_serialised_is_no_fault_of_the_disk(place: Place) -> None:
    with pytest.raises(RuntimeError, match="Failed to serialize") as caught:
        LocalWriter(place.datastore()).put({"a": object()}, place.ref("StructuredDataDict"))
    assert not isinstance(caught.value, StorageError)
    assert not is_away(caught.value)


def test_what_led_to_an_error_is_found() -> None:
    def write() -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise fits.VerifyError("it could not be written")  # noqa: B904 -- as libraries do

    with pytest.raises(fits.VerifyError) as caught:
        write()
    assert is_full(caught.value)
    assert not is_full(ValueError("it is full"))
