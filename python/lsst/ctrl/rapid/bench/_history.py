"""A registry with years behind it: one exposure that was processed, cloned in SQL."""

# ruff: noqa: S608 -- what is put into statements are names of tables and columns, and numbers

from __future__ import annotations

__all__ = ("EXPOSURES_A_DAY", "count_datasets", "day_before", "fill")

import datetime
import math
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from lsst.daf.butler import Butler, CollectionType, Timespan

from ._model import Tell

EXPOSURES_A_DAY = 6
"""Few, so that there are many RUNs and repositories of all sizes have the same on their newest days."""

_DAY_NS = 86_400_000_000_000
_SLOT_NS = 40_000_000_000

_OF_RUNS = 2**33
"""Greater than the number of any clone: begins the IDs of what a RUN has one of."""

_COLUMNS_OF_NO_DATA_ID = 3
"""Columns of a table that associates datasets with collections, and with no data ID."""

_OF_VISITS = (
    "visit_system_membership",
    "visit_detector_region",
    "visit_skypix_overlap",
    "visit_detector_region_skypix_overlap",
)


def count_datasets(butler: Butler) -> int:
    """Return how many datasets a repository has, of all types."""
    with _engine(butler).connect() as connection:
        count: int = connection.execute(sa.text("SELECT count(*) FROM dataset")).scalar_one()
        return count


def fill(repository: str, instrument: str, exposure: int, output: str, datasets: int, tell: Tell) -> int:
    """Clone an exposure that the executor has processed until the repository has so many datasets.

    Parameters
    ----------
    repository
        The repository; nobody else writes into it.
    instrument, exposure
        The exposure that is cloned, in all: dimension records, visit, raws, and whatever is below ``output``.
    output
        The chain below which the RUNs of its day are.
    datasets
        How many datasets there are to be, at least.
    tell
        Takes a line on what is done.

    Returns
    -------
    count
        Number of exposures that were made.

    Notes
    -----
    The clones are of the days before, each with RUNs and a chain of its own; no files are made: clones
    share those of the exposure that they are of, and its place in the sky.  What is inserted is what a butler
    would have inserted, by one statement a table.
    """
    with Butler.from_config(repository, writeable=True) as butler:
        there = count_datasets(butler)
        clone = _Clone(butler, instrument, exposure, output)
        each = clone.datasets
        exposures = max(0, math.ceil((datasets - there) / each))
        if not exposures:
            return 0
        tell(f"{exposures} exposures of {each} datasets are entered into the registry, which has {there}.")
        clone.make(exposures)
    return exposures


