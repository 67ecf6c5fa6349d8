"""Conversations of an archive become tickets: true times, nothing sent, the same whatever comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.archive import CAUSE, Past, Plan, Recorded, record, touched
from gateway.core.archive_rows import TAG, Archived
from gateway.core.context import Context, fold, own
from gateway.core.conversation import Keys, conversations
from gateway.core.lifecycle import fold as folded
from gateway.core.model import SignedId
from gateway.core.rows import Event, Rows, Ticket
from gateway.core.sides import agents_of
from gateway.core.token import make_message_id
from gateway.mime.parse import parse
from tests.desk import ANN, ANNA, BERT, DAN, EVE, POLICY, SUPPORT

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
START = datetime(2020, 3, 2, 9, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PLAN = Plan(name="1", agents=agents_of(POLICY, ()))
relaxed = settings(deadline=None, max_examples=25)


def mail(
    number: int, sender: str, to: str, at: timedelta, *answers: int, sent: bool = False, text: str = "", head: str = "",
    subject: str = "Printer", ids: bool = True, name: str = "",
) -> Archived:
    """Mail ``number``; its id is its number. ``name`` tells copies in several archives apart."""
    lines = [f"From: {sender}", f"To: {to}", f"Subject: {subject}", f"Date: {(START + at):%a, %d %b %Y %H:%M:%S} +0000"]
    lines += [f"Message-ID: <{number}@x.example>"] if ids else []
    lines += [f"In-Reply-To: <{answers[-1]}@x.example>"] if answers else []
    lines += [f"References: {' '.join(f'<{a}@x.example>' for a in answers)}"] if answers else []
    lines += [head] if head else []
    raw = "\r\n".join([*lines, "", text or f"Text {number}.", ""]).encode()
    return Archived(spool_id=f"S{number}{name}", mail=parse(raw), at=START + at, sent=sent, origin=f"box{name} at {number}")


@dataclass
class Store:
    """Everything that was written, and the context that a store would load of it."""

    context: Context = field(default_factory=lambda: own(Context()))
    events: list[Event] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)

    def run(self, mails: Sequence[Archived], plan: Plan = PLAN, now: datetime = NOW) -> list[Recorded]:
        """One import; each conversation sees what those before it did."""
        keys = [
            Keys(ref=m.mail.message_id or m.mail.sha256, in_reply_to=m.mail.in_reply_to, references=m.mail.references)
            for m in mails
        ]
        groups: dict[int, list[Archived]] = {}
        for one, number in zip(mails, conversations(keys), strict=True):
            groups.setdefault(number, []).append(one)
        out = []
        for group in groups.values():
            past = {n: self.past(n) for n in touched(group, self.context)}
            one = record(group, self.context, past, policy=POLICY, plan=plan, now=now)
            self.write(one.rows)
            assert not one.rows.outbox
            assert not one.rows.deliveries
            out.append(one)
        return out

    def write(self, rows: Rows) -> None:
        self.events += rows.events
        self.rows.append(rows)
        self.context = fold(self.context, rows)
        for number, ticket in self.context.tickets.items():
            assert folded(self.of(number)) == ticket
        assert [e.seq for e in self.events] == list(range(1, len(self.events) + 1))

    def past(self, ticket: int) -> Past:
        messages = {m.id: m for rows in self.rows for m in rows.messages}
        return Past(events=tuple(self.of(ticket)), messages=tuple(m for m in messages.values() if m.ticket == ticket))

    def of(self, ticket: int) -> list[Event]:
        return [e for e in self.events if e.ticket == ticket]

    def tickets(self) -> list[Ticket]:
        return [t for t in self.context.tickets.values() if t.status != "void"]

    def told(self, ticket: int = 1) -> list[str]:
        """The events as words: kind, who, hours since START, and what it became."""
        people = {p.id: p.address.partition("@")[0] for p in self.context.persons.values()}
        return [
            f"{e.kind} {e.actor_kind} {people.get(e.actor or 0, '-')} {(e.at - START) / HOUR:g}"
            + (f" {e.after}" if e.kind in ("status", "linked", "machine_mail") else "") for e in self.of(ticket)
        ]

    def life(self) -> set[tuple[object, ...]]:
        """The living tickets, whatever their numbers: every mail in its place, every status with its time."""
        messages = {m.id: m.spool_id for rows in self.rows for m in rows.messages}
        people = {p.id: p.address for p in self.context.persons.values()}
        skip = ("merged_from", "participant_added", "linked")
        return {
            (t.status, t.created_at, t.first_reply_at, t.solved_at, people.get(t.requester or 0), self.context.subjects[t.id], *(
                (e.kind, e.at, e.actor_kind, people.get(e.actor or 0), messages.get(e.message or 0), e.is_public, e.is_auto)
                for e in self.of(t.id) if e.kind not in skip
            ))
            for t in self.tickets()
        }


QUESTION = mail(1, ANN, SUPPORT, 0 * HOUR)
ANSWER = mail(2, ANNA, ANN, 2 * HOUR, 1)
THANKS = mail(3, ANN, SUPPORT, 3 * HOUR, 1, 2)


def test_a_question_and_its_answer_with_their_own_times() -> None:
    store = Store()
    (one,) = store.run([QUESTION, ANSWER])
    assert (one.stored, one.known, one.tickets) == (("S1", "S2"), 0, 1)
    assert store.told() == [
        "created customer ann 0", "tag_added system - 0", "agent_reply agent anna 2", "assignee agent anna 2",
        "status agent anna 2 open", "status system - 2 solved", "status system - 722 closed",
    ]
    (ticket,) = store.tickets()
    assert ticket.first_reply_at == START + 2 * HOUR == ticket.solved_at
    assert ticket.tags == TAG
    assert {e.recorded_at for e in store.events} == {NOW}
    assert {e.cause for e in store.events} == {f"{CAUSE}1"}
    rows = store.rows[0]
    assert [m.month for m in rows.messages] == ["2026-11", "2026-11"]   # no file for each month of ten years
    assert [m.at for m in rows.messages] == [START, START + 2 * HOUR]
    assert [d.detail for d in rows.decisions if d.code == "imported"] == ["box at 1", "box at 2"]


def test_without_shadow_nothing_is_imputed() -> None:
    store = Store()
    store.run([QUESTION, ANSWER], replace(PLAN, impute=False))
    assert [t.status for t in store.tickets()] == ["open"]


def test_twice_is_once() -> None:
    store = Store()
    store.run([QUESTION, ANSWER])
    before = list(store.events)
    (again,) = store.run([QUESTION, ANSWER])
    assert (again.stored, again.known, again.tickets) == ((), 2, 0)
    assert store.events == before
    # The mark of the second run hangs on no message, so no replay looks for raw bytes that were never kept.
    assert [(p.disposition, p.message) for p in store.rows[-1].processed] == [("copy", None)] * 2


def test_one_mail_from_three_archives_is_one() -> None:
    blanks = mail(1, ANN, SUPPORT, 0 * HOUR, text="Text  1. ", name="b")
    store = Store()
    (one,) = store.run([QUESTION, blanks, mail(1, ANN, SUPPORT, 0 * HOUR, name="c")])
    assert (one.stored, one.known) == (("S1",), 2)
    store.run([mail(1, ANN, SUPPORT, 0 * HOUR, name="d")])
    assert len(store.tickets()) == 1


def test_the_same_id_with_another_text_is_another_mail() -> None:
    store = Store()
    (one,) = store.run([QUESTION, mail(1, ANN, SUPPORT, HOUR, text="Something else.", name="b")])
    assert len(one.stored) == 2


def test_a_mail_without_an_id_is_known_by_its_bytes() -> None:
    bare = mail(1, ANN, SUPPORT, 0 * HOUR, ids=False)
    store = Store()
    store.run([bare, bare])
    store.run([replace(bare, spool_id="S9")])
    assert len(store.tickets()) == 1


def test_a_late_customer_begins_a_new_ticket_that_names_the_old_one() -> None:
    store = Store()
    store.run([QUESTION, ANSWER, mail(4, ANN, SUPPORT, 40 * DAY, 2)])
    assert store.told(2)[:3] == ["created customer ann 960", "tag_added system - 960", "linked system - 960 1"]
    assert [t.status for t in store.tickets()] == ["closed", "closed"]


def test_clocks_that_go_wrong_do_not_answer_before_they_were_asked() -> None:
    store = Store()
    store.run([mail(1, ANN, SUPPORT, 5 * HOUR), mail(2, ANNA, ANN, 2 * HOUR, 1), mail(3, ANNA, ANN, 2 * HOUR, 9, 2)])
    assert [t for t in store.told() if "reply" in t] == ["agent_reply agent anna 5", "agent_reply agent anna 5"]


def test_mails_that_answer_each_other_end() -> None:
    store = Store()
    store.run([mail(1, ANN, SUPPORT, HOUR, 2), mail(2, ANN, SUPPORT, 0 * HOUR, 1), mail(3, ANN, SUPPORT, 0 * HOUR, 3)])
    assert len(store.tickets()) == 2


# --- Who ------------------------------------------------------------------------------------


def test_a_mail_of_the_sent_folder_is_an_answer_whoever_wrote_it() -> None:
    store = Store()
    store.run([QUESTION, mail(2, "boss@elsewhere.example", ANN, HOUR, 1, sent=True)])
    assert "agent_reply agent boss 1" in store.told()
    assert not any("assignee" in t for t in store.told())   # nobody who could be told takes a ticket


def test_an_agents_mail_to_the_desk_alone_is_a_note() -> None:
    store = Store()
    store.run([QUESTION, mail(2, BERT, SUPPORT, HOUR, 1)])
    assert "note agent bert 1" in store.told()
    assert [m.is_public for m in store.rows[0].messages] == [True, False]


def test_a_colleague_who_asks_is_a_customer_and_is_answered_in_public() -> None:
    store = Store()
    store.run([mail(1, BERT, SUPPORT, 0 * HOUR), mail(2, ANNA, BERT, HOUR, 1), mail(3, BERT, SUPPORT, 2 * HOUR, 2)])
    assert [t for t in store.told() if "reply" in t or "created" in t] == [
        "created customer bert 0", "agent_reply agent anna 1", "customer_reply customer bert 2",
    ]


def test_agents_who_write_first_open_the_ticket_of_their_first_outside_reader() -> None:
    store = Store()
    store.run([mail(1, ANNA, f"{SUPPORT}, {ANN}, {DAN}", 0 * HOUR), mail(2, DAN, SUPPORT, HOUR, 1)])
    assert store.told()[:3] == ["created agent anna 0", "requester agent anna 0", "tag_added system - 0"]
    assert "customer_reply collaborator dan 1" in store.told()
    (ticket,) = store.tickets()
    assert store.context.persons[ticket.requester or 0].address == ANN


def test_agents_among_themselves_have_no_customer() -> None:
    store = Store()
    store.run([mail(1, ANNA, BERT, 0 * HOUR)])
    assert store.told()[:2] == ["created agent anna 0", "tag_added system - 0"]
    assert not store.events[0].is_public


def test_who_was_written_to_is_on_the_ticket_and_a_stranger_only_holds_it() -> None:
    """A forged mail in an old archive must not make its writer a reader of what we answer today."""
    store = Store()
    store.run([mail(1, ANN, f"{SUPPORT}, {DAN}", 0 * HOUR), mail(2, DAN, SUPPORT, HOUR, 1), mail(3, EVE, f"{SUPPORT}, x@evil.example", HOUR, 1)])
    roles = {store.context.persons[p.person].address: p.role for p in store.context.participants[1]}
    assert roles == {ANN: "requester", DAN: "cc", EVE: "holder"}
    assert store.context.addressees[1] == frozenset((DAN,))


def test_a_mail_without_a_sender_is_kept() -> None:
    store = Store()
    store.run([mail(1, "undisclosed", SUPPORT, 0 * HOUR), mail(2, "undisclosed", SUPPORT, HOUR, 1)])
    (ticket,) = store.tickets()
    assert ticket.requester is None


def test_the_queue_is_the_one_written_to_or_the_one_that_was_given() -> None:
    store = Store()
    store.run([mail(1, ANN, "billing@acme.example", 0 * HOUR), mail(2, ANN, "list@lists.example", HOUR)])
    store.run([mail(3, ANN, "list@lists.example", HOUR)], replace(PLAN, queue="billing"))
    assert [t.queue for t in store.tickets()] == ["billing", "support", "billing"]


# --- Machines -------------------------------------------------------------------------------


def test_machines_on_a_ticket_start_nothing_and_end_nothing() -> None:
    away = mail(3, ANN, SUPPORT, 3 * HOUR, 2, head="Auto-Submitted: auto-replied")
    store = Store()
    store.run([QUESTION, ANSWER, away])
    assert "machine_mail system ann 3 auto_reply" in store.told()
    assert [t.solved_at for t in store.tickets()] == [START + 2 * HOUR]


@pytest.mark.parametrize("head", ["List-Id: <news.shop.example>", "Auto-Submitted: auto-replied"])
def test_machines_alone_are_kept_without_a_ticket(head: str) -> None:
    store = Store()
    (one,) = store.run([mail(1, EVE, SUPPORT, 0 * HOUR, head=head)])
    assert (one.stored, one.tickets, store.events) == (("S1",), 0, [])
    assert [(m.ticket, m.disposition) for m in store.rows[0].messages] == [(None, "log")]
    (again,) = store.run([mail(1, EVE, SUPPORT, 0 * HOUR, head=head, name="b")])
    assert again.known == 1


def test_an_alert_opens_a_ticket_as_it_does_live() -> None:
    store = Store()
    store.run([mail(1, EVE, SUPPORT, 0 * HOUR, head="Auto-Submitted: auto-generated")])
    assert store.told()[0] == "created system eve 0"
    assert store.events[0].is_auto


def test_a_mail_that_we_sent_is_ours_already() -> None:
    ours = make_message_id(POLICY.keys, SignedId(kind="p", ticket=1, outbox=1, party=1), POLICY.host)
    head = f"X-Note: ours\r\nReferences: <{ours}> <1@x.example>"
    sent = mail(2, SUPPORT, ANN, HOUR)
    sent = replace(sent, mail=replace(sent.mail, message_id=ours))
    store = Store()
    (one,) = store.run([sent])
    assert (one.stored, one.known) == ((), 1)
    store.run([mail(3, ANN, SUPPORT, 2 * HOUR, head=head)])
    assert [i.rfc_id for i in store.rows[-1].mail_ids] == ["3@x.example", "1@x.example"]


def test_a_mail_that_nobody_could_read_is_kept_by_its_header() -> None:
    store = Store()
    store.run([replace(QUESTION, mail=replace(QUESTION.mail, opaque="too deep"))])
    assert ("opaque", "too deep") in [(d.code, d.detail) for d in store.rows[0].decisions]


def test_attachments_are_written_down() -> None:
    body = (
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nSee.\r\n--b\r\nContent-Type: image/png; name="a.png"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\niVBORw==\r\n--b--"
    )
    store = Store()
    store.run([mail(1, ANN, SUPPORT, 0 * HOUR, head=body)])
    assert [(a.message, a.name) for a in store.rows[0].attachments] == [(1, "a.png")]


# --- What is stored already -----------------------------------------------------------------


def live(store: Store, event: Event) -> None:
    """An event of the running desk."""
    before = store.context.tickets.get(event.ticket)
    store.write(Rows(events=(event,), tickets=(folded([*store.of(event.ticket), event]),)))
    assert before is not None


def test_a_live_ticket_is_joined_and_its_status_stays() -> None:
    """Old mail never moves what people work on, and nobody is told of it."""
    store = Store()
    store.run([QUESTION, ANSWER])
    live(store, Event(
        seq=len(store.events) + 1, ticket=1, at=NOW, recorded_at=NOW, kind="note", actor_kind="agent", actor=None, cause="01SPOOL",
        message=None, is_public=False, is_auto=False, before=None, after=None,
    ))
    before = store.context.tickets[1]
    (one,) = store.run([THANKS, mail(9, ANNA, ANN, 90 * DAY, 3)])
    assert (len(one.stored), one.tickets) == (2, 0)
    after = store.context.tickets[1]
    assert (after.status, after.assignee, after.solved_at) == (before.status, before.assignee, before.solved_at)
    assert store.told()[-2:] == ["customer_reply customer ann 3", "agent_reply agent anna 2160"]


def test_an_answer_found_later_is_told_in_its_place() -> None:
    """The inbox first, the Sent folder later: the first response is not the day of the second import."""
    store = Store()
    store.run([QUESTION, THANKS])
    store.run([ANSWER])
    whole = Store()
    whole.run([QUESTION, ANSWER, THANKS])
    assert store.life() == whole.life()
    old = store.context.tickets[1]
    assert (old.status, old.merged_into) == ("void", 2)
    assert {m.ticket for m in store.past(2).messages} == {2}
    assert not store.past(1).messages


def test_a_ticket_that_agents_began_keeps_its_customer_when_it_is_told_anew() -> None:
    store = Store()
    store.run([mail(1, ANNA, f"{SUPPORT}, {ANN}", 0 * HOUR), mail(3, ANN, SUPPORT, 4 * HOUR, 1)])
    store.run([mail(2, ANNA, ANN, 2 * HOUR, 1)])
    again = store.context.tickets[2]
    assert store.context.tickets[1].merged_into == 2
    assert store.context.persons[again.requester or 0].address == ANN


def test_what_is_void_stays_so() -> None:
    store = Store()
    store.run([QUESTION])
    live(store, Event(
        seq=len(store.events) + 1, ticket=1, at=NOW, recorded_at=NOW, kind="status", actor_kind="agent", actor=None, cause="01SPOOL",
        message=None, is_public=False, is_auto=False, before="closed", after="void",
    ))
    store.run([ANSWER])
    assert [t.id for t in store.tickets()] == [2]


people = st.sampled_from([ANN, ANN, DAN, ANNA, BERT])


@st.composite
def archives(draw: st.DrawFn) -> list[Archived]:
    """A few conversations of people who answer each other, now and then a machine, some of it in a Sent folder."""
    out: list[Archived] = []
    for number in range(1, draw(st.integers(1, 7)) + 1):
        sender = draw(people)
        answers = (draw(st.integers(1, number - 1)),) if number > 1 and draw(st.booleans()) else ()
        to = draw(st.sampled_from([SUPPORT, ANN, f"{SUPPORT}, {DAN}"]))
        head = draw(st.sampled_from(["", "", "", "Auto-Submitted: auto-replied"]))
        out.append(mail(number, sender, to, draw(st.integers(0, 80)) * DAY, *answers, head=head))
    return out


@relaxed
@given(archives(), st.randoms(use_true_random=False))
def test_the_order_of_archives_does_not_matter(mails: list[Archived], random) -> None:  # type: ignore[no-untyped-def]
    one, other = Store(), Store()
    one.run(mails)
    mixed = mails * 2
    random.shuffle(mixed)
    other.run(mixed)
    assert one.life() == other.life()
    before = len(other.events)
    other.run(mixed)
    assert len(other.events) == before


@relaxed
@given(archives(), st.data())
def test_in_two_runs_every_mail_is_stored_once_and_every_ticket_is_the_fold_of_its_events(
    mails: list[Archived], data: st.DataObject
) -> None:
    """Whichever part came first. ``Store.write`` checks the fold after each conversation."""
    cut = data.draw(st.integers(0, len(mails)))
    parts = data.draw(st.permutations(mails))
    store = Store()
    store.run(parts[:cut])
    store.run(parts[cut:])
    store.run(mails)
    messages = [m.spool_id for rows in store.rows for m in {m.id: m for m in rows.messages}.values()]
    assert sorted(set(messages)) == sorted(m.spool_id for m in mails)
    said = [e.message for t in store.tickets() for e in store.of(t.id) if e.message is not None]
    assert len(said) == len(set(said))
