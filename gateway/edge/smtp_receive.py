"""The front door: SMTP or LMTP on a TCP port or a Unix-domain socket, in our own event loop.

A door listens, counts who is inside, and sees them out when the service stops; the protocol is in
``smtp_connection`` and ``smtp_conversation``, the way of the data to the spool in ``smtp_data``.
250 means that the mail is durable in ``spool/in``: everything else happens later, so a busy
pipeline never slows a peer.
Limits not kept here: rates per address, greeting delay.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from gateway.edge.logins import Guesses, Users
from gateway.edge.room import Room, RoomLimits
from gateway.edge.smtp_connection import Connection
from gateway.edge.smtp_conversation import Conversation, LmtpConversation
from gateway.edge.smtp_crowd import Crowd
from gateway.edge.smtp_settings import DoorSettings, Limits, network_of
from gateway.edge.smtp_submission import SubmissionConversation
from gateway.edge.spool_commit import GroupCommit
from gateway.edge.spool_in import Inlet
from gateway.errors import SmtpError, StateError

__all__ = ["Door", "DoorSettings", "Limits", "spool_threads"]

log = logging.getLogger(__name__)

THREADS = 16  # so many fsyncs share one flush of the disk
BACKLOG = 512
# Names in the crowd that are no networks.
_ALL, _RELAYS = "all", "relays"
_GOODBYE = "421 4.3.2 Service shutting down, please try again later"


def spool_threads() -> ThreadPoolExecutor:
    """The threads that write to the spool; doors of one process may share them."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="spool")


class Door:
    """One listening place. ``knows`` is asked with a canonical address whether its mail is for us;
    ``relay_of`` with the peer's IP address, or "unix", for the name of a configured relay."""

    def __init__(
        self,
        settings: DoorSettings,
        spool: Inlet,
        *,
        knows: Callable[[str], bool],
        relay_of: Callable[[str], str | None],
        threads: Executor | None = None,
        room: Room | None = None,
        crowd: Crowd | None = None,
    ) -> None:
        self.settings, self.spool, self.knows, self.relay_of = settings, spool, knows, relay_of
        self.stopping = False
        self.template: Mapping[str, Any] = {}
        self._own_threads = spool_threads() if threads is None else None
        self.threads: Executor = threads or self._own_threads or spool_threads()
        self._room = room or Room(spool, RoomLimits(), self.reserve)
        self._servers: list[asyncio.Server] = []
        self._inside: set[Connection] = set()
        self._crowd = crowd or Crowd()

    @property
    def port(self) -> int:
        """The TCP port we listen on, also when 0 was asked for; 0 for a Unix-domain socket."""
        assert self._servers, "the door is not open"
        name = self._servers[0].sockets[0].getsockname()
        return int(name[1]) if isinstance(name, tuple) else 0

    @functools.cached_property
    def commits(self) -> GroupCommit:
        return GroupCommit(self.spool, self.threads, THREADS)

    # Of the submission door only.

    @functools.cached_property
    def users(self) -> Users:
        assert self.settings.submission is not None
        return Users(self.settings.submission.users_file)

    @functools.cached_property
    def guesses(self) -> Guesses:
        return Guesses(time.monotonic)

    @functools.cached_property
    def guards(self) -> ThreadPoolExecutor:
        """Passwords are checked by two threads: that bounds memory and processor, whoever knocks."""
        return ThreadPoolExecutor(2, thread_name_prefix="login")

    def reserve(self) -> int:
        """Bytes that those inside may still send: each once to tmp/, and once to the database."""
        return 2 * self.settings.max_size * self._crowd.count(_ALL)

    async def start(
        self, host: str = "", port: int = 0, *, path: Path | None = None, given: Sequence[socket.socket] = ()
    ) -> Door:
        """Listen on ``host``:``port``, on the Unix-domain socket ``path``, or on sockets that others listen on as well."""
        loop = asyncio.get_running_loop()
        dialect = LmtpConversation if self.settings.lmtp else Conversation
        dialect = SubmissionConversation if self.settings.submission else dialect
        self.template = dict(
            vars(SMTP(object(), hostname=self.settings.hostname, tls_context=self.settings.tls, loop=loop))
        )
        try:
            if given:
                await self._share(given, lambda: dialect(self))
            elif path is None:
                self._servers = [await loop.create_server(lambda: dialect(self), host, port, backlog=BACKLOG)]
            else:
                self._servers = [await loop.create_unix_server(lambda: dialect(self), path, backlog=BACKLOG)]
                path.chmod(self.settings.socket_mode)  # noqa: ASYNC240  # once, at start
        except OSError as error:
            place = f"{host}:{port}" if path is None else str(path)
            raise StateError(f"cannot listen on {place}: {error}: free the address or configure another") from error
        return self

    async def _share(self, sockets: Sequence[socket.socket], conversation: Callable[[], Connection]) -> None:
        """Take one connection a turn, so that whoever has the least to do takes the next."""
        loop = asyncio.get_running_loop()
        for one in sockets:
            open_at = loop.create_unix_server if one.family == socket.AF_UNIX else loop.create_server
            self._servers.append(await open_at(conversation, sock=one, backlog=1))
            one.listen(BACKLOG)     # asyncio took its ``backlog`` for the kernel's, too

    async def stop(self, grace: float = 30.0) -> None:
        """Take no more connections; let mails that are coming in finish for ``grace`` seconds, then 421.

        A mail whose end has arrived is stored in any case.
        """
        self.stopping = True
        for server in self._servers:
            server.close()
        self._dismiss(lambda one: one.waiting)
        await self._emptied(grace)
        self._dismiss(lambda one: not one.storing)
        await self._emptied(1.0)
        for one in list(self._inside):
            one.abort()
        await self._emptied(1.0)
        if self.settings.submission is not None:
            self.guards.shutdown(wait=False, cancel_futures=True)
        if self._own_threads is not None:
            await asyncio.to_thread(self._own_threads.shutdown)

    def _dismiss(self, which: Callable[[Connection], bool]) -> None:
        for one in filter(which, list(self._inside)):
            one.dismiss(_GOODBYE)

    async def _emptied(self, seconds: float) -> None:
        tasks = [one.task for one in self._inside if one.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    # --- For connections ---

    def refusal(self) -> SmtpError | None:
        return self._room.refusal()

    def enter(self, connection: Connection) -> str | None:
        """Count a new connection; the reply to send it away with if it is one too many."""
        limits, crowd, names = self.settings.limits, self._crowd, _names(connection)
        self._inside.add(connection)
        crowd.enter(*names)
        if connection.relay is not None:
            if crowd.count(_RELAYS) > limits.relay_connections:
                return "421 4.7.0 Too many connections from relays"
            return None
        if crowd.count(_ALL) - crowd.count(_RELAYS) > limits.connections:
            return "421 4.7.0 Too many connections"
        if connection.peer != "unix" and crowd.count(names[1]) > limits.connections_per_network:
            return "421 4.7.0 Too many connections from your network"
        return None

    def leave(self, connection: Connection) -> None:
        if connection in self._inside:
            self._inside.discard(connection)
            self._crowd.leave(*_names(connection))


def _names(connection: Connection) -> tuple[str, ...]:
    """What a connection counts as."""
    network = network_of(connection.peer)
    return (_ALL, network, _RELAYS) if connection.relay is not None else (_ALL, network)
