"""A desk on disk for storage tests: frames of a Story through journal, spool and store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.core.model import Envelope
from gateway.edge import frames
from gateway.edge.journal import Journal
from gateway.edge.spool import Spool
from gateway.edge.store import Store
from tests.strategies import START, Story

ENVELOPE = Envelope(channel="smtp", received_at=START, mail_from="a@kunde.example", rcpt_tos=("support@acme.example",))


@dataclass
class Desk:
    """``run`` writes frames as the gateway does; ``open`` is what start-up does."""

    state: Path
    story: Story

    def run(self, count: int) -> str:
        """``count`` more frames; the hash of the dump after them."""
        store = self.open()
        journal = Journal(self.state / "journal")
        for rows, raws in self.story.frames(count):
            seq = journal.last_seq + 1
            journal.append(seq, frames.encode(rows, at=self.story.now, cause="mail"))
            self.keep(raws)
            store.write(seq, rows, raws)
        journal.close()
        found = store.dump_hash
        store.close()
        return found

    def keep(self, raws: dict[str, bytes]) -> None:
        """The raw mails as the spool keeps them after processing."""
        spool = Spool(self.state / "spool")
        for spool_id, raw in raws.items():
            path = spool._month(spool_id) / spool_id
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"{}\n" + raw)

    def open(self) -> Store:
        store = Store.open(self.state)
        journal = Journal(self.state / "journal")
        for seq, payload in journal.frames(store.replay_from):
            store.replay(seq, frames.decode(payload), Spool(self.state / "spool").raw)
        store.settle()
        journal.close()
        return store

    def hash(self) -> str:
        store = self.open()
        try:
            return store.dump_hash
        finally:
            store.close()
