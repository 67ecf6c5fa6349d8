"""``mailwicket import``: years of old mail become tickets with their true times. Nothing is sent.

Two looks at the archives (archive_index.py): the first threads them by their headers, the second reads the
mails, conversation by conversation in the order in which they began, has them parsed in guarded processes and
hands them over in lots. A running gateway stores them between live mail (counter.py); without one the
command holds the lock and stores them itself. Run it again, and it goes on where it was ended: what is
stored is known by the store itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from gateway.archive_index import Index
from gateway.config import Config
from gateway.core.archive import Plan
from gateway.core.archive_rows import Archived
from gateway.core.sides import agents_of
from gateway.edge import lots
from gateway.edge.archive import Archives, Unreadable
from gateway.edge.control import NotRunning, ask
from gateway.edge.lock import Lock
from gateway.edge.lots import Lot, Tally
from gateway.edge.spool_keep import name_of
from gateway.edge.workers import ParserPool
from gateway.errors import StateError
from gateway.show import clean

if TYPE_CHECKING:   # a dry run of files needs neither IMAP nor DuckDB
    from gateway.archive_sources import Account

LOT_MAILS = 300
LOT_BYTES = 12 * 1024 * 1024
SHOWN = 20      # unreadable mails that are named to a person


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line. ``sources`` are paths and imap:// addresses."""

    sources: tuple[str, ...]
    dry_run: bool = False
    shadow: bool = False
    subject: bool = False
    agents: tuple[str, ...] = ()
    mailboxes: tuple[str, ...] = ()     # names of configured [[mailbox]]es
    queue: str | None = None
    password_file: Path | None = None
    yes: bool = False
    json: bool = False


@dataclass(slots=True)
class Report:
    """What ``import`` tells in the end; the object of ``--json``."""

    read: int = 0
    new: int = 0
    known: int = 0
    tickets: int = 0
    opaque: int = 0                     # stored by their header only
    unreadable: list[dict[str, str]] = field(default_factory=list)
    seconds: float = 0

    def add(self, tally: Tally) -> None:
        self.new += tally.new
        self.known += tally.known
        self.tickets += tally.tickets
        self.unreadable += [{"name": name, "why": why} for name, why in tally.failed]


class Desk(Protocol):
    """Where the mail goes; its methods may be called from any thread, one at a time."""

    def live_tickets(self) -> int: ...
    def known(self, spool_ids: Sequence[str]) -> list[str]: ...
    def record(self, lot: Lot) -> Tally: ...


def run(config: Config, options: Options) -> int:
    """Exit code 0, also if single mails could not be read. Raises MailwicketError with the remedy."""
    begun = time.monotonic()
    remote = tuple(s for s in options.sources if s.startswith(("imap://", "imaps://")))
    paths = [Path(source) for source in options.sources if source not in remote]
    named: list[Account] = []
    if remote or options.mailboxes:
        from gateway.archive_sources import accounts

        named = accounts(config, remote, options.mailboxes, options.password_file)
    with tempfile.TemporaryDirectory(prefix="mailwicket-import-") as scratch, contextlib.closing(Archives(Path(scratch))) as archives:
        index = Index(archives, datetime.now(UTC), subject=options.subject, ids=options.dry_run)
        with _bar() as bar:
            asyncio.run(_scan(index, paths, named, bar))
            if not options.dry_run:
                with _desk(config) as desk:
                    _allowed(desk, options)
                    report = asyncio.run(_store(index, desk, config, options, bar))
        if options.dry_run:
            return _dry(index, as_json=options.json)
    report.seconds = round(time.monotonic() - begun, 1)
    _tell(report, as_json=options.json)
    return 0


# --- The first look -------------------------------------------------------------------------


async def _scan(index: Index, paths: Sequence[Path], named: Sequence[Account], bar: Progress) -> None:
    task = bar.add_task("looking", total=None)
    for found in index.archives.scan(paths):
        index.take(found)
        bar.advance(task)
    for account in named:
        from gateway.archive_sources import download

        async for found in download(account, index.archives):
            index.take(found)
            bar.advance(task)
    bar.update(task, total=len(index))


# --- The second look ------------------------------------------------------------------------


