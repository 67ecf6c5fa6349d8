"""The front door: SMTP or LMTP on a TCP port or a Unix-domain socket, in our own event loop.

A door listens, counts who is inside, and sees them out when the service stops; the protocol is in
``smtp_connection`` and ``smtp_conversation``, the way of the data to the spool in ``smtp_data``.
250 means that the mail is durable in ``spool/in``: everything else happens later, so a busy
pipeline never slows a peer.
Limits not kept here: rates per address, greeting delay.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from gateway.edge.logins import Guesses, Users
from gateway.edge.room import Room, RoomLimits
from gateway.edge.smtp_connection import Connection
from gateway.edge.smtp_conversation import Conversation, LmtpConversation
from gateway.edge.smtp_settings import DoorSettings, Limits, network_of
from gateway.edge.smtp_submission import SubmissionConversation
from gateway.edge.spool import Spool
from gateway.edge.spool_commit import GroupCommit
from gateway.errors import SmtpError, StateError

__all__ = ["Door", "DoorSettings", "Limits", "spool_threads"]

log = logging.getLogger(__name__)

THREADS = 16  # so many fsyncs share one flush of the disk
_BACKLOG = 512
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
        spool: Spool,
        *,
        knows: Callable[[str], bool],
        relay_of: Callable[[str], str | None],
        threads: Executor | None = None,
        room: Room | None = None,
    ) -> None:
        self.settings, self.spool, self.knows, self.relay_of = settings, spool, knows, relay_of
        self.stopping = False
        self.template: Mapping[str, Any] = {}
        self._own_threads = spool_threads() if threads is None else None
        self.threads: Executor = threads or self._own_threads or spool_threads()
        self._room = room or Room(spool, RoomLimits(), self.reserve)
        self._server: asyncio.Server | None = None
        self._inside: set[Connection] = set()
        self._networks: collections.Counter[str] = collections.Counter()
        self._relays = 0  # of those inside

    @property
    def port(self) -> int:
        """The TCP port we listen on, also when 0 was asked for; 0 for a Unix-domain socket."""
        assert self._server is not None, "the door is not open"
        name = self._server.sockets[0].getsockname()
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
        return 2 * self.settings.max_size * len(self._inside)

    async def start(self, host: str = "", port: int = 0, *, path: Path | None = None) -> Door:
        """Listen on ``host``:``port``, or on the Unix-domain socket ``path``."""
        loop = asyncio.get_running_loop()
        dialect = LmtpConversation if self.settings.lmtp else Conversation
        dialect = SubmissionConversation if self.settings.submission else dialect
        self.template = dict(
            vars(SMTP(object(), hostname=self.settings.hostname, tls_context=self.settings.tls, loop=loop))
        )
        try:
            if path is None:
                self._server = await loop.create_server(lambda: dialect(self), host, port, backlog=_BACKLOG)
            else:
                self._server = await loop.create_unix_server(lambda: dialect(self), path, backlog=_BACKLOG)
                path.chmod(self.settings.socket_mode)  # noqa: ASYNC240  # once, at start
        except OSError as error:
            place = f"{host}:{port}" if path is None else str(path)
            raise StateError(f"cannot listen on {place}: {error}: free the address or configure another") from error
        return self

    async def stop(self, grace: float = 30.0) -> None:
        """Take no more connections; let mails that are coming in finish for ``grace`` seconds, then 421.

        A mail whose end has arrived is stored in any case.
        """
        self.stopping = True
        if self._server is not None:
            self._server.close()
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
        limits, network = self.settings.limits, network_of(connection.peer)
        self._inside.add(connection)
        self._networks[network] += 1
        if connection.relay is not None:
            self._relays += 1
            if self._relays > limits.relay_connections:
                return "421 4.7.0 Too many connections from relays"
            return None
        if len(self._inside) - self._relays > limits.connections:
            return "421 4.7.0 Too many connections"
        if connection.peer != "unix" and self._networks[network] > limits.connections_per_network:
            return "421 4.7.0 Too many connections from your network"
        return None

    def leave(self, connection: Connection) -> None:
        if connection in self._inside:
            self._inside.discard(connection)
            self._relays -= connection.relay is not None
            network = network_of(connection.peer)
            self._networks[network] -= 1
            if not self._networks[network]:
                del self._networks[network]

