"""Runs commands in processes that are forked from one which has imported them.

A new interpreter's imports take 4 s of CPU time, more than most of what the tests do with a command.  What is
forked has a session, an environment, a working directory and a ``sys.path`` of its own, and ends as a program
does.  That a new interpreter does the same, some tests show (`support.processes.rapid_exec_anew`).
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

import setproctitle

from support.installed import remember_packages

type ProgramName = Literal["rapid-exec", "pipetask"]

_MESSAGE = 1 << 17
_ALONE = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""A process with threads must not be forked; these keep libraries from starting any when they are loaded."""


@dataclasses.dataclass(frozen=True)
class Program:
    """A command that may be forked.

    Attributes
    ----------
    command
        What a new interpreter would be given to run it.
    main
        Module and name of the function that it is.
    imports
        Modules that are there before it begins.
    """

    command: tuple[str, ...]
    main: tuple[str, str]
    imports: tuple[str, ...]


_PROGRAMS: Mapping[str, Program] = {
    "rapid-exec": Program(
        ("-m", "lsst.ctrl.rapid.cli"),
        ("lsst.ctrl.rapid.cli", "main"),
        ("lsst.ctrl.rapid.cli._run", "lsst.ctrl.rapid.cli._forked"),
    ),
    "pipetask": Program(
        (str(Path(sys.executable).with_name("pipetask")),),
        ("lsst.ctrl.mpexec.cli.pipetask", "main"),
        # Nothing of ours: a payload must not need the executor.
        ("lsst.ctrl.mpexec.cli.cmd", "lsst.daf.butler.formatters.parquet"),
    ),
}


class ForkedProcess:
    """A running command; it has what the tests use of `subprocess.Popen`.

    Attributes
    ----------
    pid
        Its process, which leads a session of its own.
    returncode
        How it ended, negative if a signal killed it; `None` until `poll` or `wait` found that it has.
    """

    def __init__(self, told: IO[str]) -> None:
        self._told = told
        self.pid = int(told.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return how it ended, or `None`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return how it ended."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            self.returncode = int(self._told.readline())
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def fork(
    program: ProgramName,
    arguments: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    out: IO[Any],
    err: IO[Any],
) -> ForkedProcess:
    """Start a command.

    Parameters
    ----------
    program, arguments
        Its command line.
    cwd, environment
        Where it runs, and with what.
    out, err
        Files that it writes to.
    """
    message = json.dumps([list(arguments), str(cwd), dict(environment)]).encode()
    assert len(message) < _MESSAGE
    reading, writing = os.pipe()
    socket.send_fds(_parent(program), [message], [out.fileno(), err.fileno(), writing])
    os.close(writing)
    return ForkedProcess(os.fdopen(reading))


@functools.cache
def _parent(program: str) -> socket.socket:
    """Start the process from which a command is forked; returns what it is told by, and ends with."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    root = Path(__file__).parents[2]
    path = os.pathsep.join(map(str, [root / "python", root / "tests"]))
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, program, str(there.fileno())],
        pass_fds=[there.fileno()], start_new_session=True, stdin=subprocess.DEVNULL,
        env={**os.environ, **_ALONE, "PYTHONPATH": path},
    )  # fmt: skip
    there.close()
    atexit.register(process.wait)
    atexit.register(here.close)
    return here


def _serve(program: Program, orders: socket.socket) -> Any:
    """Fork a process for each order until nobody is there to give any; a forked one returns its exit code."""
    gc.disable()
    for name in program.imports:
        importlib.import_module(name)
    remember_packages()
    gc.freeze()
    gc.enable()
    setproctitle.getproctitle()  # it has to look for its place before the environment is changed
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process with threads must not be forked"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, (*files,), _, _ = socket.recv_fds(orders, _MESSAGE, 3)
        if not message:
            return 0
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            orders.detach()
            out, err, told = files
            if pid := os.fork():
                _watch(pid, told)
            return _become(program, *json.loads(message), out, err)
        for file in files:
            os.close(file)


def _watch(pid: int, told: int) -> NoReturn:
    """Tell which process it is, and how it ended."""
    os.write(told, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(
    program: Program, arguments: list[str], cwd: str, environment: dict[str, str], out: int, err: int
) -> Any:
    """Be the program, with what a new process would have."""
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    paths = [cwd, *environment.get("PYTHONPATH", "").split(os.pathsep)]
    sys.path[:] = [*paths, *(path for path in sys.path if path not in paths)]
    sys.orig_argv[:] = [sys.executable, *program.command, *arguments]
    sys.argv[:] = [program.command[-1], *arguments]
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # otherwise all that are forked would draw the same
    module, name = program.main
    return getattr(importlib.import_module(module), name)()


if __name__ == "__main__":
    sys.exit(_serve(_PROGRAMS[sys.argv[1]], socket.socket(fileno=int(sys.argv[2]))))
