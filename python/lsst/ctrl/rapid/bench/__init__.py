"""``rapid-exec bench``: the executor and the other ways to do its work, measured side by side."""

from ._draw import *
from ._machine import *
from ._model import *
from ._render import *
from ._suites import *
