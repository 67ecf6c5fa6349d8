"""Every figure by two independent ways, equal to the microsecond; and the cases people argue about, one by one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import reports
from tests.reports import second
from tests.reports.histories import BERT, START, History, histories

# A snapshot is a file with a schema, about a quarter of a second: few examples, each with many checks.
thorough = settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
minutes = timedelta(minutes=1)


def answers(desk: reports.Desk, as_of: datetime) -> dict[int, tuple[str, datetime, timedelta | None]]:
    rows = reports.first_response(desk, as_of=as_of).select("ticket_id", "outcome", "asked_at", "elapsed").iter_rows()
    return {t: (outcome, asked, elapsed) for t, outcome, asked, elapsed in rows}


@thorough
@given(history=histories(), zone=st.sampled_from(ZONES), back=st.sampled_from([0, 0, 1, 700]))
@example(history=History(), zone="Europe/Berlin", back=0)
def test_sql_and_the_second_implementation_agree_on_any_history(history: History, zone: str, back: int) -> None:
    events, as_of = history.frame(), history.now - back * minutes
    with TemporaryDirectory() as directory, reports.open(history.snapshot(Path(directory))) as desk:
        assert answers(desk, as_of) == second.first_response(events, as_of)
        opened = reports.open_tickets(desk, as_of=as_of).select("ticket_id", "status", "opened_at")
        assert opened.rows() == second.open_tickets(events, as_of)
        summary = reports.first_response_summary(desk, as_of=as_of).to_dicts()[0]
        cases = [(o, x) for o, _, x in second.first_response(events, as_of).values() if x is not None]
        assert summary["median"] == second.quantile(cases, Fraction(1, 2))
        assert summary["p90"] == second.quantile(cases, Fraction(9, 10))
        for with_void in (False, True):
            days = reports.backlog_by_day(desk, as_of=as_of, zone=zone, with_void=with_void)
            for day, backlog, _ in days.iter_rows():
                assert backlog == second.backlog(events, as_of, zone, day, with_void=with_void), (day, with_void)


@thorough
@given(history=histories(), zone=st.sampled_from(ZONES), with_void=st.booleans())
def test_backlog_is_yesterdays_plus_arrivals_and_reopens_less_closures_and_voided(
    history: History, zone: str, with_void: bool
) -> None:
    with TemporaryDirectory() as directory, reports.open(history.snapshot(Path(directory))) as desk:
        flow = reports.arrivals_and_closures(desk, zone=zone, with_void=with_void)
        backlog = reports.backlog_by_day(desk, zone=zone, with_void=with_void)
        assert flow["day"].to_list() == backlog["day"].to_list()
        before = 0
        for (_, arrivals, reopens, closures, voided), (_, after, _) in zip(flow.rows(), backlog.rows(), strict=True):
            assert after == before + arrivals + reopens - closures - voided
            before = after
        assert before == (reports.open_tickets(desk).height if not with_void else before)


def asked(history: History, tmp_path: Path, as_of: datetime | None = None) -> list[tuple[int, str, timedelta | None]]:
    with reports.open(history.snapshot(tmp_path)) as desk:
        return reports.first_response(desk, as_of=as_of).select("ticket_id", "outcome", "elapsed").rows()


h = timedelta(hours=1)
CASES: dict[str, tuple[History, list[tuple[int, str, timedelta | None]]]] = {
    "an answer stops the clock": (History().mail(1).wait(hours=1).answer(1), [(1, "answered", h)]),
    "the first answer counts": (History().mail(1).wait(hours=1).answer(1).wait(hours=5).answer(1), [(1, "answered", h)]),
    "an answer in the same moment takes zero time, which is a value": (
        History().mail(1).answer(1), [(1, "answered", 0 * h)]),
    "an auto-reply is no answer": (History().mail(1).answer(1, is_auto=True).wait(hours=1), [(1, "waiting", h)]),
    "an internal note is no answer": (History().mail(1).add(1, "note").wait(hours=1), [(1, "waiting", h)]),
    "a colleague of the customer is no agent": (
        History().mail(1).mail(1, actor_kind="collaborator").wait(hours=1), [(1, "waiting", h)]),
    "asking again does not restart the clock": (
        History().mail(1).wait(hours=1).mail(1).wait(hours=1).answer(1), [(1, "answered", 2 * h)]),
    "solved without a word has no response time": (History().mail(1).wait(hours=1).move(1, "solved"), [(1, "no_reply", None)]),
    "nor has it if it is answered after a reopening": (
        History().mail(1).move(1, "solved").wait(hours=1).move(1, "open").answer(1), [(1, "no_reply", None)]),
    "#solved in the mail that answers is an answer": (
        History().mail(1).wait(hours=1).answer(1).move(1, "solved"), [(1, "answered", h)]),
    "an agent who writes first waits for nobody": (History().mail(1, actor_kind="agent").wait(hours=1), []),
    "and owes an answer once the customer writes": (
        History().mail(1, actor_kind="agent").wait(hours=1).mail(1).wait(hours=1).answer(1), [(1, "answered", h)]),
    "a machine that opens a ticket waits for nobody": (
        History().mail(1, actor_kind="system", is_auto=True).wait(hours=1).add(1, "note"), []),
    "spam is in no figure": (History().mail(1).wait(hours=1).move(1, "void"), []),
    "restored spam is back at its own date": (
        History().mail(1).move(1, "void").wait(hours=1).move(1, "open").answer(1), [(1, "answered", h)]),
    "a merged ticket's customer has waited since he wrote": (
        History().mail(1).wait(hours=1).mail(2).merge(1, 2).wait(hours=1).answer(2), [(2, "answered", 2 * h)]),
    "an answer given before the merge was an answer": (
        History().mail(1).wait(hours=1).answer(1).wait(hours=1).mail(2).merge(1, 2), [(2, "answered", h)]),
    "merges go on through chains": (
        History().mail(1).wait(hours=1).mail(2).mail(3).merge(1, 2).merge(2, 3).answer(3), [(3, "answered", h)]),
    "a mail that was recorded late still began when it was sent": (
        History().wait(hours=5).mail(1, late=2 * h).answer(1), [(1, "answered", 2 * h)]),
    "nothing takes less than no time": (
        History().wait(hours=5).mail(1).answer(1, late=2 * h), [(1, "answered", 0 * h)]),
}


@pytest.mark.parametrize("case", CASES)
def test_first_response(case: str, tmp_path: Path) -> None:
    history, expected = CASES[case]
    assert asked(history, tmp_path) == expected


def test_a_report_of_an_earlier_moment_knows_nothing_of_what_came_later(tmp_path: Path) -> None:
    history = History().mail(1).wait(hours=1).mail(2).wait(hours=1).merge(1, 2).answer(2).move(2, "solved")
    with reports.open(history.snapshot(tmp_path)) as desk:
        before = START + 1.5 * h
        assert answers(desk, before) == {1: ("waiting", START, 1.5 * h), 2: ("waiting", START + h, 0.5 * h)}
        assert reports.open_tickets(desk, as_of=before)["ticket_id"].to_list() == [1, 2]
        assert reports.open_tickets(desk).is_empty()
        assert answers(desk, START - h) == {}
        assert reports.overview(desk, as_of=START - h)["backlog_after"].item() == 0


def test_median_counts_who_still_waits_and_says_nothing_it_cannot_know(tmp_path: Path) -> None:
    """Two answered within 1 h and 3 h, two wait for 10 h: half are answered by 3 h, 90 % by nobody knows when."""
    history = History().mail(1).mail(2).mail(3).mail(4).wait(hours=1).answer(1).wait(hours=2).answer(2).wait(hours=7)
    with reports.open(history.snapshot(tmp_path)) as desk:
        row = reports.first_response_summary(desk).to_dicts()[0]
    assert row == {
        "asked": 4, "answered": 2, "waiting": 2, "no_reply": 0, "median": 3 * h, "p90": None, "longest_wait": 10 * h,
    }


def test_a_day_is_the_local_one_also_when_the_clocks_go_back(tmp_path: Path) -> None:
    """25 October 2026 has 25 hours in Berlin; 23:30 and 00:30 there are 22:30 and 23:30 UTC."""
    history = History(now=datetime(2026, 10, 24, 22, 30, tzinfo=UTC)).mail(1)   # 00:30 on the 25th in Berlin
    history.now = datetime(2026, 10, 25, 22, 30, tzinfo=UTC)                    # 23:30 on the 25th
    history.mail(2)
    history.now = datetime(2026, 10, 25, 23, 30, tzinfo=UTC)                    # 00:30 on the 26th
    history.mail(3)
    with reports.open(history.snapshot(tmp_path)) as desk:
        berlin = reports.arrivals_and_closures(desk)
        utc = reports.arrivals_and_closures(desk, zone="UTC")
    assert berlin.select("day", "arrivals").rows() == [(date(2026, 10, 25), 2), (date(2026, 10, 26), 1)]
    assert utc.select("day", "arrivals").rows() == [(date(2026, 10, 24), 1), (date(2026, 10, 25), 2)]


def test_overview_of_a_week(tmp_path: Path) -> None:
    history = History().mail(1).wait(days=8).mail(2).wait(hours=1).answer(2).move(2, "solved").wait(hours=1).mail(3)
    with reports.open(history.snapshot(tmp_path)) as desk:
        row = reports.overview(desk).to_dicts()[0]
    assert row == {
        "first": date(2026, 10, 25), "last": date(2026, 10, 31), "backlog_before": 1, "arrivals": 2, "reopens": 0,
        "closures": 1, "voided": 0, "backlog_after": 2, "asked": 2, "answered": 1, "waiting": 1, "no_reply": 0,
        "median": h, "p90": h, "longest_wait": 0 * h, "oldest_open": timedelta(days=8, hours=2),
    }


def test_open_tickets_are_as_they_were_then_and_the_oldest_come_first(tmp_path: Path) -> None:
    history = History().mail(1, subject="=1+1").wait(hours=1).mail(2)
    history.add(1, "assignee", after=str(BERT)).add(1, "priority", before="normal", after="high").wait(hours=1)
    then = history.now
    history.wait(hours=1).add(1, "assignee", before=str(BERT)).add(1, "queue", before="support", after="sales")
    columns = ("key", "subject", "queue", "status", "priority", "assignee", "age")
    with reports.open(history.snapshot(tmp_path)) as desk:
        early = reports.open_tickets(desk, as_of=then).select(columns).rows()
        late = reports.open_tickets(desk, most=1).select(columns).rows()
    assert early == [
        ("ABC-1", "=1+1", "support", "new", "high", "bert", 2 * h), ("ABC-2", "Printer", "support", "new", "normal", None, h),
    ]
    assert late == [("ABC-1", "=1+1", "sales", "new", "high", None, 3 * h)]


def test_a_moment_without_zone_and_an_unknown_zone_are_refused(tmp_path: Path) -> None:
    with reports.open(History().mail(1).snapshot(tmp_path)) as desk:
        with pytest.raises(ValueError, match="has no time zone"):
            reports.overview(desk, as_of=START.replace(tzinfo=None))
        with pytest.raises(ValueError, match="Europe/Nowhere.*IANA"):
            reports.backlog_by_day(desk, zone="Europe/Nowhere")


def test_an_empty_desk_has_figures_too(tmp_path: Path) -> None:
    with reports.open(History().snapshot(tmp_path)) as desk:
        row = reports.overview(desk).to_dicts()[0]
        assert (row["arrivals"], row["backlog_after"], row["median"], row["oldest_open"]) == (0, 0, None, None)
        assert reports.backlog_by_day(desk).is_empty()
        assert reports.open_tickets(desk).schema["age"] == pl.Duration("us")
