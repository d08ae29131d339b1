"""One exposure, from pixels under hidden names to files and what is written down of them."""

from __future__ import annotations

__all__ = ("SentExposure", "SentRaw", "TakenExposure")

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from lsst.ctrl.rapid.instruments import load_camera

from ..model import AnnouncedFile
from ._clock import Clock
from ._config import SimulationConfig
from ._fate import Fate, Sending
from ._faults import FaultKind
from ._files import StagedRaw, append_line, encode_segments
from ._geometry import layout_of
from ._header import card_text, exposure_cards, file_name, primary_header
from ._render import DetectorTruth, render_detector
from ._sequence import ExposurePlan
from ._truth import write_truth


@dataclasses.dataclass(frozen=True, slots=True)
class SentRaw:
    """One raw that is complete in its folder.

    Attributes
    ----------
    path
        Where it is.
    instrument, exposure, detector
        Its data ID.
    obs_id
        Name of the exposure.
    observation_type
        Kind of the exposure.
    shutter_closed
        End of the exposure as its header has it, UNIX seconds.
    file_closed
        When the file got its name, UNIX seconds.
    fault
        What it suffers from, the first of these: it is a ``duplicate``, it is ``late``, its exposure comes in
        a ``burst``, or ``out-of-order``; empty if nothing.
    """

    path: Path
    instrument: str
    exposure: int
    detector: int
    obs_id: str
    observation_type: str
    shutter_closed: float
    file_closed: float
    fault: FaultKind | Literal[""] = ""


@dataclasses.dataclass(frozen=True, slots=True)
class SentExposure:
    """One exposure, all of whose raws are complete.

    Attributes
    ----------
    plan
        What was taken.
    raws
        Its files, duplicates too, in the order in which they came.
    missing
        Numbers of the detectors that were left out.
    """

    plan: ExposurePlan
    raws: tuple[SentRaw, ...]
    missing: tuple[int, ...] = ()


class TakenExposure:
    """An exposure that is being taken and sent.

    Parameters
    ----------
    config
        The simulation.
    folder
        Where it writes.
    plan
        The exposure.
    fate
        What happens to its raws.
    announce
        File that is to have a line of each raw before its name is seen; `None` for none.

    Notes
    -----
    The order of calls is `stage`, `close`, `send` for each of the fate's sendings, `end`; `end` may come at
    any moment, and leaves what was sent.
    """

    def __init__(
        self,
        config: SimulationConfig,
        folder: Path,
        plan: ExposurePlan,
        fate: Fate,
        announce: Path | None = None,
    ) -> None:
        self._config = config
        self._folder = folder
        self._plan = plan
        self._fate = fate
        self._announce_in = announce
        self._camera = load_camera(config.instrument)
        self._place = folder / str(plan.day_obs) / plan.obs_id
        self._staged: dict[Sending, StagedRaw] = {}
        self._truths: dict[int, DetectorTruth] = {}
        self._sent: list[SentRaw] = []
        self._closed: float | None = None
        self._cards = ""

    def stage(self, expected: float) -> Iterator[None]:
        """Make the raws, under hidden names; yields after each detector.

        Parameters
        ----------
        expected
            When the shutter will close, as far as one can know, UNIX seconds.

        Raises
        ------
        FileExistsError
            If a raw of that name is in the folder already.
        """
        self._place.mkdir(parents=True, exist_ok=True)
        plan, seed = self._plan, self._config.seed
        self._cards = card_text(exposure_cards(plan, expected, seed=seed))
        sendings: dict[int, list[Sending]] = {}
        for sending in self._fate.sendings:
            sendings.setdefault(sending.detector, []).append(sending)
        for detector, times in sendings.items():
            for sending in times:
                self._staged[sending] = self._stage(sending)
            rendered = render_detector(plan, detector, scale=self._config.scale, seed=seed)
            images = encode_segments(rendered, compress=self._config.compress)
            for sending in times:
                self._staged[sending].write(self._header(detector), images)
            self._truths[detector] = rendered.truth
            yield

    def close(self, shutter_closed: float) -> None:
        """Close the shutter, and write down what its raws suffer from.

        Parameters
        ----------
        shutter_closed
            When, as the headers have it, UNIX seconds.
        """
        self._closed = shutter_closed
        self._cards = card_text(exposure_cards(self._plan, shutter_closed, seed=self._config.seed))
        exposure = {
            "instrument": self._plan.instrument,
            "exposure": self._plan.id,
            "obs_id": self._plan.obs_id,
            "number": self._fate.number,
        }
        for injection in self._fate.injections:
            append_line(self._folder / "faults.jsonl", dataclasses.asdict(injection) | exposure)

    def send(self, sending: Sending, clock: Clock) -> SentRaw:
        """Give a raw its times and its name, and write that down.

        Parameters
        ----------
        sending
            Which.
        clock
            Tells when.
        """
        if self._closed is None:
            raise RuntimeError(f"The shutter of {self._plan.obs_id} has not closed.")
        staged = self._staged[sending]
        staged.finish(self._header(sending.detector))
        if self._announce_in is not None:
            self._announce(self._announce_in, staged, sending, clock)
        staged.show()
        raw = SentRaw(
            path=staged.path.absolute(),
            instrument=self._plan.instrument,
            exposure=self._plan.id,
            detector=sending.detector,
            obs_id=self._plan.obs_id,
            observation_type=self._plan.type.value,
            shutter_closed=self._closed,
            file_closed=clock.now(),
            fault=sending.fault,
        )
        append_line(self._folder / "manifest.jsonl", dataclasses.asdict(raw) | {"path": str(raw.path)})
        self._sent.append(raw)
        del self._staged[sending]
        return raw

    def _announce(self, manifest: Path, staged: StagedRaw, sending: Sending, clock: Clock) -> None:
        size, digest = staged.digest()
        line = AnnouncedFile(
            path=str(staged.path.absolute()),
            instrument=self._plan.instrument,
            exposure=self._plan.id,
            detector=sending.detector,
            size=size,
            sha256=digest,
            fault=sending.fault,
            time=clock.now(),
        )
        append_line(manifest, line.model_dump())

    @property
    def complete(self) -> bool:
        """Whether the shutter has closed and all that is to come was sent."""
        return self._closed is not None and not self._staged

    def end(self) -> SentExposure:
        """Write the truth of what was sent, and remove what was not; return what was sent."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._write_truth)
            if self._closed is None:
                stack.callback(_remove_if_empty, self._place)
            for staged in self._staged.values():
                stack.callback(staged.discard)
        return SentExposure(self._plan, tuple(self._sent), self._fate.missing)

    def _stage(self, sending: Sending) -> StagedRaw:
        first = file_name(self._plan, self._camera[sending.detector])
        again = first.replace(".fits", "_again.fits")
        name = again if sending.copy == "other" else first
        return StagedRaw.at(self._place / name, hidden_as=again if sending.copy else first)

    def _header(self, detector: int) -> bytes:
        geometry = self._camera[detector]
        return primary_header(self._cards, self._plan, geometry, layout_of(geometry, self._config.scale))

    def _write_truth(self) -> None:
        sent = {raw.detector for raw in self._sent}
        truths = [truth for detector, truth in self._truths.items() if detector in sent]
        if truths:
            write_truth(self._folder / "truth", self._plan, truths)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
