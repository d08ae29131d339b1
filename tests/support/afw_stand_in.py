"""Stand-ins for classes of afw and ip_isr: their interface, their metaclass, and what they refuse.

As of the real ones: the templates ``Exposure`` and ``Image`` are no subclasses of themselves; an exposure is
copied with `copy.deepcopy`; a camera, a detector and defects that are not empty can be neither copied nor
pickled.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
from lsst.daf.butler import FormatterV2
from lsst.resources import ResourcePath
from lsst.utils.wrappers import TemplateMeta


class ReadoutCorner(enum.Enum):
    """Names as afw has them; its enumeration is none of Python's, but has names, too."""

    LL = 0
    LR = 1
    UR = 2
    UL = 3

    def flipped(self, x: bool, y: bool) -> ReadoutCorner:
        """Return the corner after flips."""
        left, low = self.name[1] == "L", self.name[0] == "L"
        return ReadoutCorner["LU"[low == y] + "LR"[left == x]]


class Extent2I:
    """Two integers."""

    def __init__(self, x: int, y: int) -> None:
        self._values = (x, y)

    def getX(self) -> int:
        return self._values[0]

    def getY(self) -> int:
        return self._values[1]

    def __getitem__(self, index: int) -> int:
        return self._values[index]

    def __len__(self) -> int:
        return 2

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Extent2I) and self._values == other._values

    __hash__ = None


class Box2I:
    """Inclusive limits; an empty box ends before it begins."""

    def __init__(self, x0: int, y0: int, x1: int, y1: int) -> None:
        self._limits = (x0, y0, x1, y1)

    def getMinX(self) -> int:
        return self._limits[0]

    def getMinY(self) -> int:
        return self._limits[1]

    def getMaxX(self) -> int:
        return self._limits[2]

    def getMaxY(self) -> int:
        return self._limits[3]

    def getWidth(self) -> int:
        return self._limits[2] - self._limits[0] + 1

    def getHeight(self) -> int:
        return self._limits[3] - self._limits[1] + 1

    def isEmpty(self) -> bool:
        return self.getWidth() <= 0 or self.getHeight() <= 0

    def shifted(self, x: int, y: int) -> Box2I:
        x0, y0, x1, y1 = self._limits
        return Box2I(x0 + x, y0 + y, x1 + x, y1 + y)

    def slices(self, origin: tuple[int, int] = (0, 0)) -> tuple[slice, slice]:
        """Return what selects the box in an array whose first pixel is at (x, y) ``origin``."""
        x0, y0, x1, y1 = self.shifted(-origin[0], -origin[1])._limits
        return slice(y0, y1 + 1), slice(x0, x1 + 1)


_REGIONS = ("raw", "data", "horizontal", "vertical", "prescan")


@dataclasses.dataclass(frozen=True)
class Amplifier:
    """An amplifier; regions are in the pixels of the image that the detector is attached to."""

    name: str
    bbox: Box2I
    raw: Box2I
    data: Box2I
    horizontal: Box2I
    vertical: Box2I
    prescan: Box2I
    offset: Extent2I
    flip_x: bool
    flip_y: bool
    corner: ReadoutCorner
    gain: float
    read_noise: float
    saturation: float

    def getName(self) -> str:
        return self.name

    def getBBox(self) -> Box2I:
        return self.bbox

    def getRawBBox(self) -> Box2I:
        return self.raw

    def getRawDataBBox(self) -> Box2I:
        return self.data

    def getRawHorizontalOverscanBBox(self) -> Box2I:
        return self.horizontal

    def getRawVerticalOverscanBBox(self) -> Box2I:
        return self.vertical

    def getRawPrescanBBox(self) -> Box2I:
        return self.prescan

    def getRawXYOffset(self) -> Extent2I:
        return self.offset

    def getRawFlipX(self) -> bool:
        return self.flip_x

    def getRawFlipY(self) -> bool:
        return self.flip_y

    def getReadoutCorner(self) -> ReadoutCorner:
        return self.corner

    def getGain(self) -> float:
        return self.gain

    def getReadNoise(self) -> float:
        return self.read_noise

    def getSaturation(self) -> float:
        return self.saturation

    def getSuspectLevel(self) -> float:
        return float("nan")

    def transformed(self) -> Amplifier:
        """Return the amplifier as it is in the mosaic: no flips and no offset are left."""
        x0, y0 = self.raw.getMinX(), self.raw.getMinY()
        x1, y1 = self.raw.getMaxX(), self.raw.getMaxY()

        def moved(box: Box2I) -> Box2I:
            if box.isEmpty():
                return box
            ax, ay, bx, by = box.getMinX(), box.getMinY(), box.getMaxX(), box.getMaxY()
            if self.flip_x:
                ax, bx = x0 + x1 - bx, x0 + x1 - ax
            if self.flip_y:
                ay, by = y0 + y1 - by, y0 + y1 - ay
            return Box2I(ax, ay, bx, by).shifted(*self.offset)

        return dataclasses.replace(
            self,
            **{name: moved(getattr(self, name)) for name in _REGIONS},
            offset=Extent2I(0, 0),
            flip_x=False,
            flip_y=False,
            corner=self.corner.flipped(self.flip_x, self.flip_y),
        )


