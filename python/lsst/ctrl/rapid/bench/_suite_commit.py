"""How many datasets a second are registered, and by how many connections."""

from __future__ import annotations

__all__ = ("run",)

import contextlib
import queue
import threading
import time
from collections.abc import Iterator, Sequence

from lsst.daf.butler import Butler

from ..commit import Committed, Committer, RawItem, RunItem, ShardItem
from ._model import Findings, Goal, Row, Series, SuiteSettings, Tell
from ._peers import ExecutorPeer
from ._products import ProductMaker, Products, content_of
from ._raws import TinyCamera, TinyRaw, science_detectors
from ._server import DatabaseServer
from ._site import Site, make_ingestor, open_site, register_raws
from ._trial import DATABASES

_EXPOSURES = 3
_PUTS = 20
"""Detectors whose products a full butler puts one by one."""
_REPETITIONS = 3
_WORKERS = (1, 2, 4)
_LOOK_SECONDS = 0.002
_UNIT = "datasets/s"
_OURS, _TRANSFER, _PUT = "(e) committer", "upstream's transfer_from", "a full butler's put"


def run(settings: SuiteSettings, tell: Tell) -> Findings:
    """Measure our committer, and a full butler's ``transfer_from`` and ``put``.

    Parameters
    ----------
    settings
        What was asked for.
    tell
        Takes a line on each thing that is done.
    """
    detectors = science_detectors()[:3] if settings.quick else science_detectors()
    repetitions = settings.repetitions or (1 if settings.quick else _REPETITIONS)
    rows: list[Row] = []
    goals: list[Goal] = []
    versions: dict[str, str] = {}
    for database in settings.databases:
        where = DATABASES[database]
        with open_site(settings.work_dir / f"commit-{database}", database, detectors) as site:
            versions |= site.versions
            camera = TinyCamera(settings.work_dir / f"commit-{database}" / "raws")
            found = _compare(site, camera, detectors, repetitions, tell)
            rows += [
                Row(what=what, where=where, columns={"registered": series}) for what, series in found.items()
            ]
            if site.server is None:
                continue
            rate = found[_OURS].median
            goals.append(
                Goal(name=f"registered, {where}", bound="least", target=2000, value=rate, unit=_UNIT)
            )
            for workers in _WORKERS[:1] if settings.quick else _WORKERS:
                tell(f"{where}: writing connections, {workers} worker(s).")
                writers = _count_writers(site, site.server, workers, camera.take(detectors))
                rows.append(
                    Row(
                        what=f"(e) rapid-exec, {workers} worker(s)",
                        where=where,
                        columns={"writing connections": Series(unit="", values=(writers,))},
                    )
                )
                name = f"writing connections, {workers} worker(s)"
                goals.append(Goal(name=name, bound="most", target=1, value=writers, unit=""))
    return Findings(
        rows=tuple(rows),
        goals=tuple(goals),
        notes=_notes(len(detectors)),
        settings={"repetitions": str(repetitions), "detectors": str(len(detectors))},
        versions=versions,
    )


def _notes(detectors: int) -> tuple[str, ...]:
    """Return what a reader must know."""
    ours = (
        f"Committer: {_EXPOSURES} exposures of {detectors} raws; of each dimension records, six products, "
        "which are on disk already, and an outcome, whose file it writes itself."
    )
    transfer = "transfer_from: the products of one exposure in one call; dimension records are there before."
    put = (
        f"put: the products of {min(_PUTS, detectors)} detectors, one by one, files included; dimension "
        "records are there before."
    )
    writers = (
        "Writing connections: clients in pg_stat_activity that had a transaction ID while an exposure was "
        f"processed, looked at every {1e3 * _LOOK_SECONDS:g} ms."
    )
    return ours, transfer, put, writers