async def _store(index: Index, desk: Desk, config: Config, options: Options, bar: Progress) -> Report:
    """Parse the next lot while the last one is being stored."""
    policy = config.policy
    if options.queue is not None and policy.queue(options.queue).name != options.queue:
        raise StateError(f"--queue {options.queue}: queues are {', '.join(q.name for q in policy.queues)}")
    plan = Plan(
        name=datetime.now(UTC).strftime("%Y%m%dT%H%M%S"), agents=agents_of(policy, options.agents), impute=options.shadow,
        queue=options.queue,
    )
    report = Report(read=len(index) + len(index.unreadable), unreadable=[_named(u) for u in index.unreadable])
    task = bar.add_task("storing", total=len(index))
    pool = ParserPool(max(2, config.workers))
    await pool.start()
    storing: asyncio.Task[Tally] | None = None
    try:
        async for lot, count in _lots(index, desk, plan, pool, report):
            if storing is not None:
                report.add(await storing)
            storing = asyncio.create_task(asyncio.to_thread(desk.record, lot))
            bar.advance(task, count)
        if storing is not None:
            report.add(await storing)
    finally:
        if storing is not None and not storing.done():
            await asyncio.wait([storing])
        await pool.close()
    return report


async def _lots(
    index: Index, desk: Desk, plan: Plan, pool: ParserPool, report: Report
) -> AsyncIterator[tuple[Lot, int]]:
    """Lots of whole conversations without what an earlier run stored, and how many mails each stands for."""
    for batch in _batches(index):
        read, raws = await asyncio.to_thread(_read, index, batch, report)
        known = set(await asyncio.to_thread(desk.known, list(raws)))
        fresh = [[one for one in conversation if one[0] not in known] for conversation in read]
        report.known += sum(map(len, read)) - sum(map(len, fresh))
        mails = await pool.parse_many([raws[name] for conversation in fresh for name, _, _, _ in conversation])
        report.opaque += sum(mail.opaque is not None for mail in mails)
        parsed = iter(mails)
        conversations = tuple(
            tuple(Archived(spool_id=name, mail=next(parsed), at=at, sent=sent, origin=origin) for name, at, sent, origin in one)
            for one in fresh if one
        )
        yield Lot(plan=plan, conversations=conversations, raws={n: r for n, r in raws.items() if n not in known}), sum(map(len, batch))


def _batches(index: Index) -> Iterator[list[list[int]]]:
    batch: list[list[int]] = []
    mails, octets = 0, 0
    for conversation in index.conversations():
        weight = sum(map(index.weight, conversation))
        if batch and (mails + len(conversation) > LOT_MAILS or octets + weight > LOT_BYTES):
            yield batch
            batch, mails, octets = [], 0, 0
        batch.append(conversation)
        mails += len(conversation)
        octets += weight
    if batch:
        yield batch


_Read = tuple[str, datetime, bool, str]     # name, time, from a Sent folder, origin


def _read(index: Index, batch: Sequence[Sequence[int]], report: Report) -> tuple[list[list[_Read]], dict[str, bytes]]:
    """The mails of a batch. One that went away since the first look is told and left out."""
    raws: dict[str, bytes] = {}
    out: list[list[_Read]] = []
    for conversation in batch:
        rows: list[_Read] = []
        before = index.now
        for number in conversation:
            try:
                mail = index.look(number)
            except OSError as error:
                report.unreadable.append({"name": f"mail {number}", "why": f"went away: {error.strerror or error}"})
                continue
            before = mail.at or before
            name = name_of(mail.at, mail.raw)
            rows.append((name, before, mail.sent, mail.origin))
            raws[name] = mail.raw
        out.append(rows)
    return out, raws


# --- Where it goes --------------------------------------------------------------------------


class _Running:
    """The gateway that is at work there, asked by its control socket."""

    def __init__(self, config: Config) -> None:
        self._config, self._number = config, itertools.count(1)
        self._prefix = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
        lots.sweep(config.state)

    def live_tickets(self) -> int:
        return int(next(self._ask("import_state", {}))["live_tickets"])

    def known(self, spool_ids: Sequence[str]) -> list[str]:
        return list(next(self._ask("import_known", {"ids": list(spool_ids)}))["known"])

    def record(self, lot: Lot) -> Tally:
        name = f"{self._prefix}-{next(self._number)}.lot"
        try:
            lots.write(lot, self._config.state, name)
            row = next(self._ask("import_lot", {"name": name}))
        finally:
            (self._config.state / lots.FOLDER / name).unlink(missing_ok=True)
        failed = tuple((str(n), str(why)) for n, why in row["failed"])
        return Tally(new=row["new"], known=row["known"], tickets=row["tickets"], failed=failed)

    def _ask(self, verb: str, args: dict[str, Any]) -> Iterator[dict[str, Any]]:
        return iter(list(ask(self._config.control_socket, verb, args)))


