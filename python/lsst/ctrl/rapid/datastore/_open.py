"""Opening a repository's datastore without its registry."""

from __future__ import annotations

__all__ = ("open_datastore",)

from collections.abc import Mapping

from lsst.daf.butler import ButlerConfig, DimensionUniverse, LookupKey
from lsst.daf.butler.datastore import Datastore

from ._memory import MemoryBridges, MemoryTables
from ._names import file_stores


def open_datastore(
    config: ButlerConfig, universe: DimensionUniverse, formatters: Mapping[str, str] | None = None
) -> Datastore:
    """Open a repository's datastore without its registry.

    Parameters
    ----------
    config
        The repository's configuration.
    universe
        The repository's dimensions.
    formatters
        Formatters to write dataset types with, by the types' names.  One that the configuration has for the
        name of the type takes precedence; one for its storage class does not.  Readers need none of this:
        each dataset's record names its formatter.

    Notes
    -----
    It does what upstream's `~lsst.daf.butler._standalone_datastore.instantiate_standalone_datastore` does,
    which keeps the records in an SQLite database in memory: some forty statements for two quanta, nearly
    half of the time that it takes to run them.  Not for use by several threads at once.
    """
    bridges = MemoryBridges(opaque=MemoryTables(), universe=universe)
    datastore = Datastore.fromConfig(config, bridges, config.get("root", config.configDir))
    for store in file_stores(datastore):
        configured = store.formatterFactory.getLookupKeys()
        for name, formatter in (formatters or {}).items():
            if LookupKey(name=name) not in configured:
                store.formatterFactory.registerFormatter(name, formatter)
    return datastore
