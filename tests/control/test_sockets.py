"""Who has the socket of a work folder: the living, and nobody else."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lsst.ctrl.rapid.control import ControlClient, UnixListener
from lsst.ctrl.rapid.model import InputError
from support.fake_executor import FakeExecutor, Serve
from support.processes import environment

HOLD = """
import sys
from pathlib import Path
from lsst.ctrl.rapid.control import UnixListener
listener = UnixListener(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_one_of_the_living_is_not_taken_and_one_of_the_dead_is(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=rf"another executor runs there \(process {holder.pid}\)"):
            UnixListener(path)
        # It was not touched.
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        holder.kill()
    assert path.is_socket()
    listener = UnixListener(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listener.close()
    assert not path.exists()


def test_what_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.write_text("mine")
    with pytest.raises(InputError, match="this is not a socket"):
        UnixListener(path)
    assert path.read_text() == "mine"
    path.unlink()
    UnixListener(path).close()


async def test_a_path_longer_than_the_system_takes_works(
    serve: Serve, executor: FakeExecutor, tmp_path: Path
) -> None:
    path = tmp_path / ("x" * 120) / "control.sock"
    async with serve(socket=str(path)):
        assert path.is_socket()
        assert (await asyncio.to_thread(ControlClient(path).status)).pid == 4711
    assert not path.exists()


async def test_a_port_that_is_taken_is_refused_and_leaves_nothing(serve: Serve, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="cannot be opened: Address already in use"):
            async with serve(port=taken.getsockname()[1]):
                pass
    assert not (tmp_path / "control.sock").exists()


async def test_where_no_socket_can_be_made_the_run_goes_on(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_sockets_here(self: socket.socket, address: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(socket.socket, "bind", no_sockets_here)
    async with serve():
        assert "no socket can be made here: Operation not permitted" in caplog.text
    with pytest.raises(InputError, match="no socket can be made here"):
        async with serve(socket=str(tmp_path / "named.sock")):
            pass
