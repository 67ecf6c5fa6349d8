"""The doors, held open by processes of their own: all that stands before a 250, and nothing else.

A porter takes mail in and puts it into the spool; before it says 250, it tells the gateway's process
what came. So neither a busy pipeline nor a large mail on its way through the database makes a peer wait, and
two porters take mail twice as fast as one. The gateway opens the sockets and hands them over: a
porter listens on what it is given, counts connections in memory that all porters share, and
ends when its orders end. It holds the state's lock as long as it lives.

    gateway ── pickled Orders, then JSON lines {"waiting": [mails, octets, oldest]} {"stop": seconds} ──► porter
    gateway ◄── JSON lines {"arrived": [[id, octets], …]} {"open": true} {"broken": why} ── porter
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import io
import ipaddress
import json
import mmap
import os
import pickle
import secrets
import signal
import socket
import ssl
import stat
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from gateway import log as logs
from gateway.config import Config, Listen
from gateway.core.address import canonical, domain
from gateway.core.policy import Policy
from gateway.core.profile import read_reply, read_return
from gateway.edge import smtp_crowd
from gateway.edge.smtp_receive import BACKLOG, Door, spool_threads
from gateway.edge.smtp_settings import DoorSettings, Submission
from gateway.edge.spool import Spool
from gateway.edge.spool_in import Backlog, Inlet, SpoolId
from gateway.errors import StateError
from gateway.settings_kinds import Endpoint

LOGINS = frozenset({"submission", "submission_starttls"})   # of one porter only: it counts who guesses at passwords
GRACE = 25.0        # of the 30 seconds a SIGTERM may take
_LENGTH = struct.Struct(">Q")
_LOOK = 1.0         # seconds between two words on what waits
_PIPE = 1 << 20     # octets of news that may wait for the gateway: some twenty thousand mails
log = structlog.get_logger("mailwicket")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a porter is told first. ``doors`` is (name, descriptors of its sockets, descriptor of its crowd)."""

    config: Config
    doors: tuple[tuple[str, tuple[int, ...], int], ...]
    number: int
    salt: bytes


# --- The gateway's side ---------------------------------------------------------------------


