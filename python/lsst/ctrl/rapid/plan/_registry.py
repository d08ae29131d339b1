"""A registry that fails: what its errors say, connections that notice, RUNs that are made at once or not."""

from __future__ import annotations

__all__ = ("is_away", "notice_lost_servers", "register_run")

from typing import Any

import sqlalchemy.event
import sqlalchemy.exc

from lsst.daf.butler import Butler, CollectionType

from ..model import is_full

_READ_ONLY = "25006"
"""PostgreSQL: the server is a standby, or becomes one."""

_PATIENCE: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""Without these a client waits for hours for a server whose machine is gone (libpq's names and units)."""


def is_away(err: BaseException) -> bool:
    """Tell whether an error says that the registry cannot be reached, so that the same may work later.

    A connection that is cut while it waits for an answer is told by the plain class of database errors; what
    is done with it afterwards, by errors of their own, which have that one as cause or context.
    """
    if is_full(err):  # the place where it writes, which is no fault of what was to be written
        return True
    if isinstance(err, sqlalchemy.exc.PendingRollbackError | sqlalchemy.exc.ResourceClosedError):
        before = err.__cause__ or err.__context__
        return before is None or is_away(before)
    if isinstance(err, sqlalchemy.exc.DBAPIError):
        standby = getattr(err.orig, "pgcode", None) == _READ_ONLY
        lost = err.connection_invalidated
        kind = isinstance(err, sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError)
        return kind or lost or standby
    return isinstance(err, sqlalchemy.exc.TimeoutError)


def notice_lost_servers() -> None:
    """Have all connections to PostgreSQL that this process opens from now on fail when their server is gone.

    What the repository's connection string says takes precedence.
    """
    if not sqlalchemy.event.contains(sqlalchemy.Engine, "do_connect", _be_attentive):
        sqlalchemy.event.listen(sqlalchemy.Engine, "do_connect", _be_attentive)


def register_run(butler: Butler, run: str, doc: str | None = None) -> None:
    """Make a RUN, if there is none of that name.

    Parameters
    ----------
    butler
        A writing butler.
    run
        The name.
    doc
        Documentation of the collection; one that is there already keeps its own.

    Notes
    -----
    Upstream writes a RUN to two tables, one after the other.  A process that is killed in between would leave
    a RUN that nothing can ever be registered in, and that says so of each dataset.
    """
    with butler.transaction():
        butler.collections.register(run, CollectionType.RUN, doc)


def _be_attentive(dialect: Any, record: object, words: list[Any], options: dict[str, Any]) -> None:  # noqa: ARG001 -- SQLAlchemy's signature
    if dialect.name == "postgresql" and dialect.driver in {"psycopg2", "psycopg"}:
        for name, value in _PATIENCE.items():
            options.setdefault(name, value)
