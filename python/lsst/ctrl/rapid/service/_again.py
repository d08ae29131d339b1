"""A running executor starts again in its own process, with the code that is on disk now."""

from __future__ import annotations

__all__ = ("check_code", "kept_settings", "start_again")

import asyncio
import json
import os
import sys
from typing import NoReturn

from ..control import LiveSettings
from ..model import InputError
from ..plan import PipelineSource, compile_pipeline, parse_overrides, read_choices
from ._settings import RunSettings

_KEPT = "RAPID_EXEC_SETTINGS"
"""Environment variable with what was changed while the executor ran, for the one that follows."""

_LOAD_SECONDS = 120.0


async def check_code(settings: RunSettings) -> None:
    """Find out in a new process whether the pipelines can be loaded with the code on disk.

    Raises
    ------
    InputError
        If they cannot; the message has the last line of what was said.
    """
    source = settings.source
    told = json.dumps([source.uri, [override.words for override in source.overrides]])
    words = [sys.executable, "-m", __name__, told]
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_LOAD_SECONDS):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        raise InputError(f"the code on disk could not be loaded within {_LOAD_SECONDS:g} s") from None
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines() or ["no reason was told"]
        raise InputError(
            f"the code on disk cannot be loaded, and the run goes on with what it has: {lines[-1]}"
        )


def start_again(live: LiveSettings | None) -> NoReturn:
    """Replace this process by the same command, from its beginning.

    Parameters
    ----------
    live
        What was changed while this one ran, which holds from the start of the next one; `None`: nothing.
    """
    if live is not None:
        os.environ[_KEPT] = live.model_dump_json()
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 -- this very command


def kept_settings() -> LiveSettings | None:
    """Return what was changed in the executor that this one follows, once; `None` if it follows none."""
    kept = os.environ.pop(_KEPT, None)
    if kept is None:
        return None
    return LiveSettings.model_validate_json(kept)


def _load(told: str) -> None:
    """Load a pipeline and its companions, as a start does."""
    uri, words = json.loads(told)
    for source in read_choices(PipelineSource.parse(uri, parse_overrides(words))).sources:
        compile_pipeline(source, None)


if __name__ == "__main__":
    try:
        _load(*sys.argv[1:])
    except InputError as err:
        sys.exit(str(err))
