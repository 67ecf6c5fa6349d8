"""Tables for notebooks and mails. Needs mailwicket[reports]; `import reports` does not.

Great Tables escapes what stands in a cell; text.plain takes out what would hide or turn it around; and the
classes of the outermost element keep MathJax, which notebooks load, from reading formulas out of subjects.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import polars as pl
from great_tables import GT, loc, style

from reports.text import plain

NONE: Final = "–"
# What the review says of a week: column of metrics.overview, words, whether it is a time.
_LINES: Final[tuple[tuple[str, str], ...]] = (
    ("arrivals", "New tickets"),
    ("reopens", "Reopened"),
    ("closures", "Solved"),
    ("backlog_after", "Open at the end"),
    ("asked", "Customers who asked"),
    ("answered", "… and have an answer"),
    ("waiting", "… and still wait"),
    ("no_reply", "… and were solved unanswered"),
    ("median", "Half had their answer within"),
    ("p90", "90 % had their answer within"),
)
_TIMES: Final = ("median", "p90")


@dataclass(frozen=True, slots=True)
class Html:
    """A table as a notebook shows it; ``text`` has its style in it and needs nothing from outside."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


def weeks(now: pl.DataFrame, before: pl.DataFrame) -> Html:
    """Two rows of metrics.overview side by side."""
    this, last = now.to_dicts()[0], before.to_dicts()[0]
    rows = [{"what": words, "this": _cell(this, name), "last": _cell(last, name)} for name, words in _LINES]
    return _shown(
        GT(pl.DataFrame(rows))
        .cols_label(what="", this=_days(this), last=_days(last))
        .cols_align("right", columns=["this", "last"])
        .tab_style(style.text(weight="bold"), loc.body(columns="this"))
    )


def open_tickets(tickets: pl.DataFrame, zone: str) -> Html:
    """metrics.open_tickets for people: ages rounded, times local, subjects made harmless."""
    local = ZoneInfo(zone)
    rows = [
        {
            "key": t["key"], "subject": plain(t["subject"]) or "(no subject)", "queue": plain(t["queue"], 30),
            "status": t["status"].replace("_", " "), "priority": t["priority"],
            "assignee": plain(t["assignee"], 30) if t["assignee"] else NONE,
            "since": f"{t['opened_at'].astimezone(local):%Y-%m-%d %H:%M}", "age": words(t["age"]),
        }
        for t in tickets.iter_rows(named=True)
    ]
    columns = ("key", "subject", "queue", "status", "priority", "assignee", "since", "age")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))
    return _shown(GT(frame).cols_label(
        key="Ticket", subject="Subject", queue="Queue", status="Status", priority="Priority", assignee="Assignee",
        since="Since", age="Age",
    ).cols_align("right", columns=["age"]).tab_style(
        style.text(whitespace="nowrap"), loc.body(columns=["key", "since", "age"])
    ))


def words(length: timedelta | None) -> str:
    """A duration as people say it, in at most two units, never rounded up; a dash for none."""
    if length is None:
        return NONE
    minutes = int(length.total_seconds() // 60)
    hours, days = minutes // 60, minutes // 1440
    if minutes < 1:
        return "under 1 min"
    if hours < 1:
        return f"{minutes} min"
    if days < 1:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{days} d {hours % 24} h"


def _cell(row: dict[str, Any], name: str) -> str:
    if name not in _TIMES:
        return str(row[name])
    if row[name] is None and row["asked"] > row["no_reply"]:
        # Too many still wait for the figure to be known.
        return f"over {words(row['longest_wait'])}"
    return words(row[name])


def _days(row: dict[str, Any]) -> str:
    first, last = row["first"], row["last"]
    assert isinstance(first, date)
    return f"{first:%d %b} to {last:%d %b}" if first != last else f"{first:%d %b}"


def _shown(table: GT) -> Html:
    text = table.opt_align_table_header("left").tab_options(
        table_font_size="14px", table_margin_left="0px", column_labels_font_weight="bold", data_row_padding="4px",
    ).as_raw_html()
    return Html(f'<div class="tex2jax_ignore mathjax_ignore">{text}</div>')
