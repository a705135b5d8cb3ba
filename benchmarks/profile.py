"""Profiles of a running program, by py-spy: which thread spends its time where.

`pip install py-spy` first; it needs the right to trace (root, or the same user where
the system allows it). Profiling slows the program: its figures do not count.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RATE = 400
_TOP = 25


class ProfileError(Exception):
    """There is no profile; the text says what py-spy said."""


@contextmanager
def profiled(pid: int, file: Path) -> Iterator[None]:
    """Samples the process during the block; writes stacks to `file` and a summary beside it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [
        shutil.which("py-spy") or str(Path(sys.executable).with_name("py-spy")),
        *("record", "--nonblocking", "--threads", "--rate", str(_RATE)),
        *("--duration", "3600", "--format", "raw", "--output", str(file), "--pid", str(pid)),
    ]
    file.unlink(missing_ok=True)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    if not file.exists():
        raise ProfileError(f"py-spy wrote no profile: {output.decode(errors='replace').strip()}")
    file.with_suffix(".summary.txt").write_text(_summary(file.read_text()))


def _summary(stacks: str) -> str:
    """For each thread: its share of the samples, and its functions, with and without callees."""
    threads: dict[str, list[tuple[list[str], int]]] = {}
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        # By function: lines are told apart in the file of stacks.
        functions = [re.sub(r":\d+\)$", ")", frame) for frame in frames]
        threads.setdefault(thread, []).append((functions, int(count)))
    whole = sum(count for samples in threads.values() for _, count in samples) or 1
    return "\n".join(_of_thread(name, samples, whole) for name, samples in threads.items())


def _of_thread(name: str, samples: list[tuple[list[str], int]], whole: int) -> str:
    own, inclusive = Counter[str](), Counter[str]()
    for frames, count in samples:
        own[frames[-1] if frames else name] += count
        for frame in set(frames):
            inclusive[frame] += count
    total = sum(count for _, count in samples)
    lines = [f"{name}: {total / whole:.0%} of all samples"]
    for title, counter in (("with what it calls", inclusive), ("alone", own)):
        lines.append(f"  {title}")
        for frame, count in counter.most_common(_TOP):
            lines.append(f"    {count / whole:6.1%}  {frame}")
    return "\n".join(lines) + "\n"
