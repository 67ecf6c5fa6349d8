"""What an operator may ask: the verbs of the control socket, answered from the store.

Every read has its own cursor and is cut off after 10 seconds (architecture ruling 14). Without a
running gateway ``offline`` answers the same verbs from the files, opened read-only. Rows are plain
values for JSON; times are ISO 8601 in UTC.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from gateway import people, pipeline, rehearse, waiting_room
from gateway.books import Bookkeeper
from gateway.config import Config
from gateway.core.address import canonical, parse_mailbox
from gateway.core.admin import NOUNS
from gateway.core.context import Needs
from gateway.core.directory import effective
from gateway.core.policy import Policy
from gateway.core.suppress import revived_by_operator
from gateway.edge import lots
from gateway.edge.frames import mail_of
from gateway.edge.publish import publish
from gateway.edge.spool import Spool
from gateway.edge.spool_in import time_of
from gateway.edge.store import Store
from gateway.edge.store_files import MAIN, schema_of
from gateway.edge.tables import Cursor
from gateway.errors import AddressError, MailwicketError, StateError
from gateway.keeper import Keeper
from gateway.keeper import rows as backup_rows
from gateway.morning import Morning
from gateway.pipeline import Rooms
from gateway.recorder import Recorder

Row = dict[str, Any]
Handler = Callable[[Row], Iterable[Row]]
SECONDS = 10.0
LIMIT = 200
DONE_SECONDS = 60.0     # how old the size of spool/done may be
_NUMBER = re.compile("[0-9]{1,15}")

_TICKETS = """
SELECT t.id, x.subject, t.status, t.priority, t.queue, a.address AS assignee, r.address AS requester,
       t.created_at, t.updated_at, (SELECT count(*) FROM message m WHERE m.ticket = t.id) AS messages,
       t.tags, t.merged_into
FROM (SELECT * FROM ticket WHERE ($1::VARCHAR IS NULL OR status = $1) AND ($2::VARCHAR IS NULL OR queue = $2)
      AND ($3::BIGINT IS NULL OR id = $3) ORDER BY updated_at DESC, id DESC LIMIT $4::BIGINT) t
LEFT JOIN ticket_text x ON x.ticket = t.id
LEFT JOIN person a ON a.id = t.assignee
LEFT JOIN person r ON r.id = t.requester
ORDER BY t.updated_at DESC, t.id DESC
"""
_MESSAGES = """
SELECT m.id, m."at", p.address AS author, m.mail_class AS kind, m.is_public AS public, m.disposition, m.hold, m.month,
       m.spool_id
