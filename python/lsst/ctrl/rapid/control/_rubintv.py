"""RubinTV's words: its control keys and their values, and what its cluster page is told."""

from __future__ import annotations

__all__ = ("LONGEST_VALUE", "NOT_OURS", "ORDERS", "RESETS", "changes_of", "read_backs", "streams")

from collections.abc import Mapping

from ..model import InputError, PatternSpec, Vary, parse
from ._messages import Changes, LiveSettings
from ._status import ClusterReport, DetectorLoad, WorkersLine

_PREFIX = "RUBINTV_CONTROL_"
CHIP_SELECTION = f"{_PREFIX}CHIP_SELECTION"
VISIT_PROCESSING_MODE = f"{_PREFIX}VISIT_PROCESSING_MODE"

ORDERS = (CHIP_SELECTION, VISIT_PROCESSING_MODE)
"""Keys whose values change what is processed."""

RESETS = tuple(
    f"{_PREFIX}RESET_{name}"
    for name in ("HEAD_NODE", "SFM_SET_0", "SFM_SET_1", "SFM_STEP1B_SET_0", "SPAREWORKERS_SET_0")
)
"""Keys that ask for a restart of what stands for us on the page."""

NOT_OURS = (f"{_PREFIX}AOS_PIPELINE",)
"""Keys that are left to whoever runs the active optics."""

LONGEST_VALUE = 100
"""Letters of an order; what has more is none."""

_VARY = {
    "constant": Vary.FIXED,
    "fixed": Vary.FIXED,
    "alternating": Vary.ALTERNATING,
    "alternating_by_twos": Vary.ALTERNATING_BY_TWOS,
    "alternating_in_twos": Vary.ALTERNATING_BY_TWOS,
}
"""The page's menu says ``in``, Rapid Analysis's own name says ``by``."""

_VARY_ON_THE_PAGE = {
    Vary.FIXED: "constant",
    Vary.ALTERNATING: "alternating",
    Vary.ALTERNATING_BY_TWOS: "alternating_in_twos",
}


def changes_of(key: str, value: str) -> Changes:
    """Return what a control key's value asks for, in whatever case it is written.

    Raises
    ------
    InputError
        If it is none of the values.
    """
    told = value.strip().lower().replace(" ", "_")
    if not told or len(told) > LONGEST_VALUE:
        raise InputError(f"its value is not a text of 1 to {LONGEST_VALUE} letters")
    if key == CHIP_SELECTION:
        return Changes(pattern=parse(PatternSpec, [told], "the pattern"))
    vary = _VARY.get(told.replace("-", "_"))
    if vary is None:
        raise InputError(f"{told!r} is not one of {', '.join(_VARY)}")
    return Changes(vary=vary)


def read_backs(settings: LiveSettings) -> Mapping[str, str]:
    """Return the values that control keys have now, as the page's menus write them."""
    pattern = settings.policy.pattern
    return {
        CHIP_SELECTION: str(pattern.model_copy(update={"vary": Vary.FIXED})),
        VISIT_PROCESSING_MODE: _VARY_ON_THE_PAGE[pattern.vary],
    }


type _Cells = dict[str, dict[str, str]]


def streams(cluster: ClusterReport, settings: LiveSettings, instrument: str | None) -> Mapping[str, _Cells]:
    """Return what the cluster page is told, by stream.

    Parameters
    ----------
    cluster
        What the workers do.
    settings
        What is shown beside it.
    instrument
        Whose detectors are shown; the first LSSTCam if `None`.

    Notes
    -----
    The page has a worker for each detector, we have some for all.  So a detector's cell tells what there is
    to do of it; the cells of spare workers are our worker processes; one cell of step 1b stands for all
    gathers.
    """
    workers = cluster.workers
    return {
        "stream:CLUSTER_STATUS_SFM_SET_0": {
            str(detector): _cell(_load(load, cluster))
            for detector, load in sorted(_shown(cluster, instrument).items())
        },
        "stream:CLUSTER_STATUS_SFM_STEP1B_SET_0": {
            "0": _cell(_load(cluster.gathers, cluster)),
            "numWorkers": _cell("1", "worker_count"),
        },
        "stream:CLUSTER_STATUS_SPAREWORKERS_SET_0": {
            **{str(number): _cell(_process(number, workers)) for number in range(workers.wanted)},
            "numWorkers": _cell(str(workers.wanted), "worker_count"),
        },
        "stream:CLUSTER_STATUS_OTHER_QUEUES": {
            "rapid-exec": _cell(cluster.phase, "text_status"),
            "rapid-exec mode": _cell(str(settings.policy.mode), "text_status"),
            "rapid-exec to be registered": _cell(str(cluster.uncommitted), "text_status"),
        },
    }


def _shown(cluster: ClusterReport, instrument: str | None) -> Mapping[int, DetectorLoad]:
    names = sorted(cluster.detectors, key=lambda name: not name.startswith("LSSTCam"))
    name = instrument or next(iter(names), "")
    return cluster.detectors.get(name, {})


def _load(load: DetectorLoad, cluster: ClusterReport) -> str:
    if not cluster.workers.warm:
        return "missing" if cluster.ended else "restarting"
    if load.waiting:
        return str(load.waiting)
    return "busy" if load.running else "free"


def _process(number: int, workers: WorkersLine) -> str:
    if number >= workers.warm:
        return "missing"
    return "busy" if number < workers.busy else "free"


def _cell(status: str, kind: str = "worker_status") -> dict[str, str]:
    return {"status": status, "type": kind}
