"""The process from which workers are forked."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import ctypes, gc, json, multiprocessing, os, signal, sys, threading

import psutil

from lsst.ctrl.rapid._startup import fork_server_from_here


def was_mapped_apart(size):
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = type("Info", (ctypes.Structure,), {
        "_fields_": [(str(number), ctypes.c_size_t) for number in range(10)]
    })
    libc.malloc.restype = ctypes.c_void_p
    before = getattr(libc.mallinfo2(), "3")
    libc.malloc(ctypes.c_size_t(size))
    return getattr(libc.mallinfo2(), "3") > before


def tell(connection):
    connection.send({
        "found": getattr(sys, "made_by_the_head", None),
        "server": os.getppid(),
        "threads_of_server": len(os.listdir(f"/proc/{os.getppid()}/task")),
        "called": open("/proc/self/cmdline").read().strip("\\0"),
        "open": os.path.exists(f"/proc/self/fd/{sys.argv[1]}"),
        "threads": os.environ["OMP_NUM_THREADS"],
        "mapped_apart": was_mapped_apart(100 << 20),
        "interrupts": signal.getsignal(signal.SIGINT) is not signal.SIG_IGN,
        "collected": gc.isenabled(),
    })


if __name__ == "__main__":
    sys.made_by_the_head = "yes"
    file = open("/dev/null")
    os.dup2(file.fileno(), int(sys.argv[1]))
    if sys.argv[2] == "threads":
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    gc.disable()
    fork_server_from_here(["json"])
    there, here = multiprocessing.Pipe()
    worker = multiprocessing.get_context("forkserver").Process(target=tell, args=(here,))
    worker.start()
    told = there.recv()
    told["in_head"] = os.environ.get("OMP_NUM_THREADS")
    told["others"] = [
        [word for word in child.cmdline() if "import" in word][0].split(";")[0]
        for child in psutil.Process().children() if child.pid != told["server"]
    ]
    print(json.dumps(told), flush=True)
    worker.join()
    sys.stdin.read()
"""

OPEN = 50


@pytest.mark.parametrize("threads", ["no threads", "threads"])
def test_workers_are_forked_from_what_is_there_and_are_like_new_processes(
    tmp_path: Path, threads: str
) -> None:
    told = _run(tmp_path, threads)
    # A process that has threads must not be forked.
    forked = threads == "no threads"
    assert told.pop("found") == ("yes" if forked else None)
    # Who stops the head by its name must not hit the workers.
    called = told.pop("called")
    assert called == "rapid-worker" if forked else "forkserver" in called
    assert told == {
        "threads_of_server": 1,
        "open": False,
        "threads": "1",
        "mapped_apart": False,
        "interrupts": False,
        "collected": True,
        "in_head": None,
        "others": ["from multiprocessing.resource_tracker import main"],
    }


def _run(folder: Path, threads: str) -> dict[str, Any]:
    """Run the script, and see that the server ends when it has ended."""
    script = folder / "head.py"
    script.write_text(SCRIPT)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP", "MALLOC"))
    }
    with subprocess.Popen(
        [sys.executable, script, str(OPEN), threads],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as head:
        assert head.stdin is not None
        assert head.stdout is not None
        told: dict[str, Any] = json.loads(head.stdout.readline())
        server = os.pidfd_open(told.pop("server"))
        try:
            assert not select.select([server], [], [], 0)[0]
            head.stdin.close()
            assert select.select([server], [], [], 60)[0], "The server outlives the process that started it."
        finally:
            os.close(server)
    assert head.returncode == 0
    return told
