"""One function and one file of sql/ for each figure.

Every function takes ``as_of`` (default: the snapshot's) and ``zone`` (default: the snapshot's) and knows
only events recorded by ``as_of``. ``first`` and ``last`` are local days, both included. A ticket that is
void at ``as_of`` (spam, merged, test, erased) counts nowhere, whatever its date; merged tickets' mails
count for the ticket they went into. A ticket on which only machines acted is nobody's work and counts nowhere.

Limits: elapsed time only; no breakdown by queue, agent or customer yet.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl

from reports.desk import Desk, local_day, naive, time_zone


def first_response(
    desk: Desk,
    *,
    as_of: datetime | None = None,
    zone: str | None = None,
    first: date | None = None,
    last: date | None = None,
) -> pl.DataFrame:
    """How long customers waited for the first answer, a row a ticket; cohort: asked on ``first``..``last``.

    ``outcome`` is answered, waiting (``elapsed`` is the time so far) or no_reply (solved without an answer,
    no ``elapsed``). Zero is a value, null is none.
    """
    return desk.query("first_response", {**_common(desk, as_of, zone), "first": first, "last": last})


def first_response_summary(
    desk: Desk,
    *,
    as_of: datetime | None = None,
    zone: str | None = None,
    first: date | None = None,
    last: date | None = None,
) -> pl.DataFrame:
    """The same cohort in one row: counts, median and 90 % by Kaplan-Meier, longest wait of who still waits.

    A null quantile says that too many still wait for it to be known.
    """
    return desk.query("first_response_summary", {**_common(desk, as_of, zone), "first": first, "last": last})


def arrivals_and_closures(
    desk: Desk,
    *,
    as_of: datetime | None = None,
    zone: str | None = None,
    first: date | None = None,
    last: date | None = None,
    with_void: bool = False,
) -> pl.DataFrame:
    """Arrivals, reopens, closures and voided tickets of every local day, by when they happened.

    ``with_void`` also counts tickets that are void now, until they became so: the days as they looked then.
    """
    parameters = {**_common(desk, as_of, zone), "first": first, "last": last, "with_void": with_void}
    return desk.query("arrivals_and_closures", parameters)


def backlog_by_day(
    desk: Desk,
    *,
    as_of: datetime | None = None,
    zone: str | None = None,
    first: date | None = None,
    last: date | None = None,
    with_void: bool = False,
) -> pl.DataFrame:
    """Tickets not done at the end of every local day; ``complete`` is false for a day that is not over.

    backlog(d) = backlog(d-1) + arrivals + reopens - closures - voided, every day.
    """
    parameters = {**_common(desk, as_of, zone), "first": first, "last": last, "with_void": with_void}
    return desk.query("backlog_by_day", parameters)


def open_tickets(desk: Desk, *, as_of: datetime | None = None, most: int | None = None) -> pl.DataFrame:
    """Tickets not done, oldest first, at most ``most``. ``subject`` is a stranger's text: see text.plain."""
    common = _common(desk, as_of, None)
    del common["zone"]
    return desk.query("open_tickets", {**common, "most": most})


def overview(
    desk: Desk,
    *,
    as_of: datetime | None = None,
    zone: str | None = None,
    first: date | None = None,
    last: date | None = None,
) -> pl.DataFrame:
    """The days ``first``..``last`` in one row; default: the week that ends with the day of ``as_of``."""
    zone, moment = zone or desk.zone, as_of or desk.as_of
    naive(moment)
    last = last or local_day(moment, zone)
    first = first or last - timedelta(days=6)
    flow = arrivals_and_closures(desk, as_of=moment, zone=zone, first=first, last=last)
    backlog = backlog_by_day(desk, as_of=moment, zone=zone, first=first - timedelta(days=1), last=last)
    answers = first_response_summary(desk, as_of=moment, zone=zone, first=first, last=last)
    oldest = open_tickets(desk, as_of=moment, most=1)
    return pl.concat([
        pl.DataFrame({"first": [first], "last": [last], "backlog_before": backlog["backlog"].head(1)}),
        flow.select("arrivals", "reopens", "closures", "voided").sum(),
        pl.DataFrame({"backlog_after": backlog["backlog"].tail(1)}),
        answers,
        oldest.select(pl.col("age").max().alias("oldest_open")),
    ], how="horizontal")


def _common(desk: Desk, as_of: datetime | None, zone: str | None) -> dict[str, object]:
    moment = desk.as_of if as_of is None else as_of
    time_zone(zone or desk.zone)
    return {"as_of": naive(moment), "last_event": desk.last_event(moment), "zone": zone or desk.zone}
