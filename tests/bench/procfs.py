"""What a process and all below it use, as the kernel counts it; and the machine."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text("ascii").split())
    return found


def tree(pid: int) -> list[int]:
    """The process and all below it."""
    return [pid, *(below for child in children(pid) for below in tree(child))]


def cpu_seconds(pid: int) -> tuple[float, float]:
    """CPU of the process itself, and of all it started, ended ones included once they were waited for."""
    own, ended = _cpu(pid)
    return own, ended + sum(map(sum, map(cpu_seconds, children(pid))))


def _cpu(pid: int) -> tuple[float, float]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    user, system, waited_user, waited_system = map(int, fields[11:15])
    return (user + system) / TICK, (waited_user + waited_system) / TICK


def pss(pid: int) -> int:
    """Proportional set size in octets, summed over the tree: shared pages count once."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text("ascii").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


class Memory:
    """Samples ``pss`` until the block ends; ``peak`` and ``samples`` in octets."""

    def __init__(self, pid: int, every: float = 0.25) -> None:
        self.pid, self.every = pid, every
        self.samples: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    @property
    def peak(self) -> int:
        return max(self.samples, default=0)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(self.every):
            self.samples.append(pss(self.pid))


class Share:
    """Whose the cores were during the block: ``told`` is a sentence, since rates on a shared machine need it."""

    def __init__(self, pid: int) -> None:
        self.pid, self.told = pid, ""

    def __enter__(self) -> Share:
        self._begun, self._ours, self._all = time.perf_counter(), sum(cpu_seconds(self.pid)), _busy()
        return self

    def __exit__(self, *_: object) -> None:
        wall = time.perf_counter() - self._begun
        ours, everybody = ((a - b) / wall for a, b in ((sum(cpu_seconds(self.pid)), self._ours), (_busy(), self._all)))
        self.told = f"of {os.cpu_count()} cores {ours:.1f} were ours, {max(0.0, everybody - ours):.1f} others'"


def _busy() -> float:
    """Seconds that all cores were not idle."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK


def machine(place: Path) -> dict[str, str]:
    """Where the figures come from; ``place`` is on the file system that is measured."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(place)], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "cores": str(os.cpu_count()), "cpu": next(_models(), platform.machine()), "kernel": platform.release(),
        "python": platform.python_version(), "file system": kind or "?",
        "load at start": " ".join(f"{x:.1f}" for x in os.getloadavg()),
    }


def _models() -> Iterator[str]:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            yield line.partition(":")[2].strip()