class _Refuses:
    """What neither `copy.deepcopy` nor pickle can do anything with; Python sees nothing of its content."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")


_CONTENT: dict[int, Any] = {}
"""What objects of a compiled library hold, by their identity."""


class Detector(_Refuses):
    """A detector."""

    __slots__ = ("__weakref__",)

    def __init__(self, number: int, name: str, bbox: Box2I, amplifiers: list[Amplifier]) -> None:
        _CONTENT[id(self)] = (number, name, bbox, amplifiers)

    def __del__(self) -> None:
        _CONTENT.pop(id(self), None)

    def getId(self) -> int:
        return _CONTENT[id(self)][0]

    def getName(self) -> str:
        return _CONTENT[id(self)][1]

    def getBBox(self) -> Box2I:
        return _CONTENT[id(self)][2]

    def __len__(self) -> int:
        return len(_CONTENT[id(self)][3])

    def __getitem__(self, index: int) -> Amplifier:
        return _CONTENT[id(self)][3][index]

    def __iter__(self) -> Iterator[Amplifier]:
        return iter(_CONTENT[id(self)][3])

    def transformed(self) -> Detector:
        """Return the detector of the assembled, untrimmed image."""
        return Detector(self.getId(), self.getName(), self.getBBox(), [amp.transformed() for amp in self])


class Camera(_Refuses):
    """Detectors by number."""

    __slots__ = ("__weakref__",)

    def __init__(self, name: str) -> None:
        _CONTENT[id(self)] = name

    def __del__(self) -> None:
        _CONTENT.pop(id(self), None)

    def getName(self) -> str:
        return _CONTENT[id(self)]


class Defects(list):
    """Boxes, which can be copied only while there are none."""

    def __reduce_ex__(self, protocol: object) -> Any:
        if self:
            raise TypeError("cannot pickle 'lsst.afw.image.DefectBase' object")
        return (Defects, ())


class VisitInfo:
    """Facts of an exposure; NaN where they are not known."""

    def __init__(self, instrument: str, exposure_time: float, dark_time: float) -> None:
        self._values = (instrument, exposure_time, dark_time)

    def getInstrumentLabel(self) -> str:
        return self._values[0]

    def getExposureTime(self) -> float:
        return self._values[1]

    def getDarkTime(self) -> float:
        return self._values[2]


class PropertyList:
    """Cards; of one with several values the last is given."""

    def __init__(self, cards: Mapping[str, Any] | None = None) -> None:
        self._cards = {
            name: value if isinstance(value, list) else [value] for name, value in (cards or {}).items()
        }

    def keys(self) -> list[str]:
        return list(self._cards)

    def __getitem__(self, name: str) -> Any:
        return self._cards[name][-1]

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self._cards else default

    def __setitem__(self, name: str, value: Any) -> None:
        self._cards[name] = [value]


class ImageF:
    """Pixels with the position of the first."""

    def __init__(self, array: np.ndarray, xy0: tuple[int, int] = (0, 0)) -> None:
        # As in C++ the memory is not Python's: what is seen is a view.
        self._memory = memoryview(np.ascontiguousarray(array, self.dtype).tobytes())
        self._shape, self._xy0 = array.shape, xy0

    def getArray(self) -> np.ndarray:
        return np.frombuffer(self._memory, self.dtype).reshape(self._shape)

    @property
    def array(self) -> np.ndarray:
        return self.getArray()

    def getBBox(self) -> Box2I:
        rows, columns = self._shape
        return Box2I(0, 0, columns - 1, rows - 1).shifted(*self._xy0)


class ImageI(ImageF):
    """Pixels, int32."""


class ImageU(ImageF):
    """Pixels, uint16."""


class Image(metaclass=TemplateMeta):
    """The template of images."""


Image.register(np.float32, ImageF)
ImageI.dtype, ImageU.dtype = np.int32, np.uint16
Image.register(np.int32, ImageI)
Image.register(np.uint16, ImageU)


class ExposureInfo:
    """What is known of an exposure."""

    def __init__(self, visit_info: VisitInfo | None) -> None:
        self._visit_info = visit_info

    def getVisitInfo(self) -> VisitInfo | None:
        return self._visit_info


class _Exposure:
    """The part of an exposure that is compiled."""

    image_class: ClassVar[type[ImageF]]

    def __init__(
        self,
        array: np.ndarray,
        *,
        detector: Detector | None = None,
        metadata: Mapping[str, Any] | None = None,
        visit_info: VisitInfo | None = None,
        xy0: tuple[int, int] = (0, 0),
    ) -> None:
        self._image = self.image_class(array, xy0)
        self._mask, self._variance = ImageI(np.zeros(array.shape), xy0), ImageF(np.ones(array.shape), xy0)
        self._detector, self._info = detector, ExposureInfo(visit_info)
        self._metadata = PropertyList(metadata)

    def getMaskedImage(self) -> Any:
        raise NotImplementedError

    def getDetector(self) -> Detector | None:
        return self._detector

    def getMetadata(self) -> PropertyList:
        return self._metadata

    def getInfo(self) -> ExposureInfo:
        return self._info

    def getBBox(self) -> Box2I:
        return self._image.getBBox()

    def clone(self) -> Any:
        names = self._metadata.keys()
        cards = {name: self._metadata[name] for name in names}
        return type(self)(
            self._image.array, detector=self._detector, metadata=cards, visit_info=self._info.getVisitInfo()
        )


class ExposureF(_Exposure):
    """float32."""

    image_class = ImageF


class ExposureI(_Exposure):
    """int32."""

    image_class = ImageI


class ExposureU(_Exposure):
    """uint16."""

    image_class = ImageU


class Exposure(metaclass=TemplateMeta):
    """The template of exposures: what is here is copied into the classes that are registered."""

    def getImage(self) -> ImageF:
        return self._image

    def getMask(self) -> ImageF:
        return self._mask

    def getVariance(self) -> ImageF:
        return self._variance

    image = property(getImage)
    mask = property(getMask)
    variance = property(getVariance)

    def __deepcopy__(self, memo: object = None) -> Any:
        return self.clone()


for _key, _class in ((np.float32, ExposureF), (np.int32, ExposureI), (np.uint16, ExposureU)):
    Exposure.register(_key, _class)


def assemble(segments: list[np.ndarray], detector: Detector) -> np.ndarray:
    """Return the mosaic of segments as they are in a file, whose geometry the detector has."""
    right = max(amp.raw.shifted(*amp.offset).getMaxX() for amp in detector)
    top = max(amp.raw.shifted(*amp.offset).getMaxY() for amp in detector)
    mosaic = np.zeros((top + 1, right + 1), segments[0].dtype)
    for segment, amp in zip(segments, detector, strict=True):
        view = segment[:: -1 if amp.flip_y else 1, :: -1 if amp.flip_x else 1]
        mosaic[amp.raw.shifted(*amp.offset).slices()] = view
    return mosaic


class StandInFormatter(FormatterV2):
    """Keeps objects of this process beside a file of about their size; counts what is read."""

    default_extension = ".dat"
    can_read_from_local_file = True
    kept: ClassVar[dict[str, Any]] = {}
    reads: ClassVar[list[str]] = []

    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        Path(uri.ospath).write_bytes(b"0" * 5000)
        # The file is renamed; its dataset is not.
        self.kept[str(self.dataset_ref.id)] = in_memory_dataset

    def read_from_local_file(self, *args: object, **more: object) -> Any:  # noqa: ARG002
        self.reads.append(self.dataset_ref.datasetType.name)
        made = self.kept[str(self.dataset_ref.id)]
        return made() if callable(made) else made


STORAGE_CLASSES: Mapping[str, type] = {
    "Camera": Camera,
    "Defects": Defects,
    "Detector": Detector,
    "Exposure": Exposure,
    "ExposureF": ExposureF,
    "ExposureI": ExposureI,
}
"""The stand-ins by the names of upstream's storage classes."""
