"""The LSSTCam family without afw: detectors, filters, translation of headers, raws in memory and butler."""

from ._afw import AfwExposure, image_from_exposure, raw_from_exposure
from ._camera import PIXEL_MM, Camera, CameraDetector, Purpose, Vendor, camera_names, load_camera
from ._complete import check_complete
from ._corrections import correction_folders
from ._detector_patterns import DetectorPatterns, detector_patterns
from ._filters import filter_band, known_filters, physical_filter
from ._formatter import RawFormatter
from ._geometry import SCALE_CARD
from ._header import RefusedError, read_primary_header
from ._identity import RawIdentity, compute_exposure_id, exposure_cards, identify
from ._image_formatter import UncompressedFormatter
from ._instruments import Latiss, LsstCam, LsstCamSim, LsstComCam, LsstComCamSim, get_instrument
from ._protocol import Header, RawReader
from ._raw import HeaderValue, RawImage, RawSegment
from ._reader import read_raw
from ._readers import (
    NotTakenError,
    RawReaders,
    family_instrument,
    import_instrument,
    make_reader,
    raw_definition,
)
from ._records import exposure_records, make_record
from ._sky import focal_plane_to_sky
from ._stack import WITHOUT_STACK, has_full_stack
from ._storage import (
    RAW_STORAGE_CLASS,
    register_storage_classes,
    repository_config,
    repository_config_file,
)
from ._translators import translate
from ._visits import Visit, make_visit, visit_system_records

__all__ = (
    "PIXEL_MM",
    "RAW_STORAGE_CLASS",
    "SCALE_CARD",
    "WITHOUT_STACK",
    "AfwExposure",
    "Camera",
    "CameraDetector",
    "DetectorPatterns",
    "Header",
    "HeaderValue",
    "Latiss",
    "LsstCam",
    "LsstCamSim",
    "LsstComCam",
    "LsstComCamSim",
    "NotTakenError",
    "Purpose",
    "RawFormatter",
    "RawIdentity",
    "RawImage",
    "RawReader",
    "RawReaders",
    "RawSegment",
    "RefusedError",
    "UncompressedFormatter",
    "Vendor",
    "Visit",
    "camera_names",
    "check_complete",
    "compute_exposure_id",
    "correction_folders",
    "detector_patterns",
    "exposure_cards",
    "exposure_records",
    "family_instrument",
    "filter_band",
    "focal_plane_to_sky",
    "get_instrument",
    "has_full_stack",
    "identify",
    "image_from_exposure",
    "import_instrument",
    "known_filters",
    "load_camera",
    "make_reader",
    "make_record",
    "make_visit",
    "physical_filter",
    "raw_definition",
    "raw_from_exposure",
    "read_primary_header",
    "read_raw",
    "register_storage_classes",
    "repository_config",
    "repository_config_file",
    "translate",
    "visit_system_records",
)

# A pipeline names these classes also where a repository's configuration does not.
register_storage_classes()
