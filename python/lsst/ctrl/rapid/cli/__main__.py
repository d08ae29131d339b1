"""``python -m lsst.ctrl.rapid.cli`` is ``rapid-exec``."""

from ._main import main

if __name__ == "__main__":
    main(prog_name="rapid-exec")
