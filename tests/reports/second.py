"""Every figure once more, from the bare event table and in another way: polars and plain Python, no SQL."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import polars as pl

WORK = ("new", "open", "pending", "on_hold")
CUSTOMER = ("customer", "collaborator")


def known(events: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """What was recorded by then, with the time that never goes back on a ticket."""
    return (
        events.filter(pl.col("recorded_at") <= as_of).sort("seq")
        .with_columns(pl.col("at").cum_max().over("ticket").alias("moment"))
    )


def statuses(events: pl.DataFrame) -> pl.DataFrame:
    kind = pl.col("kind")
    return events.filter(kind.is_in(["created", "status", "merged_into"])).with_columns(
        pl.when(kind == "created").then(pl.lit("new")).when(kind == "merged_into").then(pl.lit("void"))
        .otherwise(pl.col("after")).alias("status")
    )


def status_now(events: pl.DataFrame) -> dict[int, str]:
    return dict(statuses(events).group_by("ticket").agg(pl.col("status").last()).iter_rows())


def people(events: pl.DataFrame) -> set[int]:
    return set(events.filter(pl.col("actor_kind").is_in([*CUSTOMER, "agent"]))["ticket"])


def population(events: pl.DataFrame) -> set[int]:
    return {t for t, status in status_now(events).items() if status != "void"} & people(events)


def roots(events: pl.DataFrame) -> dict[int, int]:
    """Where each ticket's mails count."""
    into = {t: int(a) for t, a in events.filter(pl.col("kind") == "merged_into").select("ticket", "after").iter_rows()}
    found = {}
    for ticket in events["ticket"].unique():
        end = ticket
        while end in into:
            end = into[end]
        found[ticket] = end
    return {t: end for t, end in found.items() if end in population(events)}


def first_response(events: pl.DataFrame, as_of: datetime) -> dict[int, tuple[str, datetime, timedelta | None]]:
    """ticket → (outcome, asked_at, elapsed)."""
    events = known(events, as_of)
    root = roots(events)
    turns: dict[int, list[tuple[datetime, int, str]]] = {}
    for e in events.iter_rows(named=True):
        if e["ticket"] not in root or not e["is_public"] or e["is_auto"]:
            continue
        if e["actor_kind"] in CUSTOMER and e["kind"] in ("created", "customer_reply"):
            turns.setdefault(root[e["ticket"]], []).append((e["moment"], e["seq"], "ask"))
        if e["actor_kind"] == "agent" and e["kind"] in ("created", "agent_reply"):
            turns.setdefault(root[e["ticket"]], []).append((e["moment"], e["seq"], "answer"))
    out = {}
    for ticket, said in turns.items():
        said.sort()
        ask = next((t for t in said if t[2] == "ask"), None)
        if ask is None:
            continue
        answer = next((t[0] for t in said if t[2] == "answer" and t > ask), None)
        solve = next((m for m, seq in solves(events, ticket) if (m, seq) > ask[:2]), None)
        if answer is not None and (solve is None or answer <= solve):
            out[ticket] = ("answered", ask[0], answer - ask[0])
        elif solve is not None:
            out[ticket] = ("no_reply", ask[0], None)
        else:
            out[ticket] = ("waiting", ask[0], max(as_of - ask[0], timedelta()))
    return out


def solves(events: pl.DataFrame, ticket: int) -> list[tuple[datetime, int]]:
    rows = statuses(events).filter(pl.col("ticket") == ticket)
    pairs = zip([None, *rows["status"]], rows.select("status", "moment", "seq").iter_rows(), strict=False)
    return [(m, seq) for before, (after, m, seq) in pairs if before in WORK and after in ("solved", "closed")]


def quantile(cases: list[tuple[str, timedelta]], share: Fraction) -> timedelta | None:
    """Kaplan-Meier in exact fractions: the least t by which ``share`` have their answer."""
    waiting = Fraction(1)
    for t in sorted({x for outcome, x in cases if outcome == "answered"}):
        at_risk = sum(x >= t for _, x in cases)
        waiting *= 1 - Fraction(sum(x == t and o == "answered" for o, x in cases), at_risk)
        if waiting <= 1 - share:
            return t
    return None


def midnight_after(day: date, zone: str) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC)


def backlog(events: pl.DataFrame, as_of: datetime, zone: str, day: date, *, with_void: bool) -> int:
    """Look at every ticket at the midnight that ends ``day``; no sums, no flows."""
    events = known(events, as_of)
    counted = people(events) if with_void else population(events)
    by_then = statuses(events).filter(pl.col("moment") < midnight_after(day, zone))
    state = dict(by_then.group_by("ticket").agg(pl.col("status").sort_by("seq").last()).iter_rows())
    return sum(status in WORK for t, status in state.items() if t in counted)


def open_tickets(events: pl.DataFrame, as_of: datetime) -> list[tuple[int, str, datetime]]:
    events = known(events, as_of)
    began = dict(events.filter(pl.col("kind") == "created").select("ticket", "moment").iter_rows())
    root, state = roots(events), status_now(events)
    found = [
        (min(began[t] for t, r in root.items() if r == ticket), ticket)
        for ticket in population(events) if state[ticket] in WORK
    ]
    return [(ticket, state[ticket], at) for at, ticket in sorted(found)]