class _Own:
    """The files themselves; the caller holds the lock."""

    def __init__(self, config: Config) -> None:
        from gateway.edge.spool import Spool
        from gateway.recorder import Recorder
        from gateway.service import open_books

        self.books = open_books(config, Spool(config.state / "spool"))
        self._recorder = Recorder(self.books, config.policy)

    def live_tickets(self) -> int:
        return self._recorder.live_tickets()

    def known(self, spool_ids: Sequence[str]) -> list[str]:
        return self.books.ask(lambda: self._recorder.known(spool_ids), None)

    def record(self, lot: Lot) -> Tally:
        return self.books.ask(lambda: self._recorder.record(lot), None)


@contextlib.contextmanager
def _desk(config: Config) -> Iterator[Desk]:
    """The running gateway, or the state directory under its lock."""
    running = _Running(config)
    try:
        running.live_tickets()
    except NotRunning:
        pass
    else:
        yield running
        return
    with Lock(config.state / "lock"):
        own = _Own(config)
        try:
            yield own
        finally:
            own.books.close()


def _allowed(desk: Desk, options: Options) -> None:
    """Old mail in the figures of a desk at work is hard to take out again, so that is asked for."""
    live = 0 if options.yes else desk.live_tickets()
    if live:
        raise StateError(
            f"this desk has {live} ticket{'s' * (live != 1)} of its own, and the figures would be of both; nothing was stored. "
            "Make a backup first (mailwicket backup) and add --yes, or try it in a directory of its own: --state ./past"
        )


# --- What is told ---------------------------------------------------------------------------


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())


def _dry(index: Index, *, as_json: bool) -> int:
    """(message id, ticket) of each mail, or the conversations by size."""
    numbers = index.numbers()
    if as_json:
        for message_id, number in zip(index.ids or (), numbers, strict=True):
            sys.stdout.write(json.dumps({"message_id": message_id, "ticket": str(number)}) + "\n")
        return 0
    sizes: dict[int, int] = {}
    for number in numbers:
        sizes[number] = sizes.get(number, 0) + 1
    table = Table("mails", "conversations")
    for size, count in _counted(sizes.values()):
        table.add_row(size, str(count))
    Console().print(table)
    report = Report(read=len(index) + len(index.unreadable), unreadable=[_named(u) for u in index.unreadable])
    Console().print(Text(f"{report.read} mails in {len(sizes)} conversations; nothing was stored. {_left_out(report)}"))
    return 0


def _counted(sizes: Iterable[int]) -> list[tuple[str, int]]:
    """How many conversations have 1, 2, 3 to 5, 6 to 20 and more mails."""
    bounds = ((1, 1), (2, 2), (3, 5), (6, 20), (21, sys.maxsize))
    found = list(sizes)
    names = [str(low) if low == high else f"{low} and more" if high == sys.maxsize else f"{low} to {high}" for low, high in bounds]
    return [(name, sum(low <= s <= high for s in found)) for name, (low, high) in zip(names, bounds, strict=True)]


def _tell(report: Report, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
        return
    said = (
        f"{report.read} mails read: {report.new} new, {report.known} known already; {report.tickets} tickets. "
        f"{report.seconds:.0f} s. Nothing was sent. {_left_out(report)}\nNext: mailwicket snapshot, then open the notebooks."
    )
    Console().print(Text(said))


def _left_out(report: Report) -> str:
    if not report.unreadable and not report.opaque:
        return ""
    lines = [f"  {clean(u['name'])}: {clean(u['why'])}" for u in report.unreadable[:SHOWN]]
    more = len(report.unreadable) - SHOWN
    lines += [f"  and {more} more; --json names all"] if more > 0 else []
    return "\n".join([f"{len(report.unreadable)} left out, {report.opaque} stored by their header only.", *lines])


def _named(one: Unreadable) -> dict[str, str]:
    return {"name": one.name, "why": one.why}