def _compare(
    site: Site, camera: TinyCamera, detectors: Sequence[int], repetitions: int, tell: Tell
) -> dict[str, Series]:
    """Return datasets a second of each way, interleaved."""
    found: dict[str, list[float]] = {_OURS: [], _TRANSFER: [], _PUT: []}
    with contextlib.ExitStack() as stack:
        ours, theirs = site.copy("committer"), site.copy("upstream")
        makers = [stack.enter_context(ProductMaker(one)) for one in (ours, theirs)]
        committing = stack.enter_context(_committing(makers[0]))
        butler = stack.enter_context(theirs.open(run="bench/upstream", writeable=True))
        ingestor = make_ingestor(butler)
        for number in range(repetitions):
            tell(f"{DATABASES[site.database]}: repetition {number + 1} of {repetitions}.")
            exposures = [camera.take(detectors) for _ in range(_EXPOSURES)]
            found[_OURS].append(committing.rate([makers[0].make(raws, committing.run) for raws in exposures]))
            register_raws(butler, ingestor, exposures[0])
            found[_TRANSFER].append(_transfer(butler, makers[1].make(exposures[0], "bench/upstream")))
            register_raws(butler, ingestor, exposures[1][:_PUTS])
            found[_PUT].append(_put(butler, makers[1].make(exposures[1][:_PUTS], "elsewhere")))
    return {what: Series(unit=_UNIT, values=tuple(values)) for what, values in found.items()}


class _Committing:
    """Our committer, with a RUN that is made.

    Parameters
    ----------
    maker
        Makes its registrar.
    """

    run = "bench/committer/day/tiny"

    def __init__(self, maker: ProductMaker) -> None:
        self._told: queue.SimpleQueue[Committed] = queue.SimpleQueue()
        self.committer = Committer(lambda: maker.registrar("bench/committer"), self._told.put)

    def make_run(self, item: RunItem) -> None:
        """Have a RUN made before anything is measured."""
        self.committer.submit(item)
        self._wait(1)

    def rate(self, products: Sequence[Products]) -> float:
        """Register products, raws first, and return how many datasets it did a second."""
        items: list[RawItem | ShardItem] = []
        for one in products:
            items += [*one.raws, *one.shards]
        started = time.monotonic()
        for item in items:
            self.committer.submit(item)
        self._wait(len(items))
        return sum(one.datasets for one in products) / (time.monotonic() - started)

    def _wait(self, count: int) -> None:
        for _ in range(count):
            if (told := self._told.get()).error:
                raise RuntimeError(f"The committer could not register {told.item}: {told.error}")


@contextlib.contextmanager
def _committing(maker: ProductMaker) -> Iterator[_Committing]:
    committing = _Committing(maker)
    committing.committer.start()
    try:
        committing.make_run(maker.run_item(committing.run))
        yield committing
    finally:
        committing.committer.close()


def _transfer(butler: Butler, products: Products) -> float:
    started = time.monotonic()
    done = butler.transfer_from(products.butler, products.refs)
    return len(done) / (time.monotonic() - started)


def _put(butler: Butler, products: Products) -> float:
    started = time.monotonic()
    for ref in products.refs:
        butler.put(content_of(ref.datasetType), ref.datasetType, ref.dataId)
    return len(products.refs) / (time.monotonic() - started)


def _count_writers(site: Site, server: DatabaseServer, workers: int, raws: Sequence[TinyRaw]) -> float:
    """Return how many connections wrote while the executor processed an exposure."""
    repository = site.copy(f"workers-{workers}")
    database = site.registry(repository.name)
    peer = ExecutorPeer(repository, workers)
    try:
        peer.start()
        given = peer.prepare(raws)
        with _looking(server, database) as writers:
            peer.process(given)
    finally:
        peer.close()
    return float(len(writers))


@contextlib.contextmanager
def _looking(server: DatabaseServer, database: str) -> Iterator[set[int]]:
    """Collect the process IDs of connections that write, until the context is left."""
    writers: set[int] = set()
    end = threading.Event()

    def look() -> None:
        while not end.wait(_LOOK_SECONDS):
            writers.update(server.writers(database))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield writers
    finally:
        end.set()
        thread.join()
