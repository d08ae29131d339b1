"""A raw file known in memory first, registered by the committer later."""

from ._ingest import *
from ._repository import *
