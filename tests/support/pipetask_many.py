"""Runs several ``pipetask`` commands one after another in one process: imports are paid for once.

Reads a JSON list of argument lists; the last line that it writes is a JSON list of exit codes and outputs.
"""

from __future__ import annotations

import json
import sys

from lsst.ctrl.mpexec.cli.pipetask import cli
from lsst.daf.butler.cli.utils import LogCliRunner

from support.installed import remember_packages


def main() -> None:
    """Run them."""
    remember_packages()
    results = []
    for arguments in json.load(sys.stdin):
        done = LogCliRunner().invoke(cli, arguments)
        results.append([done.exit_code, f"{done.output}\n{done.exception or ''}"])
    print(f"\n{json.dumps(results)}")  # noqa: T201 -- the answer


if __name__ == "__main__":
    main()
