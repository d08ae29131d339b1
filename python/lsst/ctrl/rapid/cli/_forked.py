"""Imported by the fork server: what workers and the simulated camera need, so that none imports it again."""

from __future__ import annotations

from .._startup import uncollected

with uncollected():
    # Upstream imports these at the first table, plot, upload, log or configuration.
    import pandas  # noqa: F401
    import requests  # noqa: F401
    from matplotlib.backends import backend_agg  # noqa: F401

    from lsst.daf.butler.delegates import arrowtable  # noqa: F401
    from lsst.daf.butler.formatters import json, logs, parquet, typeless, yaml  # noqa: F401
    from lsst.daf.butler.formatters.matplotlib import MatplotlibFormatter  # noqa: F401
    from lsst.pipe.base.formatters import pexConfig  # noqa: F401

    from .. import channels, engine, simulator  # noqa: F401
    from . import _simulate  # noqa: F401

    channels.compile_channels()
