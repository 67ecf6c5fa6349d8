"""Parts 2 to 6: the whole way of a mail, on the store that a desk is given."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench import mix, peers, procfs
from tests.bench.feed import Sent, feed
from tests.bench.site import Desk
from tests.bench.table import Line, Table, percentile

FULL_SPOOL, CPU_ALL = "from a full spool, mail of ours queued", "all processes, accept to commit"
RATE_BAR, CPU_BAR, FLAT_BAR, CALM_BAR = 400.0, 4.0, 0.7, 2.0
BIG = 10 * 1024 * 1024
MEASUREMENTS = ("start", "throughput", "straight", "flood", "rooms", "steady")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A store to measure on: a copy of ``state`` for all measurements, or with None an empty one for each."""

    name: str
    state: Path | None
    known: Sequence[mix.Thread]
    rss_bar: float      # MB
    rest_bar: float     # MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    mails: int
    rate: float
    seconds: float


class Works:
    """All measurements on one ground."""

    def __init__(self, table: Table, root: Path, ground: Ground, sizes: Sizes, seed: int) -> None:
        self.table, self.root, self.ground, self.sizes, self._seed = table, root, ground, sizes, seed
        self._last: Desk | None = None
        root.mkdir()

    def some(self, names: Sequence[str] | None = None) -> None:
        """The measurements with these names, or all."""
        with peers.sink() as self._sink:
            for name in names or MEASUREMENTS:
                getattr(self, name)()

    # --- Means ---

    @contextmanager
    def _desk(self, name: str, *, hold: bool = False, silent: bool = False, rooms: Path | None = None) -> Iterator[Desk]:
        desk = self._prepared(name)
        with desk.running(hold=hold, silent=silent, rooms=rooms):
            yield desk

    def _prepared(self, name: str) -> Desk:
        if self._last is not None and self.ground.state:
            return self._last
        if self._last is not None:
            shutil.rmtree(self._last.root)
        self._last = Desk(self.root / name, sink=self._sink)
        if self.ground.state:
            shutil.copytree(self.ground.state, self._last.state)
            os.sync()   # else the disk would be busy with the copy while we measure
        return self._last

    def _letters(self, n: int) -> list[mix.Letter]:
        """Other people each time, so that no budget remembers the last measurement."""
        self._seed += 1
        return mix.letters(n, self._seed, known=self.ground.known)

    def _add(self, part: str, what: str, value: float, unit: str, **more: object) -> None:
        self.table.add(Line(part=part, what=what, value=value, unit=unit, store=self.ground.name, **more))  # type: ignore[arg-type]

    # --- Measurements ---

    def start(self) -> None:
        """From exec to the first 250, and to ready; memory at rest."""
        part = "4 start and memory at rest"
        desk = self._prepared("start")
        try:
            for _ in range(2):      # the first one warms the page cache
                begun = time.time()
                desk.launch()
                first = desk.first_250(self._letters(1)[0]) - begun
                desk.ready()
                ready = time.time() - begun
                time.sleep(2)
                resting = procfs.pss(desk.pid)
                desk.stop_slowly()
        finally:
            desk.abandon()
        self._add(part, "start to first 250", first, "s", bar=1.5, way="at most")
        self._add(part, "start to ready", ready, "s")
        self._add(part, "memory at rest", resting / 1e6, "MB", bar=self.ground.rest_bar, way="at most", note="PSS of all processes")

    def throughput(self) -> None:
        """A spool that was filled while the pipeline was held: the pipeline alone, then sending alone."""
        part, n = "2 mail to commit, mails/s (smtp-sink as smarthost)", self.sizes.mails
        letters = self._letters(n)
        with self._desk("throughput", hold=True, silent=True) as desk:
            before = desk.cpu()
            feed(desk.port, letters)
            accepted = desk.cpu()
            with procfs.Memory(desk.pid) as memory:
                begun = time.time()
                with procfs.Share(desk.pid) as share:
                    desk.release()
                    committed = desk.committed()
                decided = desk.cpu()
                released = time.time()
                desk.send()
                sent = desk.drained()
                after = desk.cpu()
            found = desk.decided(n)
            desk_ok = sum(row["disposition"] == "apply" for _, row in found.values())
        quarter = sorted(at for at, _ in found.values())
        steady = (len(quarter) // 2) / (quarter[-len(quarter) // 4] - quarter[len(quarter) // 4])
        acks = sum("ack" in row["outgoing"] for _, row in found.values())
        joined = sum("ack" not in row["outgoing"] and row["ticket"] is not None for _, row in found.values())
        self._add(part, FULL_SPOOL, n / (committed - begun), "/s", bar=RATE_BAR,
                  note=f"{n} mails, acknowledgements queued; middle half {steady:.0f}/s; {share.told}")
        self._add(part, "then sending what they caused", n / (sent - released), "/s",
                  note=f"{acks} acknowledged, {joined} joined a ticket, {n - desk_ok} not applied")
        self._cpu(n, before, accepted, decided, after)
        self._add("4 memory", "memory, peak with a full spool", memory.peak / 1e6, "MB", bar=self.ground.rss_bar, way="at most", note="PSS of all processes")

    def _cpu(self, n: int, *marks: tuple[float, float]) -> None:
        part = "3 CPU a mail, counted by the kernel"
        (m0, c0), (m1, c1), (m2, c2), (m3, c3) = marks
        self._add(part, CPU_ALL, (m2 - m0 + c2 - c0) * 1000 / n, "ms", bar=CPU_BAR, way="at most")
        self._add(part, "of it accept (porters)", (m1 - m0 + c1 - c0) * 1000 / n, "ms", note=f"{(m1 - m0) * 1000 / n:.2f} in the gateway process")
        self._add(part, "of it parse (worker processes)", (c2 - c1) * 1000 / n, "ms")
        self._add(part, "of it decide and write (gateway process)", (m2 - m1) * 1000 / n, "ms")
        self._add(part, "sending the 1.6 mails it causes", (m3 - m2 + c3 - c2) * 1000 / n, "ms")

    def straight(self) -> None:
        """In by SMTP and on at once: accept, pipeline, sending and the load share the cores."""
        part, n = "2 mail to commit, mails/s (smtp-sink as smarthost)", self.sizes.mails
        letters = self._letters(n)
        with self._desk("straight") as desk:
            begun = time.time()
            with procfs.Share(desk.pid) as share:
                sent = feed(desk.port, letters)
                accepted = max(s.accepted for s in sent)
                committed = desk.committed()
        self._add(part, "by SMTP as fast as it goes, load on the same cores", n / (committed - begun), "/s", bar=RATE_BAR,
                  note=f"accepted at {n / (accepted - begun):.0f}/s meanwhile; sending is on; {share.told}")

    def flood(self) -> None:
        part, n = "2 mail to commit, mails/s (smtp-sink as smarthost)", max(200, self.sizes.mails // 4)
        self._seed += 1
        with self._desk("flood", hold=True) as desk:
            feed(desk.port, mix.flood(n, self._seed))
            begun = time.time()
            with procfs.Share(desk.pid) as share:
                desk.release()
                committed = desk.committed()
        self._add(part, "flood: one sender, from a full spool", n / (committed - begun), "/s", note=f"{n} mails; {share.told}")

    def rooms(self) -> None:
        """CPU by room, in a run of its own: the clocks cost some, too."""
        part, n = "3 CPU a mail by room (run with clocks)", max(400, self.sizes.mails // 2)
        file = self.root / "rooms.json"
        letters = self._letters(n)
        with self._desk("rooms", hold=True, rooms=file) as desk:
            before = desk.cpu()
            feed(desk.port, letters)
            accepted = desk.cpu()
            desk.release()
            desk.committed()
            desk.drained()
            after = desk.cpu()
        own, taking = (after[0] - before[0]) * 1000 / n, (accepted[1] - before[1]) * 1000 / n
        below = (after[1] - accepted[1]) * 1000 / n
        clocks = {room: (cpu * 1000 / n, calls) for room, (cpu, calls) in json.loads(file.read_text("utf-8")).items()}
        self._add(part, "accept (porters)", taking, "ms")
        self._add(part, "parse (worker processes)", below, "ms")
        for room, (cpu, calls) in sorted(clocks.items(), key=lambda item: -item[1][0]):
            self._add(part, room, cpu, "ms", note=f"{calls} calls")
        seen = sum(cpu for cpu, _ in clocks.values())
        self._add(part, "gateway process, not in any room", own - seen, "ms", note="executors, other threads, start and stop")
        self._add(part, "all processes, with clocks", own + taking + below, "ms")

    def steady(self) -> None:
        """A modest load without and with one big mail in it, on one desk."""
        n = int(self.sizes.rate * self.sizes.seconds)
        calm, shaken = self._letters(n), self._letters(n)
        big = replace(self._letters(1)[0], sender="big@files.example")
        big = replace(big, raw=_big(big))
        with self._desk("steady") as desk:
            feed(desk.port, self._letters(100), rate=self.sizes.rate)
            desk.committed()
            with procfs.Memory(desk.pid) as memory:
                first = feed(desk.port, calm, rate=self.sizes.rate)
                desk.committed()
            other = threading.Timer(self.sizes.seconds / 3, lambda: feed(desk.port, [big], queue="sales@acme.example"))
            other.start()
            second = feed(desk.port, shaken, rate=self.sizes.rate)
            other.join()
            desk.committed()
            desk.drained()
            found = desk.decided(2 * n + 101)
        part = f"4 latency at {self.sizes.rate:.0f}/s"
        before = self._latency(part, "", first, found)
        self._add("4 memory", "memory, median at steady load", percentile(memory.samples, 0.5) / 1e6, "MB")
        self._add("4 memory", "memory, peak at steady load", memory.peak / 1e6, "MB", bar=self.ground.rss_bar, way="at most", note="PSS of all processes")
        part = "6 one 10 MB mail to ten agents in between: the other mails"
        after = self._latency(part, "", second, found)
        for name, a, b in zip(("250", "commit"), before, after, strict=True):
            self._add(part, f"p99 to {name}, with / without", b / a, "x", bar=CALM_BAR, way="at most")

    def _latency(self, part: str, words: str, sent: list[Sent], found: dict[str, tuple[float, object]]) -> tuple[float, float]:
        accept = [(s.accepted - s.due) * 1000 for s in sent]
        commit = [(found[s.spool_id][0] - s.due) * 1000 for s in sent]
        for name, values in (("250", accept), ("commit", commit)):
            self._add(part, f"to {name}, p50{words}", percentile(values, 0.5), "ms")
            self._add(part, f"to {name}, p99{words}", percentile(values, 0.99), "ms", note=f"{len(sent)} mails, worst {max(values):.0f} ms")
        return percentile(accept, 0.99), percentile(commit, 0.99)


def _big(letter: mix.Letter) -> bytes:
    """``letter`` with a text of its own and a file that makes it 10 MB on the wire."""
    import base64
    import random

    file = base64.encodebytes(random.Random(10).randbytes(BIG * 57 // 78)).replace(b"\n", b"\r\n")
    return (
        b"Message-ID: <big." + letter.message_id.strip("<>").encode() + b">\r\nFrom: big@files.example\r\nTo: sales@acme.example\r\n"
        b"Subject: The plans\r\nDate: Mon, 01 Jun 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="=_big"\r\n\r\n--=_big\r\nContent-Type: text/plain\r\n\r\nHere they are.\r\n'
        b'--=_big\r\nContent-Type: application/pdf; name="plans.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\n' + file + b"--=_big--\r\n"
    )
