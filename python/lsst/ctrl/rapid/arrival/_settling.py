"""Files of which the system cannot tell whether they are whole."""

from __future__ import annotations

__all__ = ("Settling",)

import threading
from collections.abc import Callable
from pathlib import Path

_LOOK_SECONDS = 1.0


class Settling:
    """Waits until a file's size and time stay the same from one look to the next.

    Parameters
    ----------
    tell
        Told of each such file.
    before
        Called before each look.
    """

    def __init__(self, tell: Callable[[Path], None], before: Callable[[], None] = lambda: None) -> None:
        self._tell = tell
        self._before = before
        self._looked: dict[Path, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._main, name="settling", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; nothing is told after this returns."""
        self._stopping.set()
        self._thread.join()

    def look_at(self, path: Path) -> None:
        """Tell a file when it has settled."""
        with self._lock:
            self._looked.setdefault(path, (-1, -1))

    def _main(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            self._before()
            with self._lock:
                looked = dict(self._looked)
            for path, before in looked.items():
                try:
                    status = path.stat()
                    now = (status.st_size, status.st_mtime_ns)
                except OSError:
                    now = None
                with self._lock:
                    if now is None or now == before:
                        self._looked.pop(path, None)
                    else:
                        self._looked[path] = now
                if now is not None and now == before:
                    self._tell(path)