class Porters:
    """Starts them, hears from them, ends them. ``places`` says where each door is, for people: a port or "unix"."""

    def __init__(self, config: Config, spool: Spool, lock: int) -> None:
        self._config, self._spool, self._lock = config, spool, lock
        self.places: dict[str, str] = {}
        self._processes: list[asyncio.subprocess.Process] = []
        self._hearing: list[asyncio.Task[None]] = []
        self._open: list[asyncio.Future[None]] = []
        self._stopping = False

    async def start(self) -> None:
        """Listen at all doors. Raises StateError if one cannot be opened. Who comes now waits for ``opened``."""
        listen = self._config.listen
        tls_context(listen.tls_certificate, listen.tls_key)     # trouble with it is told here, once
        sockets = {name: _sockets(where) for name, where in _places(listen).items() if where is not None}
        self.places.update((name, _place(found[0])) for name, found in sockets.items())
        with contextlib.ExitStack() as ours:
            for found in sockets.values():
                for one in found:
                    ours.enter_context(one)
            doors = tuple(
                (name, tuple(s.fileno() for s in found), ours.enter_context(_memory(listen.porters)).fileno())
                for name, found in sockets.items()
            )
            salt = secrets.token_bytes(16)
            for number in range(listen.porters if sockets else 0):
                mine = tuple(door for door in doors if number == 0 or door[0] not in LOGINS)
                await self._spawn(Orders(config=self._config, doors=mine, number=number, salt=salt))
        self._open = [asyncio.get_running_loop().create_future() for _ in self._processes]
        self._hearing = [
            asyncio.create_task(self._hear(process, told)) for process, told in zip(self._processes, self._open, strict=True)
        ]

    async def opened(self) -> None:
        """Until mail comes in. Raises StateError if a porter did not get so far."""
        await asyncio.gather(*self._open)

    async def _spawn(self, orders: Orders) -> None:
        descriptors = [*(fd for _, listening, crowd in orders.doors for fd in (*listening, crowd)), self._lock]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[1], pass_fds=descriptors, limit=_PIPE,
        )
        self._processes.append(process)
        assert process.stdin is not None
        told = pickle.dumps(orders)
        process.stdin.write(_LENGTH.pack(len(told)) + told)

    async def _hear(self, process: asyncio.subprocess.Process, opened: asyncio.Future[None]) -> None:
        """Take note of what a porter brings until it ends; StateError if nobody told it to."""
        assert process.stdout is not None
        async for line in process.stdout:
            match json.loads(line):
                case {"arrived": mails}:
                    self._spool.arrived(mails)
                case {"broken": why}:
                    self._spool.broken = why
                case {"open": _}:
                    opened.set_result(None)
        status = await process.wait()
        if self._stopping:
            return
        error = StateError(f"a porter ended with status {status}: its last words stand above; start anew")
        if opened.done():
            raise error
        opened.set_exception(error)

    def at_work(self) -> list[asyncio.Task[None]]:
        """What goes on while the doors are open; one that ends has ended with an error."""
        return [*self._hearing, asyncio.create_task(self._report())]

    async def _report(self) -> None:
        """Tell the porters what waits, so that they refuse more when it is too much."""
        while True:
            backlog = self._spool.backlog()
            oldest = backlog.oldest.isoformat() if backlog.oldest else None
            self._tell({"waiting": [backlog.count, backlog.bytes, oldest]})
            await asyncio.sleep(_LOOK)

    def _tell(self, word: dict[str, Any]) -> None:
        for process in self._processes:
            if process.stdin is not None and not process.stdin.is_closing():
                process.stdin.write(json.dumps(word).encode() + b"\n")

    async def stop(self, grace: float = GRACE) -> None:
        """Close the doors; mails that are coming in may finish for ``grace`` seconds."""
        self._stopping = True
        self._tell({"stop": grace})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace + 4):
                await asyncio.gather(*(process.wait() for process in self._processes))
        for process in self._processes:
            if process.returncode is None:
                process.kill()
        await asyncio.gather(*self._hearing, return_exceptions=True)     # all they have put is known by then


def _sockets(where: Endpoint | Path) -> list[socket.socket]:
    """Listening sockets of a door. Raises StateError."""
    found: list[socket.socket] = []
    try:
        if isinstance(where, Path):
            with contextlib.suppress(FileNotFoundError):    # of a gateway that was killed
                if stat.S_ISSOCK(where.stat().st_mode):
                    where.unlink()
            one = socket.socket(socket.AF_UNIX)
            found.append(one)
            one.bind(str(where))
            where.chmod(DoorSettings(hostname="").socket_mode)
        else:
            for family, kind, protocol, _, address in socket.getaddrinfo(
                where.host, where.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            ):
                one = socket.socket(family, kind, protocol)
                found.append(one)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                one.bind(address)
        for one in found:
            one.listen(BACKLOG)
            one.setblocking(False)
    except OSError as error:
        for one in found:
            one.close()
        raise StateError(f"cannot listen on {where}: {error}: free the address or configure another") from error
    return found


def _memory(porters: int) -> io.FileIO:
    file = io.FileIO(os.memfd_create("mailwicket-crowd"), "r+")
    file.truncate(smtp_crowd.size(porters))
    return file


def _place(one: socket.socket) -> str:
    return "unix" if one.family == socket.AF_UNIX else str(one.getsockname()[1])


# --- The porter's side ----------------------------------------------------------------------


