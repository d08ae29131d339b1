"""What is refused of a watched folder before it is opened: names and links."""

from __future__ import annotations

__all__ = ("Door",)

import errno
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from ..instruments import RefusedError

LONGEST_URI = 256
"""Room that the middleware's tables have for the place of a file."""

_MISREAD = re.compile(r"#|%[0-9A-Fa-f]{2}")
"""What the middleware does not take for a part of a name: a mark between file and fragment, and an escape."""


class Door:
    """Refuses files by their names, and links that lead elsewhere.

    Parameters
    ----------
    folders
        The watched folders.
    link_targets
        Other folders into which symbolic links may lead.
    in_place
        Whether raws are registered where they are, under their own names.

    Notes
    -----
    What a link leads to may be replaced, or removed, by somebody who does not know that it is a raw here; so
    it has to be in a folder that was named.
    """

    def __init__(self, folders: Sequence[Path], link_targets: Sequence[Path] = (), *, in_place: bool) -> None:
        self._roots = [Path(os.path.realpath(folder)) for folder in (*folders, *link_targets)]
        self._in_place = in_place

    def check(self, path: Path) -> None:
        """Check a file that has come.

        Raises
        ------
        RefusedError
            If its name is not UTF-8, has control characters, is too long or would be misread, or it is a
            symbolic link that leads nowhere, in a circle, or out of the folders that were named.
        OSError
            If it is not there, or cannot be looked at.
        """
        try:
            os.fspath(path).encode()
        except UnicodeEncodeError:
            raise RefusedError("its name is not UTF-8, so it cannot be registered; rename it") from None
        if any(unicodedata.category(c) == "Cc" for c in path.name):
            raise RefusedError("its name has control characters; rename it")
        if misread := _MISREAD.search(os.fspath(path)):
            raise RefusedError(
                f"its path has {misread[0]!r}, which the middleware does not take for a part of a name; "
                "rename it"
            )
        if self._in_place and (length := len(path.as_uri())) > LONGEST_URI:
            raise RefusedError(
                f"its path has {length} characters as the repository writes it, and {LONGEST_URI} is the most"
            )
        if path.is_symlink():
            self._check_link(path)

    def _check_link(self, path: Path) -> None:
        try:
            target = Path(os.path.realpath(path, strict=True))
        except OSError as err:
            if err.errno == errno.ELOOP:
                raise RefusedError("it is a symbolic link that leads in a circle") from None
            if err.errno == errno.ENOENT and os.path.lexists(path):
                raise RefusedError(
                    f"it is a symbolic link to {path.readlink()}, which is not there; link it again when it "
                    "is"
                ) from None
            raise
        if not any(target.is_relative_to(root) for root in self._roots):
            raise RefusedError(
                f"it is a symbolic link to {target}, outside the watched folders; name the folder under "
                "'link_targets' in the site file, or link it hard"
            )
