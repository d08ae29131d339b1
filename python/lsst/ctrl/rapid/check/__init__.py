"""An independent checker of the promise that every file ends exactly once, and nothing is registered half.

It reads what was sent, the butler and the ledger, and shares no code with what it checks.
"""

from ._check import *
from ._model import *
