"""Figures of the desk, for notebooks and managers. Imports nothing from the gateway: the snapshot is the contract.

    import reports
    desk = reports.open()                       # the newest snapshot
    reports.open_tickets(desk, most=10)         # a polars frame

Read in this order:

    desk.py         the newest snapshot, what it is as of, in which zone
    metrics.py      one function and one file of sql/ for each figure
    facts.py        tables made once in the snapshot, from which all figures start
    text.py         subjects from strangers, made fit to be shown
    charts.py       pictures (altair); tables.py: tables (great-tables). Both need mailwicket[reports]

Definitions: every figure is a function of the events recorded up to ``as_of``, and of nothing else; the same
arguments give the same bytes. Durations are elapsed time. Business calendars, SLA and satisfaction come later.
"""

from __future__ import annotations

from reports.desk import Desk, SnapshotError, open  # noqa: A004  # reports.open() is what a notebook should say
from reports.metrics import (
    arrivals_and_closures,
    backlog_by_day,
    first_response,
    first_response_summary,
    open_tickets,
    overview,
)

__all__ = [
    "Desk",
    "SnapshotError",
    "arrivals_and_closures",
    "backlog_by_day",
    "first_response",
    "first_response_summary",
    "open",
    "open_tickets",
    "overview",
]
