"""The table of the Earth's orientation (UT1) that astropy uses: never waited for, and never a raw's fault."""

from __future__ import annotations

__all__ = ("OrientationTable", "find_table", "use_local_table")

import dataclasses
import logging
import time
import warnings
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from astropy.time import Time
from astropy.utils import iers

from .model import InputError

_LOG = logging.getLogger(__name__)

_UNIX_EPOCH = 40587.0
"""Modified Julian date of 1970-01-01."""
_DAY = 86_400.0

# Columns of ``finals2000A.all``, as its ``ReadMe`` at the IERS says.
_MJD = slice(7, 15)
_POLE_FLAG = 16
_UT1_FLAG = 57
_PREDICTED = "P"

_UT1_GROWTH, _UT1_POWER = 0.00025, 0.75
"""Error of a prediction of UT1 in seconds after so many days: what Bulletin A of the IERS states."""
_ARCSEC_PER_SECOND = 15.0

_HARMLESS_DAYS = 80.0
"""Age of predictions that a run does not mention where the site sets no limit: errors below 0.1 arcsec."""

_REMEDY = (
    "pip install --upgrade astropy-iers-data, or set iers_auto_url = file:///PATH/finals2000A.all in section "
    "[utils.iers.iers] of astropy's configuration (astropy.cfg)"
)


@dataclasses.dataclass(frozen=True)
class OrientationTable:
    """An IERS table, by what matters of it.

    Attributes
    ----------
    file
        Where it is.
    predicted_from
        Modified Julian date from which its values are predictions.
    ends
        Modified Julian date of its last value.
    """

    file: Path
    predicted_from: float
    ends: float

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a file in the format of ``finals2000A.all``.

        Raises
        ------
        InputError
            If it cannot be read, or has no predictions.
        """
        try:
            rows = [row for row in file.read_text(encoding="ascii").splitlines() if row[_UT1_FLAG].strip()]
            predicted = [row for row in rows if _PREDICTED in (row[_UT1_FLAG], row[_POLE_FLAG])]
            return cls(file, float(predicted[0][_MJD]), float(rows[-1][_MJD]))
        except OSError as err:
            raise InputError(f"{file}: cannot be read: {err.strerror}; {_REMEDY}.") from None
        except (ValueError, IndexError):
            raise InputError(f"{file}: this is not an IERS table like finals2000A.all; {_REMEDY}.") from None

    def fault(self, now: float, most_days: float | None) -> str:
        """Return what is wrong with it and what to do, in one line without a full stop; empty if nothing is.

        Parameters
        ----------
        now
            UNIX seconds.
        most_days
            Days for which predictions are used without a word; `None`: for ever.
        """
        mjd = now / _DAY + _UNIX_EPOCH
        age = mjd - self.predicted_from
        if most_days is None or age <= most_days:
            return ""
        if mjd > self.ends:
            return (
                f"the table of the Earth's orientation ended on {_date(self.ends)} ({self.file}): "
                f"hour angles and azimuths that are computed with it may be off by arcseconds; {_REMEDY}"
            )
        arcsec = _ARCSEC_PER_SECOND * _UT1_GROWTH * age**_UT1_POWER
        return (
            f"the Earth's orientation is predicted since {_date(self.predicted_from)}, {age:.0f} days "
            f"({self.file}): hour angles and azimuths that are computed with it may be off by {arcsec:.2f} "
            f"arcsec; {_REMEDY}"
        )


def find_table() -> OrientationTable:
    """Return the table that a run uses: the site's, if astropy's configuration names a local one.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    return OrientationTable.read(_configured() or Path(iers.IERS_A_FILE))


def use_local_table(*, tell: bool = False) -> None:
    """Have this process use the table that is here, however old it is, and never ask the network for another.

    Parameters
    ----------
    tell
        Whether a warning is logged if it is older than the site accepts (``auto_max_age``), or, where the
        site does not say, if it may be wrong by 0.1 arcsec.

    Notes
    -----
    astropy tries for up to 20 s to download a newer table when the predictions are older than its
    ``auto_max_age`` (30 days unless configured otherwise), and then raises an error, by which a raw could
    not be read.
    """
    if tell:
        try:
            accepted = iers.conf.auto_max_age
            if accepted == iers.Conf.auto_max_age.defaultvalue:
                accepted = _HARMLESS_DAYS
            told = find_table().fault(time.time(), accepted)
        except (InputError, TypeError) as err:  # the latter where the site's value is not a number
            told = str(err).rstrip(".")
        if told:
            _LOG.warning("Raws are taken, but %s.", told)
    if _configured() is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                Time.now().ut1  # noqa: B018 -- astropy reads the site's table at the first use
            except (ValueError, OSError) as err:
                _LOG.debug("The site's IERS table is not used as it is: %s", err)
    iers.conf.auto_download = False
    iers.conf.auto_max_age = None


def _configured() -> Path | None:
    """Return the local file that astropy's configuration names in the place of a download."""
    parts = urlsplit(iers.conf.iers_auto_url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _date(mjd: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime((mjd - _UNIX_EPOCH) * _DAY))
