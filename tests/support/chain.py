"""One repository that many runs write to, most of which do not end well; and the balance of it all."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid._phases import VARIABLE
from lsst.ctrl.rapid.check import Balance, Imbalance, OrphanKind, check_balance
from lsst.ctrl.rapid.model import AnnouncedFile
from lsst.ctrl.rapid.simulator import SimulationConfig, simulate
from support.processes import Running
from support.registered import INSTRUMENT, PIPELINE

DETECTORS = (90, 91, 92)

type StartRun = Callable[..., Running]
"""The fixture ``start_run``."""

type Contents = frozenset[tuple[str, str, tuple[object, ...]]]
"""RUN, dataset type and data ID of everything that is registered of exposures."""


@dataclasses.dataclass(frozen=True)
class Exposure:
    """An exposure whose raws are in a folder that nobody watches."""

    number: int
    raws: dict[int, Path] = dataclasses.field(default_factory=dict)


def take_exposures(folder: Path, number: int) -> list[Exposure]:
    """Return exposures, taken now."""
    config = SimulationConfig(exposures=number, cadence=0, detectors=DETECTORS, scale="1/16")
    taken: dict[int, Exposure] = {}
    for raw in simulate(config, folder):
        taken.setdefault(raw.exposure, Exposure(raw.exposure)).raws[raw.detector] = raw.path
    return list(taken.values())


class Chain:
    """A repository, a landing folder, and what was sent there.

    Parameters
    ----------
    folder
        Where the landing folder is made, and the work folder.
    root
        The repository.
    start
        Starts ``rapid-exec run``.
    """

    def __init__(self, folder: Path, root: str, start: StartRun) -> None:
        self._folder, self._root, self._start = folder, root, start
        self._landing, self._manifest = folder / "landing", folder / "manifest.jsonl"
        self._landing.mkdir(parents=True)
        self._sent = 0
        self.work = folder / "work"
        (folder / "toy.yaml").write_text(PIPELINE)

    def send(self, exposures: Iterable[Exposure], detectors: Sequence[int] = DETECTORS) -> None:
        """Announce raws and have them land, under a second name: another chain needs them, too."""
        for exposure in exposures:
            for detector in detectors:
                raw = exposure.raws[detector]
                landed, content = self._landing / raw.name, raw.read_bytes()
                line = AnnouncedFile(
                    path=str(landed), instrument=INSTRUMENT, exposure=exposure.number, detector=detector,
                    size=len(content), sha256=hashlib.sha256(content).hexdigest(), time=time.time(),
                )  # fmt: skip
                with self._manifest.open("a") as manifest:
                    print(line.model_dump_json(), file=manifest)
                os.link(raw, landed)
                self._sent += 1

    def run(self, *options: str | Path | float, order: str = "", idle: float = 1, **site: float) -> Running:
        """Start a run that ends when it is killed, as ordered, or when nothing has happened for a while.

        Parameters
        ----------
        *options
            More of its command line.
        order
            Where it is killed.
        idle
            After how many seconds it ends.
        **site
            Keys of its site file.
        """
        told = {"gather_timeout": 600, "gather_deadline": 600, "commit_batch": 3, **site}
        (self._folder / "site.yaml").write_text("\n".join(f"{key}: {value}" for key, value in told.items()))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(VARIABLE, order)
            return self._start(
                "-b", self._root, "--watch", self._landing, "--work-dir", self.work,
                "--site", self._folder / "site.yaml", "--workers", 1, "--detectors", "90..92",
                "--until-idle", idle, *options, pipeline=self._folder / "toy.yaml",
            )  # fmt: skip

    def check(self, *, allow_waiting: bool = False) -> Balance:
        """Fail unless the independent checker says that it balances.

        Parameters
        ----------
        allow_waiting
            Whether something may be left for the next run: a file that has not ended, or a raw to be moved,
            which is registered when its exposure has ended.
        """
        ledger = self.work / "ledger.jsonl"
        balance = check_balance(
            self._root,
            "rapid",
            landing=[self._landing],
            sent=[self._manifest],
            ledgers=[ledger] if ledger.exists() else [],
        )
        may_pass = {Imbalance.RAW_NOT_REGISTERED, *filter(lambda one: one.may_pass, Imbalance)}
        found = [one for one in balance.findings if not allow_waiting or one.imbalance not in may_pass]
        assert not found, found  # this module's assertions are not rewritten
        assert balance.sent == self._sent, f"{self._sent} were sent, and {balance.sent} are accounted for"
        return balance

    def finish(self) -> Contents:
        """Let a run do what is left; fail unless all was done, and gathered with all of its detectors."""
        run = self.run()
        assert run.end() == 0, run.log.read_text()
        balance = self.check()
        assert not balance.ended, balance.ended
        assert balance.done == self._sent, balance
        # Of attempts whose process was killed before they were registered.
        assert {orphan.kind for orphan in balance.orphans} <= {OrphanKind.TEMPORARY, OrphanKind.UNREGISTERED}
        with Butler.from_config(self._root) as butler:
            contents = [
                (ref.run, dataset_type.name, tuple(ref.dataId.required_values))
                for dataset_type in butler.registry.queryDatasetTypes()
                if "exposure" in dataset_type.dimensions
                for ref in butler.query_datasets(
                    dataset_type, "*", find_first=False, limit=None, explain=False
                )
            ]
            totals = butler.query_datasets("toy_total", "rapid/*", find_first=False, limit=None)
            assert {butler.get(ref)["n"] for ref in totals} == {len(DETECTORS)}
        left = [one for one in contents if one[0].startswith("rapid/partial/")]
        assert not left, f"partial gathers are left beside complete ones: {left}"
        assert len(contents) == len(set(contents))
        return frozenset(contents)
