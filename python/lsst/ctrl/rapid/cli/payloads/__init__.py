"""What ``rapid-exec test-channels`` does: run pipelines with plain ``pipetask``, and check what they left."""

from ._check import *
from ._companions import *
from ._junit import *
from ._pipetask import *
from ._stage import *
