"""What errors say of a registry."""

from __future__ import annotations

__all__ = ("is_away",)

import sqlalchemy.exc

from ..model import is_full


def is_away(err: BaseException) -> bool:
    """Tell whether an error says that the registry cannot be reached, so that the same may work later.

    A connection that is cut while it waits for an answer is told by the plain class of database errors.
    """
    if is_full(err):  # the place where it writes, which is no fault of what was to be written
        return True
    lost = isinstance(err, sqlalchemy.exc.DBAPIError) and err.connection_invalidated
    return lost or isinstance(err, sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError)
