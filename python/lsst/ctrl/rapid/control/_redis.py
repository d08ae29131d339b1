"""RubinTV's control page: its keys are taken as orders, its cluster page is told what the workers do."""

from __future__ import annotations

__all__ = ("RedisControl",)

import asyncio
import contextlib
import dataclasses
import json
import logging
from typing import TYPE_CHECKING, Any

from ..model import InputError, RedisSpec, read_secret
from ._controllable import NotNowError
from ._desk import ControlDesk
from ._messages import LiveSettings, SetRequest
from ._rubintv import LONGEST_VALUE, NOT_OURS, ORDERS, RESETS, changes_of, read_backs, streams
from ._status import ClusterReport

if TYPE_CHECKING:
    import redis.asyncio

_LOG = logging.getLogger(__name__)

_INTERVAL_SECONDS = 0.5
_ANSWER_SECONDS = 5.0
_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 30.0
_LAST_SECONDS = 1.0
_NO_RESTART = (
    "the executor is not restarted from here; a worker that hangs is replaced by itself, "
    "'rapid-exec control drain' ends the run"
)


class RedisControl:
    """Takes RubinTV's control keys as orders, answers with read-backs, and feeds its cluster page.

    Parameters
    ----------
    spec
        Which server.
    desk
        Carries the orders out.
    interval
        Seconds between two looks.

    Raises
    ------
    InputError
        If the client library or the password is not there.

    Notes
    -----
    An order is taken once at most: a connection that breaks between its being taken and its being read loses
    it, which the missing read-back shows.  A server that is away is tried again, less and less often; nothing
    waits for it.
    """

    def __init__(self, spec: RedisSpec, desk: ControlDesk, *, interval: float = _INTERVAL_SECONDS) -> None:
        self._spec = spec
        self._desk = desk
        self._interval = interval
        self._client = _make_client(spec)
        self._away = False
        self._wait = _FIRST_WAIT_SECONDS
        self._shown: dict[str, str] = {}
        """What was written last by key: read-backs by their canonical value, streams by their content."""
        self._left: dict[str, str] = {}

    async def run(self) -> None:
        """Take orders and tell what is going on until it is cancelled."""
        while True:
            try:
                await self._look()
            except Exception as err:  # noqa: BLE001 -- whatever Redis does must not disturb processing
                self._gone(err)
                await asyncio.sleep(self._wait)
                self._wait = min(2 * self._wait, _LONGEST_WAIT_SECONDS)
            else:
                self._there()
                await asyncio.sleep(self._interval)

    async def close(self) -> None:
        """Tell the cluster page that nobody works any more, if the server answers soon, and disconnect."""
        if not self._away and self._shown:
            now = self._desk.cluster()
            nobody = now.workers.model_copy(update={"warm": 0, "busy": 0})
            gone = dataclasses.replace(now, phase="ended", ended=True, workers=nobody, uncommitted=0)
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_LAST_SECONDS):
                    await self._tell_streams(gone, self._desk.settings)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_LAST_SECONDS):
                await self._client.aclose()

    def _there(self) -> None:
        if self._away or self._wait != _FIRST_WAIT_SECONDS:
            _LOG.info("Redis at %s is back.", self._spec.place)
        self._away = False
        self._wait = _FIRST_WAIT_SECONDS

    def _gone(self, err: Exception) -> None:
        # What comes back may be another server, or the same one without what it knew.
        self._shown.clear()
        if not self._away:
            _LOG.warning(
                "Redis at %s is out of reach (%s: %s); processing goes on, and it is tried again.",
                self._spec.place, type(err).__name__, err,
            )  # fmt: skip
        self._away = True

    async def _look(self) -> None:
        """Take what orders there are, and tell what is new."""
        for key, value in await self._values():
            await self._take(key, value)
        await self._tell_read_backs()
        await self._tell_streams(self._desk.cluster(), self._desk.settings)

    async def _values(self) -> list[tuple[str, str]]:
        """Take the values of our keys away, as far as any of ours could be long, and look at the others'.

        What is no text counts as an order, too: it must not stay, and whoever wrote it is told.
        """
        pipeline = self._client.pipeline(transaction=True)
        for key in (*ORDERS, *RESETS):
            pipeline.getrange(key, 0, LONGEST_VALUE)
            pipeline.delete(key)
        for key in NOT_OURS:
            pipeline.getrange(key, 0, LONGEST_VALUE)
            pipeline.exists(key)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        values, there = answers[::2], answers[1::2]
        if faults := [answer for answer in there if isinstance(answer, Exception)]:
            raise faults[0]
        # What is of another type than text could not be read, but is gone all the same.
        found = zip((*ORDERS, *RESETS, *NOT_OURS), values, there, strict=True)
        return [(key, value if isinstance(value, str) else "") for key, value, is_there in found if is_there]

    async def _take(self, key: str, value: str) -> None:
        through = f"Redis at {self._spec.place}, {key}"
        if key in NOT_OURS:
            if self._left.get(key) != value:
                self._left[key] = value
                _LOG.info("%s is not ours; it is left for whoever it is for.", through)
            return
        if key in RESETS:
            _LOG.warning("%s is refused: %s.", through, _NO_RESTART)
            await self._read_back(key, f"REJECTED: {_NO_RESTART}")
            return
        try:
            changes = changes_of(key, value)
            await self._desk.do(SetRequest(by="RubinTV", changes=changes), through)
        except (InputError, NotNowError) as err:
            _LOG.warning("%s is refused: %s.", through, str(err).rstrip("."))
            answer = f"REJECTED: {err}"
        else:
            # As it was sent: the page looks for it among the values of its menu.
            answer = value
        await self._read_back(key, answer)
        # The answer stays until something changes.
        self._shown[key] = read_backs(self._desk.settings)[key]

    async def _tell_read_backs(self) -> None:
        """Tell what was changed in another way, and how it is at the start."""
        for key, value in read_backs(self._desk.settings).items():
            if self._shown.get(key) != value:
                await self._read_back(key, value)
                self._shown[key] = value

    async def _read_back(self, key: str, value: str) -> None:
        await self._client.set(f"{key}_READBACK", value)

    async def _tell_streams(self, cluster: ClusterReport, settings: LiveSettings) -> None:
        """Tell the cluster page what has changed."""
        told = streams(cluster, settings, self._spec.instrument)
        new = {name: json.dumps(cells) for name, cells in told.items()}
        new = {name: data for name, data in new.items() if self._shown.get(name) != data}
        if not new:
            return
        pipeline = self._client.pipeline(transaction=False)
        for name, data in new.items():
            pipeline.xadd(name, {"data": data}, maxlen=2, approximate=False)
        await pipeline.execute()
        self._shown.update(new)


def _make_client(spec: RedisSpec) -> redis.asyncio.Redis:
    try:
        import redis.asyncio
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise InputError(
            "redis: the package 'redis' is not here: pip install 'lsst-ctrl-rapid[redis]'."
        ) from None
    options: dict[str, Any] = {}
    if spec.password_file is not None:
        options["password"] = read_secret(spec.password_file, "redis.password_file")
    try:
        return redis.asyncio.Redis.from_url(
            spec.url,
            **options,
            decode_responses=True,
            # What is no text is an order that cannot be carried out, not a broken connection.
            encoding_errors="replace",
            socket_timeout=_ANSWER_SECONDS,
            socket_connect_timeout=_ANSWER_SECONDS,
            # Trying again is ours, so that the log says when it goes and comes.
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as err:
        raise InputError(f"redis.url: {err}.") from None
