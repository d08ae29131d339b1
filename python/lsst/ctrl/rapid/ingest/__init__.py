"""A raw file known in memory first, registered by the committer later; raws that are registered already."""

from ._door import *
from ._ingest import *
from ._places import *
from ._registered import *
from ._repository import *
from ._stack_visits import make_visit_definer as make_visit_definer
from ._visits import *
