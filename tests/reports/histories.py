"""Made-up lives of tickets, checked by the gateway's own fold, and snapshots of them."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from hypothesis import strategies as st

from gateway.core.lifecycle import apply
from gateway.core.rows import Event, Message, Person, Rows, Ticket, TicketText
from gateway.edge.publish import copy_published
from gateway.edge.tables import EVENT, MESSAGE, PERSON, TICKET, TICKET_TEXT
from reports.facts import add_facts

SCHEMA = Path(__file__).parents[2] / "schema"
# The Friday before Berlin's clocks go back, so that histories cross the change.
START = datetime(2026, 10, 23, 20, 0, tzinfo=UTC)
ANNA, BERT = 1, 2
AGENTS = (("anna@acme.example", "anna"), ("bert@acme.example", "bert"))


@dataclass
class History:
    """Events in the order they were recorded. What cannot happen to a ticket is left out."""

    now: datetime = START
    events: list[Event] = field(default_factory=list)
    tickets: dict[int, Ticket] = field(default_factory=dict)
    subjects: dict[int, str] = field(default_factory=dict)

    def wait(self, **length: float) -> History:
        self.now += timedelta(**length)
        return self

    def add(self, ticket: int, kind: str, *, late: timedelta = timedelta(), **fields: Any) -> History:
        base: dict[str, Any] = {
            "seq": len(self.events) + 1, "ticket": ticket, "at": self.now - late, "recorded_at": self.now, "kind": kind,
            "actor_kind": "agent", "actor": ANNA, "cause": "spool", "message": None, "is_public": False,
            "is_auto": False, "before": None, "after": None,
        }
        event = Event(**{**base, **fields})
        try:
            self.tickets[ticket] = apply(self.tickets.get(ticket), event)
        except ValueError:
            return self
        self.events.append(event)
        return self

    # --- The steps of a ticket ---

    def mail(self, ticket: int, subject: str = "Printer", **fields: Any) -> History:
        """The customer's side writes: the ticket begins or goes on."""
        known = ticket in self.tickets
        self.subjects.setdefault(ticket, subject)
        base = {"actor_kind": "customer", "actor": 10 + ticket, "is_public": True, "message": len(self.events) + 1}
        return self.add(ticket, "customer_reply" if known else "created", **{**base, "after": None if known else "support", **fields})

    def answer(self, ticket: int, **fields: Any) -> History:
        return self.add(ticket, "agent_reply", **{"is_public": True, "message": len(self.events) + 1, **fields})

    def move(self, ticket: int, status: str, **fields: Any) -> History:
        before = self.tickets[ticket].status if ticket in self.tickets else None
        return self.add(ticket, "status", before=before, after=status, **fields)

    def merge(self, ticket: int, into: int) -> History:
        target = self.tickets.get(into)
        if target is None or target.merged_into is not None or ticket == into or ticket not in self.tickets:
            return self
        return self.add(ticket, "merged_into", after=str(into)).add(into, "merged_from", after=str(ticket))

    # --- What the store would hold ---

    def rows(self) -> Rows:
        people = [
            Person(id=n, address=address, name="Somebody Secret", created_at=START)
            for n, address in [(ANNA, AGENTS[0][0]), (BERT, AGENTS[1][0])]
            + [(10 + t, f"secret{t}@customer{t}.example") for t in self.tickets]
        ]
        messages = tuple(
            Message(
                id=e.message, ticket=e.ticket, spool_id=f"S{e.seq}", author=e.actor, at=e.at, mail_class="human", level=1,
                disposition="apply", is_public=e.is_public, hold=None, month="2026-10", size=100, sha256="0" * 64, body_key="",
            )
            for e in self.events if e.message is not None
        )
        texts = tuple(TicketText(ticket=t, subject=s) for t, s in self.subjects.items())
        return Rows(
            persons=tuple(people), tickets=tuple(self.tickets.values()), ticket_texts=texts, messages=messages,
            events=tuple(self.events),
        )

    def frame(self) -> pl.DataFrame:
        """The events as the second implementation takes them."""
        names = Event.__slots__
        times = {n: pl.Datetime("us", "UTC") for n in ("at", "recorded_at")}
        whole = {n: pl.Int64 for n in ("seq", "ticket", "actor", "message")}
        flags = {n: pl.Boolean for n in ("is_public", "is_auto")}
        schema = {n: {**times, **whole, **flags}.get(n, pl.String) for n in names}
        return pl.DataFrame([astuple(e) for e in self.events], schema=schema, orient="row")

    def snapshot(self, directory: Path, *, now: datetime | None = None, zone: str = "Europe/Berlin") -> Path:
        """``directory/current.duckdb`` by the gateway's own statements, without the gateway."""
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / "current.duckdb"
        live = live_database(directory / "live", self.rows())
        try:
            copy_published(live.cursor(), file, now or self.now, "ABC", zone, AGENTS)
        finally:
            live.close()
        add_facts(file)
        return file


class _Arrow:
    """DuckDB takes a polars frame by this method only; anything more, and it looks for pyarrow."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.frame.__arrow_c_stream__(requested_schema)


def live_database(directory: Path, rows: Rows) -> duckdb.DuckDBPyConnection:
    """A live file with the tables of schema/ and these rows."""
    directory.mkdir(parents=True, exist_ok=True)
    live = duckdb.connect(str(directory / "mailwicket.duckdb"))
    for step in sorted(SCHEMA.glob("[0-9]*.sql")):
        live.execute(step.read_text("utf-8"))
    for table in (PERSON, TICKET, TICKET_TEXT, MESSAGE, EVENT):
        records = table.records(getattr(rows, table.field))
        if records:
            marks = ", ".join("?" * len(records[0]))
            live.executemany(f"INSERT INTO {table.name} VALUES ({marks})", records)
    return live


STATUSES = ("new", "open", "pending", "on_hold", "solved", "closed", "void")


@st.composite
def histories(draw: st.DrawFn, tickets: int = 4, steps: int = 30) -> History:
    """Any life that the fold allows: late and automatic mail, merges, spam, reopening, agents who write first."""
    history = History()
    number = st.integers(1, tickets)
    for _ in range(draw(st.integers(0, steps))):
        history.wait(minutes=draw(st.sampled_from([0, 0, 1, 37, 600, 1441])), microseconds=draw(st.integers(0, 2)))
        ticket, step = draw(number), draw(st.sampled_from(["mail", "mail", "answer", "move", "move", "merge", "note", "machine"]))
        late = timedelta(minutes=draw(st.sampled_from([0, 0, 0, 50])))
        if step == "mail":
            who = draw(st.sampled_from([
                {}, {}, {"actor_kind": "collaborator"}, {"actor_kind": "agent", "actor": ANNA},
                {"actor_kind": "system", "is_auto": True},
            ]))
            history.mail(ticket, late=late, **(who if ticket not in history.tickets or who.get("actor_kind") != "agent" else {}))
        elif step == "answer":
            history.answer(ticket, late=late, is_auto=draw(st.booleans()) and draw(st.booleans()), is_public=draw(st.integers(0, 5)) > 0)
        elif step == "move":
            history.move(ticket, draw(st.sampled_from(STATUSES)), actor_kind=draw(st.sampled_from(["agent", "rule"])))
        elif step == "merge":
            history.merge(ticket, draw(number))
        else:
            history.add(ticket, "note" if step == "note" else "machine_mail", is_auto=step == "machine")
    return history
