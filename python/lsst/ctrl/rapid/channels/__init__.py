"""The channels: ordinary PipelineTasks that show an observer what the camera just took.

They know nothing of the executor: ``pipetask run`` makes the same datasets.
"""

from ._fused import compile_channels
from ._observation import Observation
from ._quick_amplifier_stats import (
    QuickAmplifierStatsConfig,
    QuickAmplifierStatsConnections,
    QuickAmplifierStatsTask,
)
from ._quick_bin import QuickBinConfig, QuickBinConnections, QuickBinTask
from ._quick_exposure_summary import (
    QuickExposureSummaryConfig,
    QuickExposureSummaryConnections,
    QuickExposureSummaryTask,
)
from ._quick_isr import QuickIsrConfig, QuickIsrConnections, QuickIsrTask
from ._quick_mosaic import QuickMosaicConfig, QuickMosaicConnections, QuickMosaicTask
from ._quick_psf_plane import QuickPsfPlaneConfig, QuickPsfPlaneConnections, QuickPsfPlaneTask
from ._quick_sources import QuickSourcesConfig, QuickSourcesConnections, QuickSourcesTask

__all__ = (
    "Observation",
    "QuickAmplifierStatsConfig",
    "QuickAmplifierStatsConnections",
    "QuickAmplifierStatsTask",
    "QuickBinConfig",
    "QuickBinConnections",
    "QuickBinTask",
    "QuickExposureSummaryConfig",
    "QuickExposureSummaryConnections",
    "QuickExposureSummaryTask",
    "QuickIsrConfig",
    "QuickIsrConnections",
    "QuickIsrTask",
    "QuickMosaicConfig",
    "QuickMosaicConnections",
    "QuickMosaicTask",
    "QuickPsfPlaneConfig",
    "QuickPsfPlaneConnections",
    "QuickPsfPlaneTask",
    "QuickSourcesConfig",
    "QuickSourcesConnections",
    "QuickSourcesTask",
    "compile_channels",
)