class _Clone:
    """What is known of the exposure that is cloned.

    Parameters
    ----------
    butler
        The repository, writeable.
    instrument, exposure, output
        As for `fill`.
    """

    def __init__(self, butler: Butler, instrument: str, exposure: int, output: str) -> None:
        self._butler = butler
        self._engine = _engine(butler)
        self._instrument, self._exposure = instrument, exposure
        self._day = exposure // 100_000
        self._prefix = f"{output}/{self._day}/"
        self._output = output
        self._runs = list(butler.collections.query(f"{self._prefix}*", collection_types=CollectionType.RUN))
        with self._engine.connect() as connection:
            self._tables: Mapping[str, Sequence[str]] = {
                name: [column["name"] for column in sa.inspect(connection).get_columns(name)]
                for name in sa.inspect(connection).get_table_names()
            }
            self._ids = {
                name: connection.execute(
                    sa.text("SELECT collection_id FROM collection WHERE name = :name"), {"name": name}
                ).scalar_one()
                for name in self._runs
            }
            self._tags = [name for name in self._tables if name.startswith("dataset_tags_")]
            self._of_exposure = [
                (table, column)
                for table in self._tags
                for column in ("exposure", "visit")
                if column in self._tables[table]
            ]
            self.datasets: int = sum(
                connection.execute(
                    sa.text(f'SELECT count(*) FROM "{table}" WHERE {column} = :e AND instrument = :i'),
                    {"e": exposure, "i": instrument},
                ).scalar_one()
                for table, column in self._of_exposure
            )

    def make(self, exposures: int) -> None:
        """Make so many clones."""
        night = [self._clone_of(number) for number in range(exposures)]
        days = sorted({int(one["day"]) for one in night}, reverse=True)
        runs = self._make_runs(days)
        with self._engine.begin() as connection:
            if self._is_postgresql:
                # Keys to other tables are right by construction; checking each takes three times as long.
                connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
            self._describe(connection, night, runs)
            self._clone_dimensions(connection)
            self._clone_datasets(connection)
            for table in ("h", "r", "m", "ids"):
                connection.execute(sa.text(f"DROP TABLE scale_{table}"))
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("ANALYZE"))

    @property
    def _is_postgresql(self) -> bool:
        return self._engine.dialect.name == "postgresql"

    def _clone_of(self, number: int) -> dict[str, int | str]:
        """Return what is other in a clone: older ones have greater numbers."""
        back, seq = number // EXPOSURES_A_DAY + 1, number % EXPOSURES_A_DAY + 1
        day = day_before(self._day, back)
        return {
            "i": number + 1,
            "day": day,
            "exposure": day * 100_000 + seq,
            "name": f"scale_{day}_{seq:06}",
            "seq": seq,
            "shift": -back * _DAY_NS + seq * _SLOT_NS,
        }

    def _make_runs(self, days: Sequence[int]) -> list[dict[str, int]]:
        """Register days, RUNs and chains; returns which RUN stands for which on which day."""
        butler = self._butler
        [model] = butler.query_dimension_records("day_obs", instrument=self._instrument, day_obs=self._day)
        made = []
        for number, day in enumerate(days):
            shift = (_date(day) - _date(self._day)).days * _DAY_NS
            span = model.timespan
            moved = span and Timespan(None, None, _nsec=(span.nsec[0] + shift, span.nsec[1] + shift))
            butler.registry.syncDimensionData(
                "day_obs", {"instrument": self._instrument, "id": day, "timespan": moved}
            )
            names = []
            for run in self._runs:
                name = f"{self._output}/{day}/{run.removeprefix(self._prefix)}"
                butler.collections.register(name, CollectionType.RUN)
                names.append(name)
                made.append({"n": number, "day": day, "old": self._ids[run], "new": self._id(name)})
            chain = f"{self._output}/{day}"
            if butler.collections.register(chain, CollectionType.CHAINED):
                butler.collections.redefine_chain(chain, names)
        return made

    def _id(self, collection: str) -> int:
        with self._engine.connect() as connection:
            found = connection.execute(
                sa.text("SELECT collection_id FROM collection WHERE name = :name"), {"name": collection}
            )
            return int(found.scalar_one())

    def _describe(
        self,
        connection: sa.Connection,
        night: Sequence[Mapping[str, int | str]],
        runs: Sequence[Mapping[str, int]],
    ) -> None:
        """Make temporary tables: clones (h), their RUNs (r), what is cloned (m), and its new IDs (ids)."""

        def run(statement: str, rows: Sequence[Mapping[str, int | str]] | None = None) -> None:
            connection.execute(sa.text(statement), rows)

        run(
            "CREATE TEMP TABLE scale_h"
            " (i BIGINT, day BIGINT, exposure BIGINT, name TEXT, seq BIGINT, shift BIGINT)"
        )
        run("INSERT INTO scale_h VALUES (:i, :day, :exposure, :name, :seq, :shift)", night)
        run('CREATE TEMP TABLE scale_r (n BIGINT, day BIGINT, "old" BIGINT, "new" BIGINT)')
        run("INSERT INTO scale_r VALUES (:n, :day, :old, :new)", runs)
        for table, columns in self._tables.items():
            if table.startswith("collection_summary_"):
                other = next(name for name in columns if name != "collection_id")
                run(
                    f'INSERT INTO "{table}" (collection_id, "{other}") SELECT r."new", s."{other}"'
                    f' FROM "{table}" s JOIN scale_r r ON r."old" = s.collection_id'
                )
        of_exposure = " UNION ".join(
            f'SELECT dataset_id, 1 AS of_exposure FROM "{table}" WHERE {column} = {self._exposure}'
            for table, column in self._of_exposure
        )
        of_run = " UNION ".join(
            f'SELECT dataset_id, 0 AS of_exposure FROM "{table}"'
            ' WHERE collection_id IN (SELECT "old" FROM scale_r)'
            for table in self._tags
            if len(self._tables[table]) == _COLUMNS_OF_NO_DATA_ID
        )
        run(
            "CREATE TEMP TABLE scale_m AS SELECT row_number() OVER (ORDER BY dataset_id) AS k, found.*"
            f" FROM ({of_exposure} UNION {of_run}) AS found"
        )
        run(
            f"CREATE TEMP TABLE scale_ids AS SELECT d.id AS old_id, {self._new_id('h.i')} AS new_id, h.i,"
            ' d.run_id AS old_run, COALESCE(r."new", d.run_id) AS new_run, h.exposure, h.shift'
            " FROM scale_m m JOIN dataset d ON d.id = m.dataset_id CROSS JOIN scale_h h"
            ' LEFT JOIN scale_r r ON r."old" = d.run_id AND r.day = h.day WHERE m.of_exposure = 1'
            f' UNION ALL SELECT d.id, {self._new_id(f"r.n + {_OF_RUNS}")}, r.n, d.run_id, r."new", 0, 0'
            " FROM scale_m m JOIN dataset d ON d.id = m.dataset_id"
            ' JOIN scale_r r ON r."old" = d.run_id WHERE m.of_exposure = 0'
        )

    def _new_id(self, prefix: str) -> str:
        """Return an expression for a UUID, of a clone's number and a dataset's: version 7, in order."""
        end = "8000000000000000"
        if self._is_postgresql:
            return f"(lpad(to_hex({prefix}), 12, '0') || '7' || lpad(to_hex(m.k), 3, '0') || '{end}')::uuid"
        return f"(printf('%012x', {prefix}) || '7' || printf('%03x', m.k) || '{end}')"

    def _clone_dimensions(self, connection: sa.Connection) -> None:
        """Clone the exposure and its visit, with its regions."""
        time = {
            "timespan_begin": "m.timespan_begin + h.shift",
            "timespan_end": "m.timespan_end + h.shift",
            "timespan": "int8range(lower(m.timespan) + h.shift, upper(m.timespan) + h.shift)",
        }
        of_day = {"day_obs": "h.day", "seq_num": "h.seq", "seq_start": "h.seq", "seq_end": "h.seq", **time}
        groups = f"SELECT '{self._instrument}', h.name FROM scale_h h"
        connection.execute(sa.text(f'INSERT INTO "group" (instrument, name) {groups}'))

        def insert(table: str, key: str, other: Mapping[str, str]) -> None:
            where = f"m.instrument = '{self._instrument}' AND m.{key} = {self._exposure}"
            self._insert(connection, table, "scale_h h", where, {key: "h.exposure", **other})

        insert("exposure", "id", {"group": "h.name", "obs_id": "h.name", **of_day})
        insert("visit", "id", {"name": "h.name", **of_day})
        for table in _OF_VISITS:
            insert(table, "visit", {})
        insert("visit_definition", "exposure", {"visit": "h.exposure"})

    def _clone_datasets(self, connection: sa.Connection) -> None:
        """Clone the datasets: themselves, their data IDs, and where their files are."""

        def insert(table: str, where: str, other: Mapping[str, str]) -> None:
            self._insert(connection, table, "scale_ids h", where, other)

        ids, of_exposure = {"dataset_id": "h.new_id"}, {"exposure": "h.exposure", "visit": "h.exposure"}
        moved = {"id": "h.new_id", "run_id": "h.new_run", "ingest_date": "m.ingest_date + h.shift"}
        insert("dataset", "m.id = h.old_id", moved)
        for table in self._tags:
            where = "m.dataset_id = h.old_id AND m.collection_id = h.old_run"
            insert(table, where, {**ids, "collection_id": "h.new_run", **of_exposure})
        for table in ("dataset_location", "file_datastore_records"):
            insert(table, "m.dataset_id = h.old_id", ids)

    def _insert(
        self, connection: sa.Connection, table: str, beside: str, where: str, other: Mapping[str, str]
    ) -> None:
        """Insert clones of a table's rows, with other values in some columns."""
        columns = self._tables[table]
        names = ", ".join(f'"{name}"' for name in columns)
        values = ", ".join(other.get(name, f'm."{name}"') for name in columns)
        connection.execute(
            sa.text(
                f'INSERT INTO "{table}" ({names})'
                f' SELECT {values} FROM "{table}" m, {beside} WHERE {where} ORDER BY h.i'
            )
        )


def day_before(day: int, days: int = 1) -> int:
    """Return the observing day so many days before another."""
    return int((_date(day) - datetime.timedelta(days)).strftime("%Y%m%d"))


def _date(day: int) -> datetime.date:
    return datetime.date(day // 10_000, day // 100 % 100, day % 100)


def _engine(butler: Butler) -> sa.Engine:
    engine: sa.Engine = butler._registry._db._engine  # type: ignore[attr-defined]  # noqa: SLF001 -- no other way in
    return engine
