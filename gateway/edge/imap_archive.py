"""All mails of some folders of an IMAP account, read once and left as they are.

Standards: RFC 3501 §6.3.2 (EXAMINE: no flag can be changed, not even Recent), §6.4.5 (BODY.PEEK). Uses the
same guarded connection as a watched mailbox; any doubt ends the import with a sentence, and running it again
goes on, since what is stored is known.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from gateway.edge.imap_connection import Connection
from gateway.edge.imap_settings import MailboxSettings
from gateway.edge.imap_wire import Doubt
from gateway.edge.oauth import TokenSource
from gateway.errors import StateError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """One mail; ``date`` is its internal date in Unix seconds, 0 if unknown. ``why`` it is missing, then without octets."""

    folder: str
    uid: int
    date: int
    raw: bytes = b""
    why: str = ""


async def folder_mails(
    settings: MailboxSettings, tokens: TokenSource | None, folders: Sequence[str], *, largest: int
) -> AsyncIterator[Fetched]:
    """The mails of each folder, oldest first. Raises StateError if the server cannot be read to the end."""
    where = f"imap://{settings.username}@{settings.host}:{settings.port}"
    try:
        async with Connection(settings, tokens) as connection:
            for folder in folders:
                await connection.select(folder, read_only=True)
                uids = await connection.above(0)
                for begin in range(0, len(uids), settings.batch):
                    async for one in _lot(connection, settings, folder, uids[begin : begin + settings.batch], largest):
                        yield one
    except Doubt as error:
        raise StateError(f"{where}: {error}; what was stored stays, run the import again to go on") from error


async def _lot(
    connection: Connection, settings: MailboxSettings, folder: str, uids: Sequence[int], largest: int
) -> AsyncIterator[Fetched]:
    """At most a hundred mails, asked for by as many octets at once as the mailbox's pace has."""
    described = await connection.describe(uids)
    waiting: list[int] = []
    for uid in uids:
        if uid not in described:
            continue        # expunged meanwhile
        if described[uid].size > largest:
            yield Fetched(folder=folder, uid=uid, date=described[uid].date, why=f"larger than {largest >> 20} MiB")
            continue
        waiting.append(uid)
    while waiting:
        count, octets = 0, 0
        while count < len(waiting) and (count == 0 or octets + described[waiting[count]].size <= settings.pace.lot):
            octets += described[waiting[count]].size
            count += 1
        asked, waiting = waiting[:count], waiting[count:]
        found = await connection.fetch(asked, octets)
        for uid in asked:
            if uid in found:
                yield Fetched(folder=folder, uid=uid, date=described[uid].date, raw=found[uid])