FROM message m LEFT JOIN person p ON p.id = m.author WHERE m.ticket = $1::BIGINT ORDER BY m.id
"""
_EVENTS = """
SELECT e."at", e.kind, e.actor_kind, p.address AS actor, e.cause, e.message, e.before, e.after
FROM event e LEFT JOIN person p ON p.id = e.actor WHERE e.ticket = $1::BIGINT ORDER BY e.seq
"""
_OUTBOX = """
SELECT o.id, d.state, o.kind, o.rcpt_to AS "to", o.ticket, d.attempts, d.next_at, d.changed_at, d.reply, o.month
FROM delivery d JOIN outbox o ON o.id = d.outbox
WHERE $1::BOOLEAN OR d.state <> 'sent'
ORDER BY list_contains(['sent', 'failed', 'bounced', 'delayed'], d.state), o.id DESC LIMIT $2::BIGINT
"""
_SUPPRESSED = """
SELECT p.address, s.since, s.status, s.cause
FROM suppression s JOIN person p ON p.id = s.person WHERE s.revived_at IS NULL ORDER BY s.since DESC, p.address LIMIT $1::BIGINT
"""


class Counter:
    """The window in the counter. ``books`` is None when no gateway runs."""

    def __init__(
        self, config: Config, books: Bookkeeper | None, spool: Spool, store: Store | None = None,
        rooms: Rooms | None = None, keeper: Keeper | None = None,
        morning: Morning | None = None, mailboxes: Callable[[], list[Row]] = list,
    ) -> None:
        self.config, self.books, self.spool, self.rooms, self.mailboxes = config, books, spool, rooms, mailboxes
        found = store or (books.store if books else None)
        assert found is not None  # one of the two is given
        self.store = found
        self.keeper = keeper or (Keeper(config, books) if books else None)
        self.morning = morning or (Morning(books, rooms) if books and rooms else None)
        self._sizes: tuple[float, int] = (-DONE_SECONDS, 0)

    def handlers(self) -> dict[str, Handler]:
        """By verb; what needs the running gateway is missing without one."""
        reading: dict[str, Handler] = {
            "tickets": self.tickets, "show": self.show, "outbox": self.outbox, "spool": self.waiting, "dump": self.dump,
            "status": self.status, "suppressed": self.suppressed, "people": self.people, "held": self.held,
        }
        writing: dict[str, Handler] = {
            "backup": self.backup, "snapshot": self.snapshot, "explain": self.explain, "revive": self.revive,
            "release": self.release, "drop": self.drop, "digest": self.digest, **dict.fromkeys(NOUNS, self.admin),
            "import_state": self.import_state, "import_known": self.import_known, "import_lot": self.import_lot,
        }
        return reading | writing if self.books else reading

    # --- Verbs ---

    def tickets(self, args: Row) -> Iterator[Row]:
        """Newest first; ``status``, ``queue`` and ``limit`` narrow it."""
        for row in self._rows(_TICKETS, args.get("status"), args.get("queue"), None, _limit(args)):
            yield self._ticket(row)

    def show(self, args: Row) -> Iterator[Row]:
        """One ticket whole: messages with text, events, decisions."""
        number = self._number(args.get("key"))
        with self._cursor() as cursor:
            found = _fetch(cursor, _TICKETS, None, None, number, 1)
            if not found:
                raise MailwicketError(f"{args.get('key')} is not a ticket; `mailwicket tickets` lists them")
            messages = _fetch(cursor, _MESSAGES, number)
            texts = self._texts(cursor, messages)
            attached = _fetch(
                cursor, "SELECT message, name, content_type, size FROM attachment WHERE message IN"
                " (SELECT unnest($1::BIGINT[])) ORDER BY message, ordinal", [m["id"] for m in messages],
            )
            decisions = _fetch(
                cursor, "SELECT spool_id, code, detail FROM decision WHERE ticket = $1::BIGINT"
                " OR spool_id IN (SELECT unnest($2::VARCHAR[])) ORDER BY spool_id, ordinal",
                number, [m["spool_id"] for m in messages],
            )
            events = _fetch(cursor, _EVENTS, number)
        for message in messages:
            message["text"] = texts.get(message["id"], "")
            message["attachments"] = [
                {k: v for k, v in a.items() if k != "message"} for a in attached if a["message"] == message["id"]
            ]
            del message["id"], message["month"]
        yield {"ticket": self._ticket(found[0]), "messages": messages, "events": events, "decisions": decisions}

    def outbox(self, args: Row) -> Iterator[Row]:
        """What is not sent, waiting mail first; ``all`` shows sent mail, too."""
        with self._cursor() as cursor:
            rows = _fetch(cursor, _OUTBOX, bool(args.get("all")), _limit(args))
            subjects = self._subjects(cursor, rows)
        for row in rows:
            month_less = {k: v for k, v in row.items() if k != "month"}
            yield month_less | {"subject": subjects.get(row["id"], ""), "ticket": self._key(row["ticket"])}

    def suppressed(self, args: Row) -> Iterator[Row]:
        """Dead addresses, newest first; an agent's is listed, though we go on writing to it."""
        policy = self._policy()
        for row in self._rows(_SUPPRESSED, _limit(args)):
            agent = policy.agent_of_address(row["address"])
            yield row | {"agent": agent.login if agent else None}

    def people(self, args: Row) -> Iterator[Row]:
        """Agents, teams or organisations, as ``noun`` says."""
        yield from people.listed(str(args.get("noun")), self.config.policy, self._policy())

    def admin(self, args: Row) -> Iterator[Row]:
        """Carry out ``words``, a line as at control@, such as agent add bert bert@acme.example."""
        assert self.books is not None
        assert self.rooms is not None
        yield from people.operate(self.books, self.rooms, [str(w) for w in args.get("words", ())], str(args["actor"]))

    def revive(self, args: Row) -> Iterator[Row]:
        """Write to ``address`` again."""
        assert self.books is not None
        books, now, given = self.books, datetime.now(UTC), str(args.get("address", ""))
        try:
            address = canonical(parse_mailbox(given))
        except AddressError as error:
            raise MailwicketError(f"{error}; write it as `mailwicket suppressed` lists it") from error

        def write() -> bool:
            context = books.store.load(Needs(addresses=frozenset({address})), now)
            rows = revived_by_operator(address, context, str(args["actor"]), now)
            if rows.suppressions:
                books.write(rows, {}, now=now, cause="operator")
            return bool(rows.suppressions)

        if not books.ask(write):
            raise MailwicketError(f"{address} is not suppressed; `mailwicket suppressed` lists what is")
        yield {"revived": address}

    def digest(self, args: Row) -> Iterator[Row]:
        """Send ``login`` a digest now, whatever the hour."""
        assert self.morning is not None     # the running gateway has one
        login = str(args.get("login", ""))
        yield {"digest": login, "sent": self.morning.send(login)}

    def held(self, args: Row) -> Iterator[Row]:
        """Mail that waits for a word, newest first."""
        with self._cursor() as cursor:
            rows = _fetch(cursor, waiting_room.LISTED, _limit(args))
            subjects = self._texts(cursor, rows, "subject")
        for row in rows:
            yield {
                "id": row["id"], "at": row["at"], "hold": row["hold"], "from": row["author"] or "",
                "ticket": self._key(row["ticket"]), "subject": subjects.get(row["id"], ""),
                "releasable": waiting_room.is_releasable(row["hold"]),
            }

    def release(self, args: Row) -> Iterator[Row]:
        """Have a held mail decided once more, as proven."""
        assert self.books is not None
        yield waiting_room.release(self.books, self._policy(), _id(args), datetime.now(UTC))

    def drop(self, args: Row) -> Iterator[Row]:
        """Keep a held mail and let it wait no more."""
        assert self.books is not None
        yield waiting_room.drop(self.books, _id(args), str(args["actor"]), datetime.now(UTC))

    def waiting(self, args: Row) -> Iterator[Row]:
        """Mail in in/ and bad/, oldest first."""
        waiting = self.spool.waiting(_limit(args))
        bad = sorted(p.name for p in (self.spool.root / "bad").iterdir() if not p.name.endswith(".why"))
        for spool_id, state in (*((i, "waiting") for i in waiting), *((i, "bad") for i in bad)):
            row: Row = {"spool_id": spool_id, "received_at": "", "from": "", "to": [], "size": 0, "state": state}
            try:
                row["received_at"] = _iso(time_of(spool_id))
                envelope, raw = self.spool.read(spool_id)
                row |= {
                    "received_at": _iso(envelope.received_at), "from": envelope.mail_from or "<>",
                    "to": list(envelope.rcpt_tos), "size": len(raw),
                }
            except (MailwicketError, OSError) as error:     # decided meanwhile, or unreadable
                row["why"] = str(error)
            why = self.spool.root / "bad" / f"{spool_id}.why"
            yield row | ({"why": why.read_text("utf-8").strip()} if why.exists() else {})

    def dump(self, args: Row) -> Iterator[Row]:
        """The hash of the canonical dump, to compare two stores."""
        yield {"dump_hash": self.store.dump_hash, "applied_seq": self.store.applied_seq}

    def status(self, args: Row) -> Iterator[Row]:
        backlog = self.spool.backlog()
        counts = self._rows(
            "SELECT (SELECT count(*) FROM ticket) AS tickets, (SELECT count(*) FROM message) AS messages,"
            " (SELECT count(*) FROM delivery WHERE NOT list_contains(['sent', 'failed', 'bounced', 'delayed'], state)) AS undelivered"
        )
        yield {
            "applied_seq": self.store.applied_seq, "waiting": self.spool.standing(), "waiting_bytes": backlog.bytes,
            "oldest": _iso(backlog.oldest) if backlog.oldest else None, "rebuilt": self.store.rebuilt, **next(counts),
            "mailboxes": self.mailboxes(),
            **self._safety(),
        }

    def backup(self, args: Row) -> Iterator[Row]:
        """A backup at ``directory``, or in the configured one."""
        assert self.keeper is not None
        given = args.get("directory")
        place = self.keeper.backup(Path(str(given)) if given else None)
        yield {
            "backup": str(place), "bytes": sum(p.stat().st_size for p in place.iterdir()),
            "verified": self.config.backup.verify,
        }

    def explain(self, args: Row) -> Iterator[Row]:
        """What would be decided about ``mail``, a parsed mail as JSON gives it; nothing is written."""
        assert self.books is not None
        assert self.rooms is not None
        books, rooms = self.books, self.rooms.under(self._policy())
        spooled = rehearse.spooled(mail_of(args["mail"]), rooms.policy)
        now = datetime.now(UTC)
        decision = books.ask(lambda: pipeline.explain(
            spooled, pipeline.context_of([spooled], rooms.policy, lambda asked: books.store.load(asked, now)), rooms, now=now
        ))
        for code, detail in rehearse.told(decision):
            yield {"code": code, "detail": detail}

    def import_state(self, args: Row) -> Iterator[Row]:
        """Whether the desk has a life of its own already."""
        yield {"live_tickets": self._recorder().live_tickets()}

    def import_known(self, args: Row) -> Iterator[Row]:
        """Those of ``ids`` that an earlier run has dealt with."""
        assert self.books is not None
        recorder, ids = self._recorder(), [str(i) for i in args.get("ids", ())]
        yield {"known": self.books.ask(lambda: recorder.known(ids), None)}

    def import_lot(self, args: Row) -> Iterator[Row]:
        """Store the lot ``name``, a file in the state directory."""
        assert self.books is not None
        recorder, lot = self._recorder(), lots.read(self.config.state, str(args.get("name", "")))
        tally = self.books.ask(lambda: recorder.record(lot), None)
        yield {"new": tally.new, "known": tally.known, "tickets": tally.tickets, "failed": [list(f) for f in tally.failed]}

    def snapshot(self, args: Row) -> Iterator[Row]:
        """Publish now what reports and notebooks read."""
        policy = self._policy()
        agents = [(address, agent.login) for agent in policy.agents for address in agent.addresses]
        file = publish(
            self.store.reader, self.config.state, datetime.now(UTC), key=policy.key, zone=self.config.zone, agents=agents
        )
        yield {"snapshot": str(file), "bytes": file.stat().st_size}

    # --- Parts ---

    def _policy(self) -> Policy:
        """The desk of the moment."""
        configured = self.config.policy
        return self.books.policy(configured) if self.books else effective(configured, self.store.directory)

    def _recorder(self) -> Recorder:
        assert self.books is not None
        return Recorder(self.books, self.config.policy)

    def _safety(self) -> Row:
        """The newest backup, and what waits to be let go."""
        newest = next(iter(backup_rows(self.config, datetime.now(UTC))), None)
        journal = self.config.state / "journal"
        if time.monotonic() - self._sizes[0] >= DONE_SECONDS:   # a walk over every kept mail
            self._sizes = time.monotonic(), self.spool.done_bytes()
        return {
            "backup": newest["at"] if newest else None, "backup_age_hours": newest["age_hours"] if newest else None,
            "backup_verified": bool(newest and newest["verified_at"]),
            "backup_trouble": (self.keeper.trouble if self.keeper else "") or None,
            "journal_bytes": sum(p.stat().st_size for p in journal.glob("*.log")), "done_bytes": self._sizes[1],
        }

    def _ticket(self, row: Row) -> Row:
        key = self._key(row["id"])
        merged = self._key(row["merged_into"])
        return {"key": key} | {k: v for k, v in row.items() if k != "id"} | {"merged_into": merged}

    def _key(self, number: int | None) -> str | None:
        return None if number is None else f"{self.config.policy.key}-{number}"

    def _number(self, key: object) -> int:
        """ABC-1, abc-1 or 1."""
        prefix, dash, digits = str(key).strip().rpartition("-")
        if prefix.casefold() != (self.config.policy.key.casefold() if dash else "") or not _NUMBER.fullmatch(digits):
            raise MailwicketError(f"{key} is not a ticket key; they look like {self.config.policy.key}-1")
        return int(digits)

    def _texts(self, cursor: Cursor, messages: list[Row], column: str = "new_text") -> dict[int, str]:
        return self._from_months(cursor, messages, "message_text", "message", column)

    def _subjects(self, cursor: Cursor, rows: list[Row]) -> dict[int, str]:
        subject = (
            "coalesce(list_filter(from_json(headers, '[[\"VARCHAR\"]]'), lambda h: lower(h[1]) = 'subject')[1][2], '')"
        )
        return self._from_months(cursor, rows, "outbox_text", "id", subject)

    def _from_months(self, cursor: Cursor, rows: list[Row], table: str, key: str, value: str) -> dict[int, str]:
        """``value`` by id, from the mail files of the rows' months."""
        out: dict[int, str] = {}
        for month in sorted({r["month"] for r in rows} & set(self.store.files.mail_seq)):
            ids = [r["id"] for r in rows if r["month"] == month]
            out |= dict(cursor.execute(
                f"SELECT {key}, {value} FROM {schema_of(month)}.{table} WHERE {key} IN (SELECT unnest($1::BIGINT[]))",  # noqa: S608
                [ids],
            ).fetchall())
        return out

    def _rows(self, sql: str, *parameters: object) -> Iterator[Row]:
        with self._cursor() as cursor:
            rows = _fetch(cursor, sql, *parameters)
        yield from rows

    @contextmanager
    def _cursor(self) -> Iterator[Cursor]:
        """A cursor that is interrupted when its time is up."""
        cursor = self.store.reader()
        timer = threading.Timer(SECONDS, cursor.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield cursor
        except duckdb.InterruptException:
            raise StateError(f"this took longer than {SECONDS:.0f} s: ask for less, or read the snapshot") from None
        except duckdb.Error as error:
            raise StateError(f"{self.store.state}: {error}: try again; if it stays, restart") from error
        finally:
            timer.cancel()
            cursor.close()


def offline(config: Config, verb: str = "") -> dict[str, Handler]:
    """The reading verbs without a gateway, and ``snapshot``, which writes beside the database. The caller holds the lock
    of the state directory."""
    publishing = verb == "snapshot" and (config.state / MAIN).exists()
    store = Store.open(
        config.state, memory_limit=config.memory_limit, read_only=not publishing, backup=config.backup.directory
    )
    counter = Counter(config, None, Spool(config.state / "spool"), store)
    return counter.handlers() | ({"snapshot": counter.snapshot} if publishing else {})


def _fetch(cursor: Cursor, sql: str, *parameters: object) -> list[Row]:
    found = cursor.execute(sql, list(parameters))
    names = [column[0] for column in found.description or ()]
    return [{n: _plain(v) for n, v in zip(names, row, strict=True)} for row in found.fetchall()]


def _plain(value: object) -> object:
    return _iso(value) if isinstance(value, datetime) else value


def _iso(time: datetime) -> str:
    zoned = time if time.tzinfo else time.replace(tzinfo=UTC)
    return zoned.isoformat(timespec="seconds")


def _id(args: Row) -> int:
    if not isinstance(number := args.get("id"), int):
        raise MailwicketError("name a message by its number; `mailwicket held` lists them")
    return number


def _limit(args: Row) -> int:
    limit = args.get("limit")
    return max(1, min(int(limit), 10_000)) if isinstance(limit, int) else LIMIT
