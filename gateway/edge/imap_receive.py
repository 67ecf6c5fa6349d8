"""A watched mailbox: every mail in it is spooled once, flagged and moved only when it is durable here.

Standards: RFC 3501, 2177, 5092 (the form of an origin).

Each folder has its own connection and its own supervisor, which throws the connection away on any
exception and comes back after 1, 2, 4 … 60 s. A mail goes: size, body, spool, cursor, flags, move.
A break between any two steps repeats at most the mails in hand, with the same ``Envelope.origin``;
flags and moves that did not happen are made up for at the next connect. Progress never hangs on
Seen, which people set and clear in the same folder.

What breaks the connection twice when asked for alone, or is too large, is passed over with a record,
an event and the flag Flagged, and tried again once an hour; it never holds up the others.

When UIDVALIDITY changes or the numbers run backwards, the folder is read again from the start, and the
envelopes say so (``reread``): such mail is known by its content downstream and never acknowledged.

Limits: a mail that a person removes before we see it never comes. Counts of failures live in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.core.model import Envelope
from gateway.edge.header_trace import delivered_to, fields, mail_from
from gateway.edge.imap_connection import DONE, Connection, Described, Selected
from gateway.edge.imap_cursor import WINDOW, Cursor, State
from gateway.edge.imap_lot import HEAD, LEVELS, EventName, Lot, MailboxEvent, Verdict, stub
from gateway.edge.imap_settings import MailboxSettings
from gateway.edge.imap_wire import Doubt
from gateway.edge.oauth import TokenRefused, TokenSource
from gateway.edge.room import Room, RoomLimits
from gateway.edge.spool import Spool
from gateway.errors import Temporary

log = logging.getLogger(__name__)

TRIES = 2
_RETRIED_AN_HOUR = 20
_DAY = 86_400
_BELIEVED = timedelta(days=7)   # an internal date older than that is a moved mail's, not an arrival


class Mailbox:
    """One account: the folder that mail comes to and, if it is named, the Sent folder.

    ``rcpt`` is the address of the mailbox, for mail whose header does not say whom it was delivered
    to; ``knows`` says which addresses there are ours. ``tokens`` is required with ``settings.oauth``.
    """

    def __init__(
        self,
        settings: MailboxSettings,
        spool: Spool,
        cursor: Cursor,
        *,
        rcpt: str,
        sent_cursor: Cursor | None = None,
        knows: Callable[[str], bool] = lambda _: True,
        tokens: TokenSource | None = None,
        room: Room | None = None,
        on_event: Callable[[MailboxEvent], None] | None = None,
    ) -> None:
        if (settings.sent_folder is None) != (sent_cursor is None):
            raise ValueError(f"mailbox {settings.name}: sent_folder and sent_cursor go together")
        if tokens is None and settings.oauth:
            tokens = TokenSource(settings.oauth)
        desk = _Desk(
            spool=spool, room=room or Room(spool, RoomLimits()), rcpt=rcpt, knows=knows, on_event=on_event or (lambda _: None)
        )
        self.watches = [Watch(settings, settings.folder, cursor, desk, tokens=tokens)]
        if settings.sent_folder and sent_cursor:
            self.watches.append(Watch(settings, settings.sent_folder, sent_cursor, desk, tokens=tokens, sent=True))

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for watch in self.watches:
                group.create_task(watch.run())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """Where the mail goes."""

    spool: Spool
    room: Room
    rcpt: str
    knows: Callable[[str], bool]
    on_event: Callable[[MailboxEvent], None]


class Watch:
    """The supervisor of one folder. ``looked_at`` is when it last saw all that is there (monotonic)."""

    def __init__(
        self, settings: MailboxSettings, folder: str, cursor: Cursor, desk: _Desk, *,
        tokens: TokenSource | None, sent: bool = False,
    ) -> None:
        self.folder, self.looked_at = folder, float("-inf")
        self._settings, self._pace, self._cursor, self._desk = settings, settings.pace, cursor, desk
        self._tokens, self._sent = tokens, sent
        self._from_now = sent or settings.start == "new"
        self._failures = 0
        self._reread_at, self._reread_broke = float("-inf"), 0
        self._dates_hold = True
        self._alone: set[int] = set()           # was in a lot that broke: to be asked for one by one
        self._broke: Counter[int] = Counter()   # broke the connection when asked for alone
        self._retried: Counter[int] = Counter()
        self._touched: Counter[tuple[str, int]] = Counter()
        self._spooled: set[tuple[int, int, int]] = set()

    async def run(self) -> None:
        """Watch until cancelled; every trouble ends the connection and nothing else (REQ-I1)."""
        while True:
            try:
                await self._session()
            except (Doubt, TokenRefused, Temporary, OSError) as error:
                self._tell("lost", detail=str(error))
            except Exception:
                # A bug of ours shall neither stop the mailbox nor go unseen.
                log.exception("mailbox %s/%s: connection dropped", self._settings.name, self.folder)
            delay = min(self._pace.first_delay * 2.0 ** min(self._failures, 16), self._pace.last_delay)
            self._failures += 1
            await asyncio.sleep(delay)

    async def _session(self) -> None:
        async with Connection(self._settings, self._tokens) as connection:
            selected = await connection.select(self.folder)
            self._tell("connected", detail=f"UIDVALIDITY {selected.uidvalidity}")
            await self._settle_numbers(connection, selected)
            await self._reread(connection, selected)
            while True:
                await self._take(connection, await connection.above(self._state.uid))
                self._failures, self.looked_at = 0, time.monotonic()
                if self._hour_is_over():
                    await self._reread(connection, selected)
                await connection.wait(min(self._settings.poll_seconds, self._settings.idle_seconds))
                await asyncio.sleep(self._pace.breath)

    def skipped(self) -> int:
        """How many mails were passed over with a record."""
        return len(state.skipped) if (state := self._cursor.load()) is not None else 0

    # --- Numbers ---

    @property
    def _state(self) -> State:
        state = self._cursor.load()
        assert state is not None, "_settle_numbers comes first"
        return state

    async def _settle_numbers(self, connection: Connection, selected: Selected) -> None:
        """First contact, or numbers that do not mean any more what they meant (RFC 3501 §2.3.1.1)."""
        state = self._cursor.load()
        if state is None:
            await self._first_contact(connection, selected)
        elif state.uidvalidity != selected.uidvalidity:
            why = f"UIDVALIDITY was {state.uidvalidity}, is {selected.uidvalidity}"
            await self._begin_again(connection, selected, why)
        elif selected.uidnext is not None and selected.uidnext <= state.uid:
            why = f"UIDNEXT went back to {selected.uidnext}, UID {state.uid} was read"
            await self._begin_again(connection, selected, why)

    async def _first_contact(self, connection: Connection, selected: Selected) -> None:
        first = State(uidvalidity=selected.uidvalidity)
        if self._from_now:
            there = await _last_uid(connection, selected)
            first = State(uidvalidity=selected.uidvalidity, uid=there, floor=there, since=int(time.time()))
        await asyncio.to_thread(self._cursor.begin, first)

    async def _begin_again(self, connection: Connection, selected: Selected, why: str) -> None:
        old = self._state
        epoch = old.epoch + 1 if old.uidvalidity == selected.uidvalidity else 0
        rescan = await _last_uid(connection, selected)
        again = State(uidvalidity=selected.uidvalidity, epoch=epoch, since=old.since, rescan=rescan)
        await asyncio.to_thread(self._cursor.begin, again)
        for memory in (self._alone, self._broke, self._retried, self._touched):
            memory.clear()
        self._tell("rescan", detail=why)

    def _hour_is_over(self) -> bool:
        return time.monotonic() - self._reread_at >= self._pace.rescan

    async def _reread(self, connection: Connection, selected: Selected) -> None:
        """Once a connect and once an hour, unless it broke the last connections: then new mail comes first."""
        hourly = self._hour_is_over()
        if not hourly and self._reread_broke >= TRIES:
            return
        if hourly:
            self._reread_at = time.monotonic()
        try:
            await self._look_back(connection, selected)
            if hourly:
                await self._retry(connection)
        except Doubt:
            self._reread_broke += 1
            raise
        self._reread_broke = 0

    async def _look_back(self, connection: Connection, selected: Selected) -> None:
        """Look once more at the last UIDs: for latecomers, for what was not flagged, for other mail under old numbers."""
        state = self._state
        low = max(state.floor + 1, state.uid - WINDOW + 1)
        there = await connection.describe(f"{low}:{state.uid}") if low <= state.uid else {}
        there = {uid: mail for uid, mail in there.items() if low <= uid <= state.uid}
        strangers = [u for u, mail in there.items() if mail.date and state.recent.get(u) and state.recent[u] != mail.date]
        if strangers and self._dates_hold:
            # Once a process: a server whose dates move by themselves shall not make us read for ever.
            self._dates_hold = False
            why = f"UID {strangers[0]} has another date than the mail we read under it"
            await self._begin_again(connection, selected, why)
            return
        late = sorted(there.keys() - state.recent.keys() - state.skipped.keys())
        await self._take(connection, late, late=True)
        unfinished = [
            uid for uid in sorted(there.keys() & state.recent.keys())
            if self._settings.move_to or (selected.keywords and not there[uid].done)
        ]
        await self._finish(connection, unfinished)

    async def _retry(self, connection: Connection) -> None:
        """Ask once more for what was passed over; the least tried first, since one may break the connection again."""
        for uid in sorted(self._state.skipped, key=lambda uid: (self._retried[uid], uid))[:_RETRIED_AN_HOUR]:
            self._retried[uid] += 1
            self._broke.pop(uid, None)
            self._alone.add(uid)
            mails = await connection.describe([uid])
            if uid in mails and mails[uid].size <= self._settings.max_size:
                await self._take_lot(connection, Lot(verdict="fetch", uids=(uid,), size=mails[uid].size), mails)

    # --- Mail ---

    async def _take(self, connection: Connection, uids: Sequence[int], *, late: bool = False) -> None:
        """Take mails in the order of their UIDs; the cursor passes none that is not durable or recorded."""
        for chunk in self._chunks(uids):
            mails: dict[int, Described] = {}
            if self._broke[chunk[0]] < TRIES:
                with self._blaming(chunk):
                    mails = await connection.describe(chunk)
                withheld = await connection.listed(uid for uid in chunk if uid not in mails)
                if withheld:
                    with self._blaming([min(withheld)]):
                        raise Doubt(f"UID {min(withheld)} is listed, but nothing is told of it")
            for lot in self._lots([uid for uid in chunk if uid in mails or self._broke[uid] >= TRIES], mails):
                if late and lot.verdict != "old":
                    self._tell("late", lot.uids[0], f"{len(lot.uids)} mails below UID {self._state.uid}")
                await self._take_lot(connection, lot, mails)

    def _chunks(self, uids: Sequence[int]) -> Iterator[list[int]]:
        """What is described in one command; suspects stand alone."""
        chunk: list[int] = []
        for uid in uids:
            if chunk and (uid in self._alone or len(chunk) == self._settings.batch):
                yield chunk
                chunk = []
            chunk.append(uid)
            if uid in self._alone:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    @contextlib.contextmanager
    def _blaming(self, uids: Sequence[int]) -> Iterator[None]:
        """Whoever was asked for when the connection broke is asked for alone, and twice at most."""
        try:
            yield
        except Doubt:
            self._alone.update(uids)
            if len(uids) == 1:
                self._broke[uids[0]] += 1
            raise

    def _lots(self, uids: Sequence[int], mails: dict[int, Described]) -> Iterator[Lot]:
        gathered: list[int] = []
        size = 0
        for uid in uids:
            verdict = self._judge(uid, mails)
            together = verdict == "fetch" and uid not in self._alone
            if gathered and (not together or size + mails[uid].size > self._pace.lot):
                yield Lot(verdict="fetch", uids=tuple(gathered), size=size)
                gathered, size = [], 0
            if together:
                gathered.append(uid)
                size += mails[uid].size
            else:
                yield Lot(verdict=verdict, uids=(uid,), size=mails[uid].size if uid in mails else 0)
        if gathered:
            yield Lot(verdict="fetch", uids=tuple(gathered), size=size)

    def _judge(self, uid: int, mails: dict[int, Described]) -> Verdict:
        if self._broke[uid] >= TRIES:
            return "quarantine"
        mail = mails[uid]
        if uid <= self._state.rescan and mail.date and mail.date < self._state.since - _DAY:
            return "old"  # It lay there before our first contact, and then it had another number.
        return "oversize" if mail.size > self._settings.max_size else "fetch"

    async def _take_lot(self, connection: Connection, lot: Lot, mails: dict[int, Described]) -> None:
        uid = lot.uids[0]
        if lot.verdict == "fetch":
            await self._fetch(connection, lot, mails)
        elif lot.verdict == "old":
            await asyncio.to_thread(self._cursor.advance, self._state.uidvalidity, {uid: None})
        else:
            why = f"{lot.verdict}: broke the connection {TRIES} times"
            if lot.verdict == "oversize":
                why = f"{lot.verdict}: {lot.size} octets, the limit is {self._settings.max_size}"
                await self._stand_in(connection, uid, lot.size, mails)
            await asyncio.to_thread(self._cursor.skip, self._state.uidvalidity, uid, why)
            self._tell(lot.verdict, uid, why)
            await self._flag(connection, [uid], r"\Flagged")

    async def _stand_in(self, connection: Connection, uid: int, size: int, mails: dict[int, Described]) -> None:
        """Agents hear of a mail that is too large: its header comes, with words for its body."""
        if uid in self._state.skipped:
            return
        if refusal := self._desk.room.refusal():
            raise refusal
        with self._blaming([uid]):
            heads = await connection.fetch([uid], HEAD, most=HEAD)
        place = f"folder {self.folder} of mailbox {self._settings.name}"
        found = {u: stub(head, place, size, self._settings.max_size) for u, head in heads.items()}
        await self._store(found, mails, advance=False)

    async def _fetch(self, connection: Connection, lot: Lot, mails: dict[int, Described]) -> None:
        if refusal := self._desk.room.refusal():
            raise refusal
        with self._blaming(lot.uids):
            bodies = await connection.fetch(lot.uids, lot.size)
            # Somebody may have removed a mail in between; that is no doubt.
            withheld = await connection.listed(set(lot.uids) - bodies.keys())
            if withheld:
                raise Doubt(f"UID {min(withheld)} was asked for and came without a body")
        if bodies:
            await self._store(bodies, mails)
            await self._finish(connection, sorted(bodies))

    async def _store(self, bodies: dict[int, bytes], mails: dict[int, Described], *, advance: bool = True) -> None:
        """Spool the mails of a lot in their order, since some answer others; then advance once."""
        state = self._state
        envelopes = {uid: self._envelope(uid, bodies[uid], mails[uid].date) for uid in sorted(bodies)}
        keys = {uid: (state.uidvalidity, state.epoch, uid) for uid in envelopes}

        def durable() -> None:
            for uid, envelope in envelopes.items():
                # If a later one fails, or the cursor, this one is not spooled again and again.
                if keys[uid] not in self._spooled:
                    spool_id = self._desk.spool.put(envelope, bodies[uid])
                    self._spooled.add(keys[uid])
                    log.info("mailbox %s/%s: UID %d: spooled as %s", self._settings.name, self.folder, uid, spool_id)
            if advance:
                self._cursor.advance(state.uidvalidity, {uid: mails[uid].date for uid in envelopes})
            self._spooled.difference_update(keys.values())

        storing = asyncio.get_running_loop().run_in_executor(None, durable)
        try:
            await asyncio.shield(storing)
        except asyncio.CancelledError:
            await asyncio.wait({storing})
            raise
        for uid in bodies:
            self._alone.discard(uid)
            self._broke.pop(uid, None)

    def _envelope(self, uid: int, raw: bytes, date: int) -> Envelope:
        of = fields(raw)
        now = datetime.now(UTC)
        arrived = datetime.fromtimestamp(date, UTC)
        rcpt_tos = () if self._sent else tuple(filter(self._desk.knows, delivered_to(of)))
        return Envelope(
            channel="imap",
            received_at=arrived if now - _BELIEVED <= arrived <= now else now,
            mail_from=mail_from(of),
            rcpt_tos=rcpt_tos or (self._desk.rcpt,),
            peer=self._settings.host,
            tls=self._settings.tls == "implicit",
            relay=self._settings.name,
            origin=self._origin(uid),
            sent=self._sent,
            reread=uid <= self._state.rescan,
        )

    def _origin(self, uid: int) -> str:
        """RFC 5092 in spirit; equal for two deliveries only if they are of the same mail."""
        state = self._state
        name, folder = (urllib.parse.quote(text, safe="") for text in (self._settings.name, self.folder))
        marks = f";EPOCH={state.epoch}" * bool(state.epoch) + ";SENT" * self._sent + ";RESCAN" * (uid <= state.rescan)
        return f"imap://{name}/{folder};UIDVALIDITY={state.uidvalidity}/;UID={uid}{marks}"

    # --- Marks; the mail is durable by now, so nothing here may hold up another one ---

    async def _finish(self, connection: Connection, uids: Sequence[int]) -> None:
        if not uids or self._sent:
            return
        await self._flag(connection, uids, rf"\Seen {DONE}")
        target = self._settings.move_to
        left = [uid for uid in uids if self._may_touch("move", uid)] if target else []
        if target and left and (refusal := await connection.move(left, target)):
            self._tell("not_moved", left[0], f"{len(left)} mails to {target}: {refusal}")

    async def _flag(self, connection: Connection, uids: Sequence[int], flags: str) -> None:
        left = [] if self._sent else [uid for uid in uids if self._may_touch(flags, uid)]
        if not left:
            return
        refusal = await connection.mark(left, flags)
        if refusal and " " in flags:
            # No keywords here (RFC 3501 §7.1, PERMANENTFLAGS): the plain flag has to do.
            refusal = await connection.mark(left, flags.split(maxsplit=1)[0])
        if refusal:
            self._tell("not_flagged", left[0], f"{len(left)} mails: {refusal}")

    def _may_touch(self, how: str, uid: int) -> bool:
        """Twice at most: a server that dies of it shall not be asked for ever."""
        self._touched[how, uid] += 1
        return self._touched[how, uid] <= TRIES

    def _tell(self, name: EventName, uid: int = 0, detail: str = "") -> None:
        event = MailboxEvent(name=name, mailbox=self._settings.name, folder=self.folder, uid=uid, detail=detail)
        log.log(LEVELS[name], "mailbox %s/%s: %s%s: %s", event.mailbox, event.folder, name, f" UID {uid}" if uid else "", detail)
        self._desk.on_event(event)


async def _last_uid(connection: Connection, selected: Selected) -> int:
    """The greatest UID that is or was there; UIDNEXT is a SHOULD only (RFC 3501 §6.3.1)."""
    if selected.uidnext is not None:
        return selected.uidnext - 1
    return max(await connection.above(0), default=0)
