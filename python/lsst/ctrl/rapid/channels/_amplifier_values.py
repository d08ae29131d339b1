"""The gain, read noise and saturation of an amplifier."""

from __future__ import annotations

__all__ = ("AmplifierValues", "amplifier_values", "saturation_level")

import dataclasses
import math
from collections.abc import Mapping

from lsst.images.cameras import Amplifier


@dataclasses.dataclass(frozen=True, slots=True)
class AmplifierValues:
    """What is known of an amplifier.

    Attributes
    ----------
    gain
        By which the signal in ADU is multiplied: electrons per ADU, or 1 where it stays in ADU.
    read_noise
        Electrons; `None`: measure it.
    saturation
        ADU above the overscan.
    electrons_per_adu
        The true gain where calibrations in electrons need it though the signal stays in ADU; NaN if unknown.
    """

    gain: float
    read_noise: float | None
    saturation: float
    electrons_per_adu: float


def amplifier_values(
    amplifier: Amplifier,
    amplifier_gain: Mapping[str, Mapping[str, float]] | None,
    *,
    do_gain: bool,
    measure_noise: bool,
    full_well: float,
    where: str,
) -> AmplifierValues:
    """Return the values of an amplifier: from the calibration if it is in there, else nominal ones.

    Raises
    ------
    ValueError
        If the gain, or a read noise that is not to be measured, is neither here nor there.
    """
    measured: Mapping[str, float] = (amplifier_gain or {}).get(amplifier.name, {})
    nominal = amplifier.nominal_calibrations
    known = measured.get("gain", nominal.gain if nominal else None)
    gain = known if do_gain else 1.0
    noise: float | None = None
    if not measure_noise:
        noise = measured.get("read_noise", nominal.read_noise if nominal else None)
    if gain is None or not gain > 0.0 or (noise is None and not measure_noise):
        raise ValueError(
            f"Amplifier {amplifier.name} of {where} has no gain or read noise; certify an amplifier_gain "
            "that names it, or run quickIsr with doGain=False and measureReadNoise=True."
        )
    return AmplifierValues(
        gain, noise, saturation_level(amplifier, gain, full_well), math.nan if known is None else known
    )


def saturation_level(amplifier: Amplifier, gain: float, full_well: float) -> float:
    """Return the signal from which a pixel counts as saturated, ADU above the overscan.

    Parameters
    ----------
    amplifier
        Its nominal saturation (ADU) is one limit, if it is known.
    gain
        Electrons per ADU.
    full_well
        The other limit, electrons; 0 for none.

    Returns
    -------
    level
        The lower of the two; infinite without either.
    """
    nominal = amplifier.nominal_calibrations
    limits = [nominal.saturation if nominal else math.nan, full_well / gain]
    return min((limit for limit in limits if limit > 0.0), default=math.inf)
