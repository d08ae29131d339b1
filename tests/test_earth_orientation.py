"""The table of the Earth's orientation: old ones fail nothing, and cost no wait."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from astropy.utils import iers

from lsst.ctrl.rapid._earth_orientation import OrientationTable, find_table
from lsst.ctrl.rapid.model import InputError
from support.processes import environment

BUNDLED = Path(iers.IERS_A_FILE)
DAY = 86_400.0
EPOCH = 40_587.0

SCRIPT = """
import json, socket, sys, warnings
from lsst.ctrl.rapid._earth_orientation import use_local_table

asked = []
def refuse(host, *rest, **more):
    asked.append(host)
    raise OSError("there is no network here")
socket.getaddrinfo = refuse

from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time
import astropy.units as u
if sys.argv[1] == "used":
    use_local_table()
now = Time.now()
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = float(now.delta_ut1_utc)
        SkyCoord(1 * u.deg, 2 * u.deg).transform_to(
            AltAz(obstime=now, location=EarthLocation.from_geodetic(-70.7 * u.deg, -30.2 * u.deg))
        )
except ValueError as err:
    told = str(err).split(".")[0]
print(json.dumps([told, asked]))
"""


def asked(folder: Path, used: str, **configuration: str) -> tuple[object, list[str]]:
    """Compute UT1 of now and an azimuth in a new process, which cannot reach any host."""
    config = folder / "config" / "astropy"
    config.mkdir(parents=True, exist_ok=True)
    (folder / "cache" / "astropy").mkdir(parents=True, exist_ok=True)
    lines = [f"{name} = {value}\n" for name, value in configuration.items()]
    (config / "astropy.cfg").write_text("".join(["[utils.iers.iers]\n", *lines]))
    places = {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, used], env=environment() | places,
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told, hosts = json.loads(done.stdout)
    return told, hosts


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Make a table whose predictions begin a hundred days ago; each row stays as it is but for its flags."""
    begin = time.time() / DAY + EPOCH - 100
    rows = [
        row if float(row[7:15]) < begin else f"{row[:16]}P{row[17:57]}P{row[58:]}"
        for row in BUNDLED.read_text().splitlines()
        if row[57].strip()
    ]
    path = tmp_path / "finals2000A.all"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_the_same_as_astropy_reads() -> None:
    table = iers.IERS_A.open(iers.IERS_A_FILE)
    assert find_table() == OrientationTable(
        BUNDLED, float(table.meta["predictive_mjd"]), float(table["MJD"][-1].value)
    )


def test_astropy_alone_asks_the_network_and_fails(tmp_path: Path) -> None:
    """This is what the others are about; no table is younger than 10 days when it is tested."""
    told, hosts = asked(tmp_path, "not used", auto_max_age="10.0")
    assert "interpolating from IERS_Auto using predictive values" in str(told)
    assert hosts


def test_an_old_table_is_used_without_asking_anybody(tmp_path: Path) -> None:
    told, hosts = asked(tmp_path, "used", auto_max_age="10.0")
    assert isinstance(told, float)
    assert abs(told) < 0.9
    assert hosts == []


def test_a_local_table_of_the_site_takes_precedence(tmp_path: Path) -> None:
    """All its predictions of UT1 are a tenth of a second more, and it goes on for one more year."""
    rows = [row for row in BUNDLED.read_text().splitlines() if row[57].strip()]
    other = tmp_path / "of the site.all"
    changed = [
        f"{row[:58]}{float(row[58:68]) + 0.1:10.7f}{row[68:]}" if row[57] == "P" else row for row in rows
    ]
    last = changed[-1]
    for number in range(1, 366):
        mjd = float(last[7:15]) + number
        date = datetime.date(1858, 11, 17) + datetime.timedelta(mjd)
        changed.append(f"{date:%y}{date.month:2d}{date.day:2d} {mjd:8.2f}{last[15:]}")
    other.write_text("\n".join(changed) + "\n")
    bundled, _ = asked(tmp_path, "used", auto_max_age="10.0")
    ours, hosts = asked(tmp_path, "used", auto_max_age="10.0", iers_auto_url=other.as_uri())
    assert isinstance(ours, float)
    assert isinstance(bundled, float)
    assert ours - bundled == pytest.approx(0.1, abs=0.002)
    assert hosts == []


def test_what_is_told_of_an_old_one(old: Path) -> None:
    table = OrientationTable.read(old)
    now = (table.predicted_from - EPOCH + 100) * DAY
    told = table.fault(now, 30.0)
    since = datetime.datetime.fromtimestamp(now, datetime.UTC) - datetime.timedelta(days=100)
    assert told.startswith(f"the Earth's orientation is predicted since {since:%Y-%m-%d}, 100 days ({old}): ")
    # Bulletin A of the IERS: 0.00025 s times days to the power of 0.75, 7.9 ms; 15 arcsec are a second.
    assert "may be off by 0.12 arcsec" in told
    assert "iers_auto_url = file:///" in told
    assert "[utils.iers.iers]" in told
    assert "\n" not in told
    assert table.fault(now, None) == table.fault(now, 101.0) == ""
    assert "ended on" in table.fault(now + 1000 * DAY, 30.0)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no table\n")
    for name in ("x", "absent"):
        with pytest.raises(InputError, match="iers_auto_url"):
            OrientationTable.read(tmp_path / name)
