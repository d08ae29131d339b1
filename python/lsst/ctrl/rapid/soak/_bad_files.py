"""Files that are no raws, dropped where raws land."""

from __future__ import annotations

__all__ = ("drop_bad_files",)

import hashlib
import random
import time
from pathlib import Path

from ..model import AnnouncedFile


def drop_bad_files(landing: Path, manifest: Path, chance: random.Random) -> list[Path]:
    """Write a truncated raw, an empty file and a text into a landing folder; returns their paths.

    Parameters
    ----------
    landing
        The folder; the truncated raw is of one that is there, if there is any.
    manifest
        Has a line for each before it is visible.
    chance
        Which raw, and how much of it.
    """
    folder = landing / "bad"
    folder.mkdir(exist_ok=True)
    number = len(list(folder.iterdir()))
    contents = {"empty": b"", "text": b"This is no raw.\n"}
    if raws := sorted(path for path in landing.glob("2*/*/*.fits") if path.is_file()):
        whole = chance.choice(raws).read_bytes()
        contents["truncated"] = whole[: chance.randrange(1, len(whole))]
    written = []
    for kind, content in contents.items():
        path = folder / f"{number:05d}_{kind}.fits"
        number += 1
        line = AnnouncedFile(
            path=str(path.absolute()),
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            fault=kind,
            time=time.time(),
        )
        with manifest.open("a") as stream:
            stream.write(line.model_dump_json() + "\n")
        path.write_bytes(content)
        written.append(path)
    return written
