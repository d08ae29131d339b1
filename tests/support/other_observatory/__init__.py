"""An instrument of another observatory, as its own package would define it: nothing here is of ours.

HillCam has six detectors in a row without rafts or purposes, filters of its own, one FITS HDU a file, and an
observing day that begins at 20:00 UTC.
"""

from ._instrument import HillCam, HillCamWithMoreFilters, HillSpectrograph
from ._raws import write_raw

__all__ = ("HillCam", "HillCamWithMoreFilters", "HillSpectrograph", "write_raw")
