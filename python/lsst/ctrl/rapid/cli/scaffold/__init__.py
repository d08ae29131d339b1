"""What ``rapid-exec new-channel`` writes: a channel that runs, its test, and its place in a pipeline."""

from ._place import *
from ._spec import *
from ._write import *
