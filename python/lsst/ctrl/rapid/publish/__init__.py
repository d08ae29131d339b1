"""What leaves the butler for people."""

from ._folder import *
