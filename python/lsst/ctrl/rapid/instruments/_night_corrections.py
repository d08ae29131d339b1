"""Cards that were wrong in the raws of some nights of LSSTCam, and what the observatory takes instead."""

from __future__ import annotations

__all__ = ("LSSTCAM_CORRECTIONS", "NightCorrection")

import dataclasses
from collections.abc import Mapping, MutableMapping
from typing import Any

from ._raw import HeaderValue

type SeqRanges = tuple[tuple[int, int], ...]

_WHOLE_NIGHT: SeqRanges = ((0, 99_999),)


@dataclasses.dataclass(frozen=True, slots=True)
class NightCorrection:
    """Cards that are replaced in the raws of some nights.

    Attributes
    ----------
    nights
        Sequence numbers concerned, first and last, by day of observation.
    cards
        The right values.
    instead_of
        Values that are replaced; other raws of these nights stay as they are.  Empty for any value.
    present
        Cards without which a raw stays as it is.
    """

    nights: Mapping[int, SeqRanges]
    cards: Mapping[str, HeaderValue]
    instead_of: Mapping[str, HeaderValue] = dataclasses.field(default_factory=dict)
    present: tuple[str, ...] = ()

    def apply(self, header: MutableMapping[str, Any], day_obs: int, seq_num: int) -> bool:
        """Correct a header in place, and return whether it was one to correct."""
        ranges = self.nights.get(day_obs, ())
        if not any(first <= seq_num <= last for first, last in ranges):
            return False
        if any(card not in header for card in self.present):
            return False
        if any(header.get(card) != value for card, value in self.instead_of.items()):
            return False
        header.update(self.cards)
        return True


def _nights(*days: int) -> dict[int, SeqRanges]:
    return dict.fromkeys(days, _WHOLE_NIGHT)


_WRONG_BLOCK = (
    20250415, 20250416, 20250417, 20250418, 20250421, 20250423, 20250424, 20250425,
    20250503, 20250504, 20250512, 20250522, 20250524, 20250826, 20250827, 20250828,
)  # fmt: skip

# The rules are those of LsstCamTranslator.fix_header in lsst/obs_lsst.
LSSTCAM_CORRECTIONS = (
    # The pinhole filter had two names.
    NightCorrection(
        nights=_nights(20231107, 20231108, 20241015, 20241016),
        cards={"FILTER": "ph_5"},
        instead_of={"FILTER": "ph_05"},
    ),
    # The dome was closed, but faults of dome and mount let the headers say otherwise.
    NightCorrection(
        nights={
            **_nights(20250518),
            20250703: ((743, 745),),
            20250704: ((832, 834),),
            20250705: ((1, 736),),
            20250707: ((744, 823), (864, 943)),
            20250714: ((258, 781),),
            20250715: ((205, 1218),),
            20250819: ((4, 1052),),
        },
        cards={"VIGN_MIN": "FULLY"},
        present=("VIGN_MIN",),
    ),
    # Another filter was in the beam than the headers say.
    NightCorrection(
        nights={20250609: ((76, 578),)},
        cards={"FILTER": "z_20", "FILTBAND": "z", "FILTPOS": 201.0, "FILTSLOT": 4},
    ),
    NightCorrection(
        nights={20260315: ((49, 109),)},
        cards={"FILTER": "i_39", "FILTBAND": "i", "FILTPOS": 304.0, "FILTSLOT": 1},
    ),
    # The block of the program had a wrong number.
    NightCorrection(
        nights=_nights(*_WRONG_BLOCK),
        cards={"PROGRAM": "BLOCK-T417"},
        instead_of={"PROGRAM": "BLOCK-417"},
    ),
)
