"""`python -m leadgate.cli`: the `leadgate` command where it is not on the path."""

from __future__ import annotations

from leadgate.cli import main

main()
