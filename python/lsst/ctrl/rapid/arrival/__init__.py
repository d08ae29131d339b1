"""Where data announces itself."""

from ._watch import *
