"""One executor an output: the second is refused, and nothing is left of one that was killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Event

import psycopg2
import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.commit import Committer, OutputTakenError, take_output
from lsst.ctrl.rapid.model import InputError

SECONDS = 60


def _take_and_wait(repo: str, has: Event) -> None:
    with Butler.from_config(repo) as butler:
        lock = take_output(butler, repo, "mine")
        lock.check()
        has.set()
        time.sleep(SECONDS)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_output_is_free_as_soon_as_its_holder_is_killed(bench) -> None:
    context = multiprocessing.get_context("fork")
    has = context.Event()
    holder = context.Process(target=_take_and_wait, args=(bench.repo, has), daemon=True)
    holder.start()
    assert has.wait(SECONDS)
    with Butler.from_config(bench.repo) as butler:
        with pytest.raises(
            InputError, match=rf"another executor writes to output 'mine' \(process {holder.pid} on "
        ):
            take_output(butler, bench.repo, "mine")
        take_output(butler, bench.repo, "another").close()
        assert holder.pid is not None
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()
        lock = take_output(butler, bench.repo, "mine")
        lock.close()
        take_output(butler, bench.repo, "mine").close()


def test_a_lock_whose_connection_was_cut_is_taken_again_unless_somebody_was_faster(
    on_postgresql, server
) -> None:
    def cut() -> None:
        with contextlib.closing(psycopg2.connect(server.get_uri())) as admin, admin.cursor() as cursor:
            cursor.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                           "WHERE application_name LIKE 'rapid-exec %'")  # fmt: skip
            assert cursor.fetchone() == (1,)

    with Butler.from_config(on_postgresql.repo) as butler:
        lock = take_output(butler, on_postgresql.repo, "cut")
        cut()
        lock.check()
        with pytest.raises(InputError, match="another executor"):
            take_output(butler, on_postgresql.repo, "cut")
        cut()
        other = take_output(butler, on_postgresql.repo, "cut")
        with pytest.raises(OutputTakenError, match="another executor writes to output 'cut'"):
            lock.check()
        other.close()
        lock.close()


def test_nothing_is_registered_into_an_output_that_is_somebody_elses(on_sqlite, tmp_path) -> None:
    """What has ended is kept: it is ours, and whoever has the output now may be stopped again."""
    bench, taken, broken = on_sqlite, [False], []

    def check() -> None:
        if taken[0]:
            raise OutputTakenError("another executor writes to output 'out'")

    def make():
        registrar = bench.registrar()
        registrar._check_output = check
        return registrar

    committer = Committer(
        make, lambda _: None, interval=0.01, spool=bench.spool(tmp_path / "spool"), on_broken=broken.append
    )
    committer.start()
    taken[0] = True
    committer.submit(bench.shard(188))
    committer.close()
    assert [type(error) for error in broken] == [OutputTakenError]
    assert committer.left == (1, 1)
    assert 188 not in bench.registered("*")
