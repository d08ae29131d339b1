"""RUNs that are made at once or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Butler, DatasetType
from lsst.daf.butler.registry.interfaces import Database

from lsst.ctrl.rapid.plan import register_run
from support.registered import make_registry

WRITE = Database.sync


def test_a_run_that_could_not_be_made_can_be_made_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_registry(tmp_path)

    def cut_short(self: Database, table: Any, **words: Any) -> Any:
        if table.name == "run":
            raise KeyboardInterrupt
        return WRITE(self, table, **words)

    with monkeypatch.context() as patch, Butler.from_config(root, writeable=True) as butler:
        patch.setattr(Database, "sync", cut_short)
        with pytest.raises(KeyboardInterrupt):
            register_run(butler, "some/run")
    with Butler.from_config(root, writeable=True) as butler:
        register_run(butler, "some/run")
        register_run(butler, "some/run")
        something = DatasetType("something", butler.dimensions.empty, "StructuredDataDict")
        butler.registry.registerDatasetType(something)
        butler.put({}, something, run="some/run")
