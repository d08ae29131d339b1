"""Names out of a repository that become names of files: they stay in their folder."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from lsst.ctrl.rapid.model import Shard
from lsst.ctrl.rapid.publish import FolderPublisher

NAMES = st.one_of(
    st.text(min_size=1, max_size=20),
    st.lists(st.sampled_from(["..", "/", ".", "~", "\x00", "\n", "a"]), min_size=1, max_size=6).map("".join),
)


@given(NAMES, NAMES, st.sampled_from(["", ".fits", ".x y", ".\n"]))
@example("../../../../x", "..", ".png")
@example("LSSTCam", "quick_mosaic", ".fits")
def test_what_is_published_stays_in_its_folder(
    sandbox: Path, instrument: str, dataset_type: str, suffix: str
) -> None:
    source = sandbox / f"source{suffix}"
    source.write_text("x")
    publisher = FolderPublisher(sandbox / "published")
    path = publisher.publish(Shard("p", "s", instrument, 1, 2), 20261122, dataset_type, source)
    assert path.resolve().is_relative_to(sandbox / "published" / "20261122")
    assert path.read_text() == "x"
