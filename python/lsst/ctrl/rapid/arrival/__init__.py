"""Where data announces itself."""

from ._butler import *
from ._lookout import *
from ._quarantine import *
from ._watch import *
