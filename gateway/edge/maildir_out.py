"""Delivery into a Maildir, for trying Mailwicket out and for sites whose MTA picks mail up there.

As a final delivery agent does (RFC 5321 §4.4), a ``Return-Path`` line is put before the mail, and
``Delivered-To`` with the recipient; below these two lines the bytes are those that were given,
CRLF line ends included. The file name follows from ``name``, so sending again replaces, and does
not double, what a crash left uncertain.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Self

from gateway.core.address import parse_mailbox
from gateway.core.retry import SendResult
from gateway.edge.durable import DISK, Disk, put_file, refusal
from gateway.errors import AddressError

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


class MaildirOut:
    """A sender with the interface of ``smtp_send.Smarthost``; ``path`` holds tmp, new and cur."""

    def __init__(self, path: Path, disk: Disk = DISK) -> None:
        self.path, self.disk = path, disk
        for name in ("tmp", "new", "cur"):
            disk.mkdir(path / name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Nothing is kept open."""

    async def send(self, mail_from: str, rcpt_to: str, raw: bytes, name: str) -> SendResult:
        """Deliver ``raw`` as file ``name`` (of letters, digits, ``_`` and ``-``: the outbox id)."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be part of a file name")
        try:
            sender = parse_mailbox(mail_from) if mail_from else ""
            recipient = parse_mailbox(rcpt_to)
        except AddressError as error:
            return SendResult("failed", f"553 5.1.3 not sent: {error}")
        head = f"Return-Path: <{sender}>\r\nDelivered-To: {recipient}\r\n".encode()
        try:
            return await asyncio.to_thread(self._deliver, f"{name}.mailwicket", head + raw)
        except OSError as error:
            return SendResult("deferred", refusal(error).reply)

    def _deliver(self, name: str, content: bytes) -> SendResult:
        # A reader that has seen the mail moved it to cur/ and appended its flags.
        if not any((self.path / "cur").glob(f"{name}*")):
            put_file(self.disk, self.path / "tmp" / name, self.path / "new" / name, content)
        return SendResult("sent", f"250 2.0.0 {name}")
