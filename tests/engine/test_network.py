"""Who can reach the workers and their scheduler, where whoever does can run code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import psutil
import pytest
import trustme
from distributed import Client
from distributed.security import Security

from lsst.ctrl.rapid.engine import WorkerPool, WorkerSetup
from lsst.ctrl.rapid.model import InputError, SiteFile, WorkersSpec, parse

NOTHING = WorkerSetup("", (), (), frozenset(), 0.0)


def certificates(folder: Path) -> dict[str, str]:
    """Make an authority, and one certificate of it; returns what a site file says."""
    folder.mkdir()
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "key.pem").chmod(0o600)
    return {name: str(folder / file) for name, file in
            (("ca_file", "ca.pem"), ("cert", "cert.pem"), ("key", "key.pem"))}  # fmt: skip


def security(files: Mapping[str, str]) -> Security:
    """Return what a worker or client elsewhere has."""
    roles = {f"tls_{role}_{name}": files[name] for role in ("worker", "client") for name in ("cert", "key")}
    return Security(tls_ca_file=files["ca_file"], require_encryption=True, **roles)


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, str]:
    return certificates(tmp_path / "tls")


@contextlib.asynccontextmanager
async def pool_of(spec: WorkersSpec) -> AsyncIterator[str]:
    """Start a pool with one process, which is not warmed; yields the scheduler's address."""

    def ignore(*_: object) -> None:
        pass

    pool = WorkerPool(NOTHING, 1, ignore, ignore, ignore, network=spec)
    await pool.open()
    try:
        yield pool._client.scheduler_info()["address"]
    finally:
        await pool.close()


def listening() -> Iterator[str]:
    """Yield the addresses on which this process and all its children listen."""
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            yield from (c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN)


async def client_is_let_in(address: str, credentials: Security | None, within: str) -> bool:
    try:
        async with Client(
            address, security=credentials, asynchronous=True, timeout=within, set_as_default=False
        ) as client:
            await client.scheduler.identity(n_workers=-1)
    except (OSError, TimeoutError, RuntimeError, TypeError):
        return False
    return True


async def worker_is_let_in(address: str, tls: Mapping[str, str], within: str) -> bool:
    """Tell whether a worker in a process of its own, which ends when it is not let in, gets a connection."""
    words = [word for name, path in tls.items() for word in (f"--tls-{name.replace('_', '-')}", path)]
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny",
        "--no-dashboard", "--host", "127.0.0.1", "--death-timeout", within, *words,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert worker.stderr is not None
    try:
        async with asyncio.timeout(60):
            async for line in worker.stderr:
                if b"Registered to:" in line:
                    return True
    finally:
        with contextlib.suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()
    return False


async def let_in(address: str, tls: Mapping[str, str] | None, *, within: str = "2s") -> bool:
    """Tell whether a client and a worker with these credentials get a connection."""
    seen = await client_is_let_in(address, None if tls is None else security(tls), within)
    joined = await worker_is_let_in(address, tls or {}, within)
    assert seen == joined
    return joined


async def test_only_who_has_a_certificate_of_the_same_authority_is_let_in(
    tls: dict[str, str], tmp_path: Path
) -> None:
    site = parse(SiteFile, {"workers": {"count": 1, "tls": tls}}, "site")
    async with pool_of(site.workers) as address:
        assert address.startswith("tls://127.0.0.1:")
        assert set(listening()) == {"127.0.0.1"}
        assert await let_in(address, tls, within="60s")
        refused = await asyncio.gather(
            let_in(address, certificates(tmp_path / "others")),
            let_in(address.replace("tls://", "tcp://"), None),
        )
        assert refused == [False, False]


def test_nothing_listens_wide_without_certificates(tls: dict[str, str]) -> None:
    for host in ("0.0.0.0", "::", "summit.example", "10.0.0.1", ""):
        with pytest.raises(InputError, match=r"workers: host .* needs 'tls' with ca_file, cert and key"):
            parse(SiteFile, {"workers": {"host": host}}, "site")
        assert (
            parse(SiteFile, {"workers": {"host": host or "::", "tls": tls}}, "site").workers.tls is not None
        )
    assert parse(SiteFile, {"workers": 3}, "site").workers == WorkersSpec(count=3)
    assert parse(SiteFile, {}, "site").workers.host == "127.0.0.1"


def test_certificates_that_cannot_be_used_are_told_before_anything_is_started(
    tls: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def start(**wrong: str) -> None:
        spec = parse(WorkersSpec, {"tls": {**tls, **wrong}}, "workers")
        WorkerPool(NOTHING, 1, print, print, print, network=spec)

    with pytest.raises(InputError, match=r"workers\.tls\.key: .*none\.pem: cannot be read: No such file"):
        start(key=str(tmp_path / "none.pem"))
    with pytest.raises(InputError, match=r"workers\.tls: these are not a certificate"):
        start(key=certificates(tmp_path / "others")["key"])
    with pytest.raises(InputError, match=r"workers\.tls: these are not a certificate"):
        start(ca_file=os.devnull)
    Path(tls["key"]).chmod(0o644)
    start()
    assert "can be read by every user of this machine" in caplog.text
