"""Keeps the desk safe: a backup a day, its proof, and letting go what two of them hold.

Whether one is due is read from the backups themselves, so a missed time is made up once, after however
long. Backups dated in the future say nothing: a clock that leapt ahead and came back costs one backup
more, never one less. What fails is told, shown by `mailwicket status`, and tried again after an hour.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from gateway.backup import Forgotten, Marks, backup, line_of, proof, retain
from gateway.books import Bookkeeper
from gateway.config import Config
from gateway.edge import backups
from gateway.edge.aside import Aside, Stopped
from gateway.edge.backups import Backup
from gateway.errors import MailwicketError, StateError

FIRST, LOOK = 5.0, 30.0     # seconds from the start to the first look at the clock, and between two
AGAIN = 3600.0          # seconds after a failure
_FUTURE = timedelta(minutes=5)      # what two clocks may differ by
log = structlog.get_logger("backup")


class Keeper:
    """``run`` until ``stop``. ``backup`` is for operators; never two at once."""

    def __init__(
        self, config: Config, books: Bookkeeper, *, look: float = LOOK, again: float = AGAIN,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.config, self.books, self.now = config, books, now
        self.trouble = ""               # why the last attempt failed, until one succeeds
        self._look, self._again = look, again
        self._not_before = 0.0          # monotonic
        self._owed = False              # a retention that was due and has not been done
        self._aside = Aside()
        self._stopping = asyncio.Event()

    @property
    def root(self) -> Path:
        return self.config.backup.directory

    async def run(self) -> None:
        wait = min(self._look, FIRST)
        while not self._stopping.is_set():
            try:
                await asyncio.wait_for(self._stopping.wait(), wait)
            except TimeoutError:
                await asyncio.to_thread(self.look)
            wait = self._look

    def stop(self) -> None:
        """Give up what is being made; the next start begins it anew."""
        self._aside.stop()
        self._stopping.set()

    # --- On a thread of its own ---

    def look(self) -> None:
        """Do what is due. No trouble of a backup may stop the mail."""
        if self.config.backup.at is None or time.monotonic() < self._not_before:
            return
        try:
            self._what_is_due()
        except Stopped:
            return
        except MailwicketError as error:
            self._failed(str(error))
        except Exception as error:      # a bug here must not end the desk
            log.exception("backup_failed", directory=str(self.root))
            self._failed(f"internal error ({type(error).__name__}: {error}): report it")

    def backup(self, directory: Path | None = None) -> Path:
        """One more, now, because an operator asks. One at another ``directory`` lets nothing go.

        StateError if another one is being made.
        """
        place = self._made(directory)
        if directory is None:
            self.retain()
        return place

    def _made(self, directory: Path | None = None) -> Path:
        begun, now = time.monotonic(), self.now()
        place = backup(
            self.books.store, directory or self.root / backups.stamp(now), now=now, journal=self.books.journal, aside=self._aside,
            on_writer=self._between_frames, memory_limit=self.config.memory_limit, prove=self.config.backup.verify,
        )
        log.info("backup", place=str(place), seconds=round(time.monotonic() - begun, 1), verified=self.config.backup.verify)
        return place

    def retain(self) -> Forgotten:
        """Forget what two verified backups hold, and remove what is beyond ``keep``."""
        done = retain(
            self.root, self.books.journal, self.books.spool, aside=self._aside, keep=self.config.backup.keep
        )
        log.info("forgotten", up_to_frame=done.frames_before, segments=done.segments, mails=done.mails, backups=done.backups)
        return done

    def _what_is_due(self) -> None:
        setting = self.config.backup
        assert setting.at is not None
        ours = backups.in_line(backups.listed(self.root), line_of(self.books.journal.root))
        since = slot(self.now(), setting.at, self.config.zone)
        if is_due(self.now(), since, (b.manifest.at for b in ours), self._born()):
            self._made()
        elif setting.verify and (unproven := self._unproven(ours, since)):
            proof(unproven.path, aside=self._aside)
        elif not self._owed:
            self.trouble = ""
            return
        self._owed = True
        self.retain()
        self._owed, self.trouble = False, ""

    def _unproven(self, ours: list[Backup], since: datetime) -> Backup | None:
        """The newest, if the last attempt ended before its proof did."""
        newest = max((b for b in ours if _past(self.now(), b.manifest.at)), key=lambda b: b.manifest.at, default=None)
        return newest if newest and newest.manifest.at >= since and not newest.manifest.verified_at else None

    def _between_frames(self, job: Callable[[], Marks]) -> Marks:
        try:
            return self.books.ask(job)
        except TimeoutError as error:
            raise StateError("the writer was busy for too long: a backup needs one moment between two batches") from error

    def _born(self) -> datetime:
        """When the desk began: before that no backup was missed."""
        path = self.config.state / "keys.json"
        return datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.exists() else self.now()

    def _failed(self, why: str) -> None:
        self.trouble = why
        self._not_before = time.monotonic() + self._again
        log.error("backup_failed", why=why, again_in=f"{self._again / 60:.0f} min")


def slot(now: datetime, at: time_of_day, zone: str) -> datetime:
    """The last time ``at`` that is not after ``now``."""
    local = now.astimezone(ZoneInfo(zone))
    days = (local.date() - timedelta(days=back) for back in (0, 1, 2))
    times = (datetime.combine(day, at, ZoneInfo(zone)).astimezone(UTC) for day in days)
    return next(t for t in times if t <= now)


def is_due(now: datetime, since: datetime, made: Iterable[datetime], born: datetime) -> bool:
    """Whether the time ``since`` has come and no backup was made after it."""
    return all(at < since for at in (*made, born) if _past(now, at))


def _past(now: datetime, at: datetime) -> bool:
    return at <= now + _FUTURE


def rows(config: Config, now: datetime) -> list[dict[str, Any]]:
    """What `mailwicket backups` shows, newest first; reads the directory only."""
    floor = backups.floor_of(config.state / "journal")
    return [
        {
            "backup": str(b.path), "at": b.manifest.at.isoformat(timespec="seconds"),
            "age_hours": round((now - b.manifest.at).total_seconds() / 3600, 1), "bytes": b.size,
            "verified_at": b.manifest.verified_at.isoformat(timespec="seconds") if b.manifest.verified_at else None,
            "needs_frames_after": b.manifest.applied_seq, "restorable": b.manifest.applied_seq >= floor,
        }
        for b in backups.listed(config.backup.directory)
    ]