class _Inlet(Inlet):
    """The spool's way in. What waits there is the gateway's to know, so it is told of all and asked for the sum."""

    def __init__(self, root: Path, news: int) -> None:
        super().__init__(root)
        self.waiting = Backlog(count=0, bytes=0, oldest=None)
        self._news, self._lock = news, threading.Lock()

    def arrived(self, mails: Sequence[tuple[SpoolId, int]]) -> None:
        self.tell({"arrived": mails})

    def backlog(self) -> Backlog:
        return self.waiting

    def tell(self, news: dict[str, Any]) -> None:
        """Write one line; it waits when the gateway is more than _PIPE behind."""
        line = memoryview(json.dumps(news).encode() + b"\n")
        with self._lock:
            while line:
                try:
                    line = line[os.write(self._news, line):]
                except BrokenPipeError:
                    os._exit(0)     # the gateway is gone: no 250 any more


async def _keep(orders: Orders, inlet: _Inlet) -> None:
    """Hold the doors open until we are told to stop, or the gateway is gone."""
    config, threads = orders.config, spool_threads()
    words = asyncio.StreamReader(limit=_PIPE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(words), sys.stdin)
    knows, relay_of = recipients(config.policy), relays(config.policy)
    tls = tls_context(config.listen.tls_certificate, config.listen.tls_key)
    doors = []
    for name, sockets, crowd in orders.doors:
        settings = DoorSettings(
            hostname=config.policy.host, max_size=config.listen.max_size, tls=tls, lmtp=name == "lmtp",
            submission=agents_door(config, implicit=name == "submission") if name in LOGINS else None,
        )
        memory = mmap.mmap(crowd, 0)
        doors.append(await Door(
            settings, inlet, knows=knows, relay_of=relay_of, threads=threads,
            crowd=smtp_crowd.Crowd(memory, orders.number, orders.salt),
        ).start(given=[socket.socket(fileno=fd) for fd in sockets]))
    inlet.tell({"open": True})
    gc.collect()
    gc.freeze()
    async for line in words:
        match json.loads(line):
            case {"waiting": [count, octets, oldest]}:
                since = datetime.fromisoformat(oldest) if oldest else None
                inlet.waiting = Backlog(count=count, bytes=octets, oldest=since)
            case {"stop": grace}:
                await asyncio.gather(*(door.stop(grace) for door in doors))
                threads.shutdown()
                return
        if inlet.broken:
            inlet.tell({"broken": inlet.broken})
    os._exit(0)     # nobody takes what we would put into the spool; the peers will come again


def main() -> int:
    """One porter; its orders are on standard input."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)   # a terminal or systemd means the gateway, which tells us
    told = io.FileIO(0, closefd=False)
    (length,) = _LENGTH.unpack(_exactly(told, _LENGTH.size))
    orders: Orders = pickle.loads(_exactly(told, length))  # noqa: S301  # our own parent's, through a pipe of ours
    # The news go through a copy of stdout, so that nothing a library prints can get among them.
    news = os.dup(1)
    os.dup2(2, 1)
    with contextlib.suppress(OSError):
        fcntl.fcntl(news, fcntl.F_SETPIPE_SZ, _PIPE)
    logs.configure(orders.config.log.format, orders.config.log.level)
    inlet = _Inlet(orders.config.state / "spool", news)
    asyncio.run(_keep(orders, inlet))
    return 0


def _exactly(told: io.FileIO, length: int) -> bytes:
    found = b""
    while len(found) < length:
        if not (more := told.read(length - len(found))):
            sys.exit(0)     # the gateway went before it said anything
        found += more
    return found


# --- Whom a door lets in --------------------------------------------------------------------


def _places(listen: Listen) -> dict[str, Endpoint | Path | None]:
    """The doors by name."""
    return {
        "smtp": listen.smtp, "lmtp": listen.lmtp, "submission": listen.submission,
        "submission_starttls": listen.submission_starttls,
    }


def agents_door(config: Config, *, implicit: bool) -> Submission | None:
    """Who may log in, and as whom they may write."""
    policy, users = config.policy, config.listen.users_file
    if users is None:
        return None
    return Submission(
        users_file=users, agents=tuple((a.login, tuple(map(canonical, a.addresses))) for a in policy.agents),
        closed_domains=frozenset({policy.reply_domain} - {""}), implicit=implicit,
    )


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


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None or key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


if __name__ == "__main__":
    sys.exit(main())
