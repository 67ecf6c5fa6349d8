"""Pictures for notebooks and mails. Needs mailwicket[reports]; `import reports` does not.

Charts get dates and numbers only, never a stranger's text: altair writes its data into a page unescaped.
They are drawn to PNG on this machine; nothing is fetched when the page is opened.

Limits: without vl-convert-python JupyterLab draws them itself, and an exported page has none.
"""

from __future__ import annotations

import base64
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, Final

import altair as alt
import polars as pl

WIDTH: Final = 640
BLUE, GREEN, AMBER, GREY = "#2f6690", "#4f9d69", "#d98e04", "#8a8f98"
BUCKETS: Final[tuple[tuple[str, timedelta], ...]] = (
    ("15 min", timedelta(minutes=15)),
    ("1 h", timedelta(hours=1)),
    ("4 h", timedelta(hours=4)),
    ("8 h", timedelta(hours=8)),
    ("1 day", timedelta(days=1)),
    ("3 days", timedelta(days=3)),
)
LONGER, NO_REPLY = "longer", "solved unanswered"
_LEGEND: Final = alt.Legend(orient="top", direction="horizontal", offset=4)
_OUTCOMES: Final = {"answered": "answered", "waiting": "still waiting", "no_reply": NO_REPLY}


def ready() -> None:
    """Tell altair to draw here. Call it once, before the first chart."""
    if find_spec("vl_convert"):
        alt.renderers.register("picture", _picture)
        alt.renderers.enable("picture")
    else:
        alt.renderers.enable("mimetype")


def _picture(spec: dict[str, Any], **_: Any) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """A PNG of twice the points, with its title as the text for who cannot see it."""
    import vl_convert

    png = vl_convert.vegalite_to_png(spec, scale=2)
    width = int.from_bytes(png[16:20], "big") // 2      # IHDR, the first chunk of every PNG
    about = {"alt": spec["title"]["text"], "width": str(width)}
    return {"image/png": base64.b64encode(png).decode("ascii")}, {"image/png": about}


def backlog(days: pl.DataFrame) -> alt.Chart:
    """Tickets not done at the end of each day (metrics.backlog_by_day)."""
    base = _chart(days, "Open tickets at the end of each day").encode(
        x=_day_axis(), y=alt.Y("backlog:Q", title=None, scale=alt.Scale(domainMin=0), axis=_counts(days["backlog"]))
    )
    chart: alt.Chart = base.mark_area(color=BLUE, opacity=0.15, line={"color": BLUE}, point={"color": BLUE})
    return chart


def flow(days: pl.DataFrame) -> alt.Chart:
    """What came in and what went out (metrics.arrivals_and_closures)."""
    came, went = "came in or came back", "solved"
    both = days.select(
        "day", (pl.col("arrivals") + pl.col("reopens")).alias(came), pl.col("closures").alias(went)
    ).unpivot(index="day", variable_name="what", value_name="tickets")
    colors = alt.Scale(domain=[came, went], range=[AMBER, GREEN])
    chart: alt.Chart = _chart(both, "Came in and went out").mark_bar().encode(
        x=_day_axis(),
        xOffset=alt.XOffset("what:N", sort=[came, went]),
        y=alt.Y("tickets:Q", title=None, axis=_counts(both["tickets"])),
        color=alt.Color("what:N", title=None, sort=[came, went], legend=_LEGEND, scale=colors),
    )
    return chart


def first_response(answers: pl.DataFrame) -> alt.Chart:
    """How many customers waited how long (metrics.first_response)."""
    names = [*(f"≤ {name}" for name, _ in BUCKETS), LONGER, NO_REPLY]
    counts = answers.group_by(
        _bucket().alias("wait"), pl.col("outcome").replace_strict(_OUTCOMES, return_dtype=pl.String)
    ).len("tickets")
    shown = list(_OUTCOMES.values())
    colors = alt.Scale(domain=shown, range=[GREEN, AMBER, GREY])
    chart: alt.Chart = _chart(counts, "Time to the first answer", height=200).mark_bar().encode(
        x=alt.X("wait:N", title=None, sort=names, scale=alt.Scale(domain=names), axis=alt.Axis(labelAngle=0)),
        y=alt.Y("tickets:Q", title=None, axis=_counts(counts["tickets"])),
        color=alt.Color("outcome:N", title=None, sort=shown, legend=_LEGEND, scale=colors),
        order=alt.Order("outcome:N"),
    )
    return chart


def _bucket() -> pl.Expr:
    # Built from the last bucket to the first, so that each is asked before the longer ones.
    found = pl.when(pl.col("elapsed").is_null()).then(pl.lit(NO_REPLY)).otherwise(pl.lit(LONGER))
    for name, limit in reversed(BUCKETS):
        found = pl.when(pl.col("elapsed") <= limit).then(pl.lit(f"≤ {name}")).otherwise(found)
    return found


def _chart(data: pl.DataFrame, title: str, height: int = 160) -> alt.Chart:
    heading = alt.TitleParams(title, anchor="start", fontSize=14, offset=12)
    room = {"left": 5, "top": 5, "right": 5, "bottom": 20}
    return alt.Chart(data, title=heading, width=WIDTH, height=height, padding=room)


def _day_axis() -> alt.X:
    # Days stand side by side: ordinal, so that no time zone of the reader can move them.
    return alt.X(
        "yearmonthdate(day):O", title=None,
        axis=alt.Axis(format="%a %d %b", labelAngle=0, labelOverlap=True, labelFlush=False),
    )


def _counts(values: pl.Series) -> alt.Axis:
    """Whole numbers only: there is no half ticket."""
    most: Any = values.max()
    return alt.Axis(format="d", tickMinStep=1, tickCount=min(5, max(1, int(most or 0))))
