"""Wires the rooms and runs them: the only place that knows all edges.

Order of start: lock, spool, doors, then the database. The doors open first (porter.py), since a mail
needs the disk and not the database (architecture §5: start to first 250 at most 1.5 s). Order of stop: doors,
batch in hand, mail in hand, database.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Mapping
from pathlib import Path

import structlog

from gateway.books import QUIET, Bookkeeper
from gateway.config import Config
from gateway.counter import Counter
from gateway.edge.control import ControlServer
from gateway.edge.dns import SystemResolver
from gateway.edge.drop_receive import DropFolder
from gateway.edge.journal import Journal
from gateway.edge.lock import Lock
from gateway.edge.maildir_out import MaildirOut
from gateway.edge.notify import Notifier, watchdog_interval
from gateway.edge.rules import RuleBook
from gateway.edge.sender_check import SenderCheck
from gateway.edge.smtp_send import Smarthost, SmarthostSettings
from gateway.edge.spool import Spool
from gateway.edge.store import Store
from gateway.edge.workers import ParserPool
from gateway.errors import DiskFailed, StateError
from gateway.intake import Intake
from gateway.keeper import Keeper
from gateway.mailboxes import open_mailboxes
from gateway.mime.compose import Composer
from gateway.morning import Morning
from gateway.pipeline import Rooms
from gateway.porter import Porters, recipients
from gateway.postman import Carrier, Postman, Ways
from gateway.waker import Waker

TEMPLATES = Path(__file__).parent / "templates"
log = structlog.get_logger("mailwicket")


class Gateway:
    """One running desk. ``ready`` is set when doors, database and all rooms are at work."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.ready = asyncio.Event()
        self._stop = asyncio.Event()
        self.doors: Mapping[str, str] = {}      # name -> port, or "unix"

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        """Serve until ``stop``. Raises StateError if the state cannot be used, OSError never."""
        config, policy = self.config, self.config.policy
        with Lock(config.state / "lock") as lock:
            spool = Spool(config.state / "spool")
            spool.sweep()
            porters = Porters(config, spool, lock.descriptor)
            self.doors = porters.places
            pool = ParserPool(config.workers)
            rooms = Rooms(policy=policy, rules=RuleBook(policy.rules), composer=Composer(TEMPLATES, policy))
            try:
                await porters.start()
                books, _ = await asyncio.gather(asyncio.to_thread(open_books, config, spool), porters.opened())
                await pool.start()
                await self._serve(books, spool, pool, rooms, porters)
            finally:
                await porters.stop()
                await pool.close()

    async def _serve(
        self, books: Bookkeeper, spool: Spool, pool: ParserPool, rooms: Rooms, porters: Porters
    ) -> None:
        intake = Intake(spool, pool, rooms, books, sender_check(self.config))
        knows = recipients(self.config.policy)
        mailboxes = open_mailboxes(self.config, spool, knows)
        postman = Postman(books, Ways(carrier(self.config), {m.address: m.carrier for m in mailboxes}), rooms)
        books.on_queued = postman.queued
        postman.take_up(await books.on_writer(books.store.undelivered))
        loop = asyncio.get_running_loop()

        def put() -> None:
            loop.call_soon_threadsafe(intake.wake.set)

        spool.on_put = put
        keeper, waker, morning = Keeper(self.config, books), Waker(books, rooms), Morning(books, rooms)
        counter = Counter(
            self.config, books, spool, rooms=rooms, keeper=keeper, morning=morning,
            mailboxes=lambda: [f for m in mailboxes for f in m.folders()],
        )
        control = ControlServer(self.config.state / "control.sock", counter.handlers())
        await control.start()
        notifier = Notifier()
        at_work = (intake, postman, keeper, waker, morning)
        rooms_at_work = [asyncio.create_task(room.run()) for room in at_work]
        asides = [asyncio.create_task(_pulse(notifier, books)), *porters.at_work()]
        if self.config.listen.drop is not None:
            default = self.config.policy.queues[0].address
            asides.append(asyncio.create_task(DropFolder(
                self.config.listen.drop, spool, knows=knows, default=default, max_size=self.config.listen.max_size
            ).run()))
        asides += [asyncio.create_task(m.watch.run()) for m in mailboxes]
        stopped = asyncio.create_task(self._stop.wait())
        notifier.ready()
        self.ready.set()
        log.info("ready", **porters.places, state=str(self.config.state))
        try:
            await asyncio.wait([stopped, *rooms_at_work, *asides], return_when=asyncio.FIRST_COMPLETED)
        finally:
            notifier.stopping()
            await porters.stop()
            for room in at_work:
                room.stop()
            for task in (stopped, *asides):
                task.cancel()
            ended = await asyncio.gather(*rooms_at_work, *asides, return_exceptions=True)
            await control.stop()
            await asyncio.to_thread(books.close)
        for error in ended:
            if isinstance(error, Exception):
                raise error


async def _pulse(notifier: Notifier, books: Bookkeeper) -> None:
    """Tell systemd's watchdog that the event loop *and* the writer turn; rest the store in between.

    Ends with DiskFailed when a disk has lied: after a failed fsync nothing it holds can be trusted.
    """
    interval = watchdog_interval() or QUIET
    while True:
        await books.on_writer(books.rest)
        if broken := books.spool.broken or books.journal.broken:
            raise DiskFailed(f"{broken}: the disk failed a write; look at it, then start anew")
        notifier.alive()
        await asyncio.sleep(min(interval, QUIET))


def run(config: Config) -> None:
    """``mailwicket serve``: until SIGTERM or SIGINT."""
    asyncio.run(_until_signal(config))


async def _until_signal(config: Config) -> None:
    gateway = Gateway(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, gateway.stop)
    frozen = asyncio.create_task(_freeze(gateway))
    try:
        await gateway.run()
    finally:
        frozen.cancel()
        gc.unfreeze()


async def _freeze(gateway: Gateway) -> None:
    """What a start has made stays; the collector looking through it took every twentieth cycle of a mail."""
    await gateway.ready.wait()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def open_books(config: Config, spool: Spool) -> Bookkeeper:
    """Journal and store, the store brought up to the journal's end, the spool up to the store."""
    books = Bookkeeper(spool, Journal(config.state / "journal"), Store.open(
        config.state, memory_limit=config.memory_limit, backup=config.backup.directory
    ))
    applied = books.catch_up()
    if applied:
        log.info("caught_up", frames=applied)
    waiting = spool.waiting()
    spool.finish(books.store.processed(waiting))
    return books


def sender_check(config: Config) -> SenderCheck | None:
    """Our own look at who sent a mail, if it is wanted."""
    if not config.dns.check:
        return None
    return SenderCheck(SystemResolver(config.dns.seconds), config.dns.seconds)


def carrier(config: Config) -> Carrier:
    """The configured way out."""
    send = config.send
    if send.maildir is not None:
        return MaildirOut(send.maildir)
    if send.smarthost is None:
        raise StateError("no way out: set send.smarthost or send.maildir")
    return Smarthost(SmarthostSettings(
        host=send.smarthost.host, port=send.smarthost.port, helo=config.policy.host, tls=send.tls,
        cafile=str(send.cafile) if send.cafile else None,
        username=send.username, password=send.password() or "",
    ))
