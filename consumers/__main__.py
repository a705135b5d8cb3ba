"""`python -m consumers`: consumes one buyer's deliveries until SIGTERM.

Settings come from the environment. Exit codes: 0 stopped by a signal, 1 crashed, 78
settings refused, 130 killed by a second signal.
"""

from __future__ import annotations

import sys

from consumers.app import run

if __name__ == "__main__":
    sys.exit(run())
