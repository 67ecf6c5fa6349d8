"""Whether there is room for one more mail: free space, free inodes, and what already waits.

Asked before a mail is accepted, not after: a refusal at MAIL costs the peer nothing. A limit that
was crossed is lifted only with a fifth to spare, so that the answer does not flap. The pipeline
and the outgoing side go on meanwhile and drain the disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.edge.spool_in import Inlet
from gateway.errors import Temporary

_SPARE = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomLimits:
    free_bytes: int = 1 << 30
    free_inodes: float = 0.05  # share of all
    backlog_bytes: int = 5 << 30
    backlog_age: timedelta = timedelta(hours=1)
    keep_seconds: float = 1.0  # how long an answer is good for


class Room:
    """Watches one spool. ``reserve`` tells the bytes that open connections may still send."""

    def __init__(self, spool: Inlet, limits: RoomLimits, reserve: Callable[[], int] = lambda: 0) -> None:
        self._spool, self._limits, self._reserve = spool, limits, reserve
        self._refusal: Temporary | None = None
        self._asked_at = float("-inf")

    def refusal(self) -> Temporary | None:
        """None if a mail may come in, else what to tell the peer (RFC 3463: 4.3.1 full, 4.3.2 busy)."""
        now = time.monotonic()
        if now - self._asked_at >= self._limits.keep_seconds:
            self._asked_at = now
            self._refusal = self._look()
        return self._refusal

    def _look(self) -> Temporary | None:
        limits, spare = self._limits, _SPARE if self._refusal else 1.0
        free, inodes = self._spool.free()
        wanted = max(limits.free_bytes, self._reserve())
        if free < wanted * spare:
            return Temporary(452, "4.3.1", "Insufficient system storage", f"{free} bytes free, {wanted} wanted")
        if inodes < limits.free_inodes * spare:
            return Temporary(452, "4.3.1", "Insufficient system storage", f"{inodes:.1%} of inodes free")
        backlog = self._spool.backlog()
        age = datetime.now(UTC) - backlog.oldest if backlog.oldest else timedelta()
        if backlog.bytes > limits.backlog_bytes / spare or age > limits.backlog_age / spare:
            cause = f"{backlog.count} mails, {backlog.bytes} bytes, oldest {age} old"
            return Temporary(451, "4.3.2", "System busy, please try again later", cause)
        return None
