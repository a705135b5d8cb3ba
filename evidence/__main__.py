"""`python -m evidence`: runs the evidence service with settings from the environment.

Exit codes are those of `leadgate.process.ExitCode`.
"""

from __future__ import annotations

import sys

from evidence.app import main
from leadgate import logs
from leadgate.process import run

if __name__ == "__main__":
    logs.configure("evidence")
    sys.exit(run(main))
