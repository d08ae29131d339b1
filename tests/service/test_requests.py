"""What is remembered of exposures: all with which something is still to be done."""

from __future__ import annotations

import types

import pytest

from lsst.ctrl.rapid.service import _requests
from lsst.ctrl.rapid.service._requests import Requests


class Compiled:
    """A run of one pipeline that takes every exposure."""

    pipelines = types.MappingProxyType(
        {"p": types.SimpleNamespace(name="p", hash="h", steps=(), day_steps=())}
    )

    def choose(self, _: object) -> object:
        return self.pipelines["p"]


def test_an_exposure_is_forgotten_only_when_nothing_is_to_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_requests, "_EXPOSURES_KEPT", 3)
    active = {0, 2, 3, 4, 5}
    told = []
    requests = Requests(
        Compiled(),
        "out",
        forget=lambda _, exposure: None if exposure in active else [exposure],
        forgotten=lambda raw, run: told.append((raw.exposure, run)),
    )
    for exposure in range(6):
        raw = types.SimpleNamespace(
            instrument="LATISS", exposure=exposure, detector=0, group="g", day_obs=20261122
        )
        assert requests.add(raw) is None
        assert requests.add(raw) is raw
    kept = {exposure for _, exposure in requests._raws}
    assert kept == active
    assert told == [(1, "out/20261122/p-h")]
