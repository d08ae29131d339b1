"""The repository's files without its registry: upstream's datastore, quick for one process."""

from ._files import *
from ._names import *
from ._open import *
from ._room import *
from ._scratch import *
from ._writer import *
