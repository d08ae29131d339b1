"""The actor answers whatever happens: an exception that left it would hang its caller."""

from __future__ import annotations

import pickle

from lsst.ctrl.rapid.engine import ShardResponse, WarmUp
from lsst.ctrl.rapid.engine._state import WorkerSetup
from lsst.ctrl.rapid.engine._worker import ShardActor


def test_a_set_up_that_fails_is_told() -> None:
    setup = WorkerSetup("/no/such/repository", (), (), frozenset(), 1e6)
    answer = WarmUp.model_validate_json(ShardActor(pickle.dumps(setup)).warm())
    assert not answer.ok
    assert answer.reason


def test_a_request_that_is_garbage_is_told() -> None:
    answer = ShardResponse.model_validate_json(ShardActor(b"").run(b"garbage"))
    assert not answer.ok
    assert "AssertionError" in answer.reason
    assert answer.finished >= answer.started
