"""How a person or another system steers a running executor: orders in, status out."""

from ._client import *
from ._controllable import *
from ._desk import *
from ._messages import *
from ._redis import *
from ._server import *
from ._sockets import *
from ._status import *
