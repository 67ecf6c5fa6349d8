"""A desk at work for backup tests: journal of many small segments, writer thread, spool, backups."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gateway.backup import Forgotten, backup, retain
from gateway.edge import backup_work, frames
from gateway.edge.aside import Aside
from gateway.edge.durable import DISK, Disk
from gateway.edge.journal import Journal
from gateway.edge.spool import Spool
from gateway.edge.store import Store
from tests.edge.desk import Desk
from tests.strategies import Story

SEGMENT = 20_000    # bytes: two or three frames


class Here(Aside):
    """The same work without a process of its own: for loops over hundreds of faults."""

    def ask(self, verb: str, **args: Any) -> Any:
        self.check()
        return json.loads(json.dumps(backup_work.VERBS[verb](json.loads(json.dumps(args, default=str)))))


class Live:
    """``run`` writes frames on a thread of their own, as the gateway does."""

    def __init__(self, state: Path, story: Story, aside: Aside | None = None) -> None:
        self.desk = Desk(state, story)
        self.state, self.story, self.aside = state, story, aside or Here()
        self.writer = ThreadPoolExecutor(1)
        self.open()

    def open(self) -> None:
        self.journal = Journal(self.state / "journal", segment_bytes=SEGMENT)
        self.store = Store.open(self.state)
        self.spool = Spool(self.state / "spool")
        for seq, payload in self.journal.frames(self.store.replay_from):
            self.store.replay(seq, frames.decode(payload), self.spool.raw)
        self.store.settle()

    def close(self) -> None:
        self.journal.close()
        self.store.close()

    def run(self, count: int) -> None:
        for rows, raws in self.story.frames(count):
            self.writer.submit(self._write, rows, raws).result()

    def _write(self, rows: Any, raws: dict[str, bytes]) -> None:
        seq = max(self.journal.last_seq, self.store.applied_seq) + 1
        self.journal.append(seq, frames.encode(rows, at=self.story.now, cause="mail"))
        self.desk.keep(raws)
        self.store.write(seq, rows, raws)

    def backup(self, disk: Disk = DISK, *, prove: bool = True) -> Path:
        return backup(
            self.store, journal=self.journal, aside=self.aside, disk=disk, prove=prove,
            on_writer=lambda job: self.writer.submit(job).result(),
        )

    def retain(self, disk: Disk = DISK, keep: int = 7) -> Forgotten:
        return retain(self.state / "backup", self.journal, self.spool, aside=self.aside, keep=keep, disk=disk)

    def contents(self) -> list[str]:
        return list(self.store.dump())

    def done(self) -> set[str]:
        return {p.name for p in (self.state / "spool" / "done").glob("*/*/*")}

    def first_frame(self) -> int:
        return next(seq for seq, _ in self.journal.frames())
