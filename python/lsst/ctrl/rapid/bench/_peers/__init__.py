"""Ways of processing images that are measured, each behind `Peer`."""

from ._child import *
from ._executor import *
from ._pipetask import *
from ._protocol import *
from ._separable import *
from ._warm import *
