"""What is remembered of exposures: all with which something is still to be done."""

from __future__ import annotations

import types

import pytest

from lsst.ctrl.rapid.service import _requests
from lsst.ctrl.rapid.service._requests import Requests


def test_an_exposure_is_forgotten_only_when_nothing_is_to_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_requests, "_EXPOSURES_KEPT", 3)
    active = {0, 2, 3, 4, 5}
    requests = Requests(None, "out", lambda _, exposure: exposure in active)
    for exposure in range(6):
        raw = types.SimpleNamespace(instrument="LATISS", exposure=exposure, detector=0, group="g")
        assert requests.add(raw) is None
        assert requests.add(raw) is raw
    kept = {exposure for _, exposure in requests._raws}
    assert kept == active
