"""Wires the rooms and runs them: the only place that knows all edges.

Order of start: lock, spool, doors, then the database. The doors open first, since a mail needs the
disk and not the database (architecture §5: start to first 250 at most 1.5 s). Order of stop: doors,
batch in hand, mail in hand, database.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import signal
import ssl
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import structlog

from gateway.books import QUIET, Bookkeeper
from gateway.config import Config
from gateway.core.address import domain
from gateway.core.policy import Policy
from gateway.core.profile import read_reply, read_return
from gateway.counter import Counter
from gateway.edge.control import ControlServer
from gateway.edge.drop_receive import DropFolder
from gateway.edge.journal import Journal
from gateway.edge.lock import Lock
from gateway.edge.maildir_out import MaildirOut
from gateway.edge.notify import Notifier, watchdog_interval
from gateway.edge.rules import RuleBook
from gateway.edge.smtp_receive import Door, spool_threads
from gateway.edge.smtp_send import Smarthost, SmarthostSettings
from gateway.edge.smtp_settings import DoorSettings
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
from gateway.postman import Carrier, Postman, Ways
from gateway.waker import Waker

TEMPLATES = Path(__file__).parent / "templates"
GRACE = 25.0        # of the 30 seconds a SIGTERM may take
log = structlog.get_logger("mailwicket")


class Gateway:
    """One running desk. ``ready`` is set when doors, database and all rooms are at work."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.ready = asyncio.Event()
        self._stop = asyncio.Event()
        self.doors: dict[str, Door] = {}

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        """Serve until ``stop``. Raises StateError if the state cannot be used, OSError never."""
        config, policy = self.config, self.config.policy
        with Lock(config.state / "lock"):
            spool = Spool(config.state / "spool")
            spool.sweep()
            threads = spool_threads()
            knows = recipients(policy)
            await self._open_doors(spool, knows, threads)
            pool = ParserPool(config.workers)
            rooms = Rooms(policy=policy, rules=RuleBook(policy.rules), composer=Composer(TEMPLATES, policy))
            try:
                books, _ = await asyncio.gather(asyncio.to_thread(open_books, config, spool), pool.start())
                await self._serve(books, spool, pool, rooms, knows)
            finally:
                await self._close_doors()
                await pool.close()
                threads.shutdown()

    async def _serve(
        self, books: Bookkeeper, spool: Spool, pool: ParserPool, rooms: Rooms, knows: Callable[[str], bool]
    ) -> None:
        intake = Intake(spool, pool, rooms, books)
        mailboxes = open_mailboxes(self.config, spool, knows)
        postman = Postman(books, Ways(carrier(self.config), {m.address: m.carrier for m in mailboxes}), rooms)
        books.on_queued = postman.queued
        postman.take_up(await books.on_writer(books.store.undelivered))
        loop = asyncio.get_running_loop()

        def put(_: str) -> None:
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
        asides = [asyncio.create_task(_pulse(notifier, books))]
        if self.config.listen.drop is not None:
            default = self.config.policy.queues[0].address
            asides.append(asyncio.create_task(DropFolder(
                self.config.listen.drop, spool, knows=knows, default=default, max_size=self.config.listen.max_size
            ).run()))
        asides += [asyncio.create_task(m.watch.run()) for m in mailboxes]
        stopped = asyncio.create_task(self._stop.wait())
        notifier.ready()
        self.ready.set()
        log.info("ready", **{name: _place(door) for name, door in self.doors.items()}, state=str(self.config.state))
        try:
            await asyncio.wait([stopped, *rooms_at_work, *asides], return_when=asyncio.FIRST_COMPLETED)
        finally:
            notifier.stopping()
            await self._close_doors()
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

    async def _open_doors(self, spool: Spool, knows: Callable[[str], bool], threads: Executor) -> None:
        listen = self.config.listen
        relay_of = relays(self.config.policy)
        tls = tls_context(listen.tls_certificate, listen.tls_key)
        for name, where in (("smtp", listen.smtp), ("lmtp", listen.lmtp)):
            if where is None:
                continue
            settings = DoorSettings(
                hostname=self.config.policy.host, max_size=listen.max_size, tls=tls, lmtp=name == "lmtp"
            )
            door = Door(settings, spool, knows=knows, relay_of=relay_of, threads=threads)
            if isinstance(where, Path):
                await door.start(path=where)
            else:
                await door.start(where.host, where.port)
            self.doors[name] = door

    async def _close_doors(self) -> None:
        await asyncio.gather(*(door.stop(GRACE) for door in self.doors.values()))
        self.doors.clear()


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


def recipients(policy: Policy) -> Callable[[str], bool]:
    """Whether we take mail for an address: a queue's, a signed reply or bounce address, postmaster."""
    own = policy.own_addresses()
    hosts = {*map(domain, own), policy.host, policy.reply_domain} - {""}
    postmasters = {f"postmaster@{host}" for host in hosts}      # RFC 5321 §4.5.1

    def knows(address: str) -> bool:
        return (
            address in own
            or address in postmasters
            or read_reply(address, policy) is not None
            or read_return(address, policy) is not None
        )

    return knows


def relays(policy: Policy) -> Callable[[str], str | None]:
    """The name of the configured relay that a peer address belongs to."""
    networks = [(ipaddress.ip_network(n, strict=False), r.name) for r in policy.relays for n in r.networks if n != "unix"]
    unix = next((r.name for r in policy.relays if "unix" in r.networks), None)

    def relay_of(peer: str) -> str | None:
        if peer == "unix":
            return unix
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(peer)
            return next((name for network, name in networks if address in network), None)
        return None

    return relay_of


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


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None or key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


def _place(door: Door) -> str:
    return str(door.port) if door.port else "unix"
