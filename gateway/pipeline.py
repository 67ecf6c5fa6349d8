"""The way of a mail through the rooms, one line a room. Read this page first.

    receive ─► SPOOL ─► parse ─► understand ─► rules ─► conclude ─► compose ─► JOURNAL ─► STORE ─► send

``decide`` takes a parsed batch from facts to rows and touches nothing; ``Pipeline.batch`` wraps it in the
two durable steps. Mails that share a key are decided in waves, so that a later one sees what an
earlier one did (architecture ruling 1); all waves share one journal frame and one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

from gateway.core.admin import AdminCommand
from gateway.core.admin_act import carry_out
from gateway.core.clerk import Author
from gateway.core.conclude import conclude
from gateway.core.context import Context, Needs, fold, own
from gateway.core.decision import Decision
from gateway.core.desk_mail import told
from gateway.core.digest import Agenda, digest
from gateway.core.directory import Directory
from gateway.core.failure import given_up, overdue
from gateway.core.model import Facts, Spooled
from gateway.core.policy import Agent, Policy
from gateway.core.rows import DecisionRow, Delivery, MailFacts, OutboxRow, Rows
from gateway.core.rows_beside import Listed
from gateway.core.understand import facts_row, further, needs, shared_keys, understand
from gateway.core.woken import woken
from gateway.edge.rules import RuleBook
from gateway.errors import MailwicketError
from gateway.mime.compose import Composer

Fetch = Callable[[str, str], bytes]     # (spool id, month) -> raw bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """The rooms between spool and store, with all they know from the configuration."""

    policy: Policy
    rules: RuleBook
    composer: Composer

    def under(self, policy: Policy) -> Rooms:
        """The same rooms under the policy of the moment: the configuration's with the directory's people."""
        return self if policy is self.policy else replace(self, policy=policy)


def decide(
    batch: Sequence[Spooled], context: Context, rooms: Rooms, *, fetch: Fetch, now: datetime
) -> tuple[Rows, list[Decision]]:
    """Everything one batch writes, and the decisions in the order of ``batch``."""
    context = own(context)      # it grows with every mail
    done: list[tuple[Rows, Decision]] = []
    for wave in waves(batch, rooms.policy):
        facts = [understand(spooled, context, rooms.policy) for spooled in wave]
        hits = _hits(facts, wave, context, rooms.rules)
        for one, spooled, names in zip(facts, wave, hits, strict=True):
            decision = conclude(one, spooled, names, context=context, policy=rooms.policy, now=now)
            rows = _with_outbox(decision, context.next_outbox, rooms.composer, fetch=fetch, now=now)
            context = fold(context, rows)
            done.append((rows, decision))
    order = {spooled.spool_id: n for n, spooled in enumerate(batch)}
    decisions = sorted((d for _, d in done), key=lambda d: order[d.spool_id])
    return joined([rows for rows, _ in done]), decisions


def context_of(batch: Sequence[Spooled], policy: Policy, load: Callable[[Needs], Context]) -> Context:
    """What the decisions on ``batch`` may see; asked for once more if a waiting mail of theirs names other tickets."""
    asked = needs(batch, policy)
    context = load(asked)
    more = further(asked, context, policy)
    return context if more is None else load(more)


def explain(spooled: Spooled, context: Context, rooms: Rooms, *, now: datetime) -> Decision:
    """What would be decided about one mail; nothing is rendered, nothing is written."""
    facts = understand(spooled, context, rooms.policy)
    (hits,) = _hits([facts], [spooled], context, rooms.rules)
    return conclude(facts, spooled, hits, context=context, policy=rooms.policy, now=now)


def waves(batch: Sequence[Spooled], policy: Policy) -> Iterator[list[Spooled]]:
    """The batch in rounds: each mail stands one round after the last mail it shares a key with."""
    last: dict[str, int] = {}
    rounds: dict[int, list[Spooled]] = {}
    for spooled in batch:
        keys = list(shared_keys(spooled, policy))
        number = max((last[k] + 1 for k in keys if k in last), default=0)
        last.update(dict.fromkeys(keys, number))
        rounds.setdefault(number, []).append(spooled)
    for number in sorted(rounds):
        yield rounds[number]


def joined(parts: Sequence[Rows]) -> Rows:
    """One Rows of many, table by table, in order; the store keeps the last row of a key."""
    return Rows(**{f.name: tuple(row for part in parts for row in getattr(part, f.name)) for f in fields(Rows)})


def _hits(
    facts: Sequence[Facts], wave: Sequence[Spooled], context: Context, rules: RuleBook
) -> list[tuple[str, ...]]:
    rows: list[MailFacts] = [facts_row(f, s, context) for f, s in zip(facts, wave, strict=True)]
    return rules.hits(rows, [f.new_text for f in facts])


def decide_digest(
    agent: Agent, agenda: Agenda, context: Context, rooms: Rooms, *, offset: int, fetch: Fetch, now: datetime
) -> Rows:
    """The rows of one agent's digest."""
    decision = digest(agent, agenda, context, rooms.policy, cause="timer", offset=offset, now=now)
    return _with_outbox(decision, context.next_outbox, rooms.composer, fetch=fetch, now=now)


def decide_admin(
    command: AdminCommand, directory: Directory, context: Context, rooms: Rooms, author: Author, *, fetch: Fetch, now: datetime
) -> tuple[Rows, tuple[str, ...]]:
    """What an admin's line writes, and what to tell him. ``rooms`` are those of the configuration. Raises ValueError."""
    done = carry_out(command, directory, context, rooms.policy, author, now)
    decision = Decision(spool_id=author.cause, disposition="apply", rows=done.rows, drafts=done.drafts, reasons=())
    return _with_outbox(decision, context.next_outbox, rooms.composer, fetch=fetch, now=now), done.said


def decide_told(agent: Agent, lines: Sequence[str], context: Context, rooms: Rooms, *, cause: str, fetch: Fetch, now: datetime) -> Rows:
    """The transcript of lines that were carried out outside of a mail's own decision."""
    decision = told(agent, lines, context, rooms.policy, cause=cause, now=now)
    return _with_outbox(decision, context.next_outbox, rooms.composer, fetch=fetch, now=now)


def _with_outbox(
    decision: Decision, next_outbox: int, composer: Composer, *, fetch: Fetch, now: datetime
) -> Rows:
    """The decision's rows with its drafts rendered: once, here, with their final bytes (decision 8).

    A draft that cannot be rendered (an address no header may hold) is left out and said so; it must
    not take the mail down with it.
    """
    mails: list[OutboxRow] = []
    unfit: list[DecisionRow] = []
    listed: list[Listed] = []
    for draft in decision.drafts:
        try:
            mails.append(composer.render(draft, next_outbox + len(mails), now, fetch))
            listed += [Listed(outbox=mails[-1].id, number=n, ticket=t, version=v) for n, t, v in draft.listed]
        except MailwicketError as error:
            unfit.append(DecisionRow(
                spool_id=decision.spool_id, ordinal=len(decision.reasons) + len(unfit), ticket=draft.ticket,
                code="unsendable", detail=f"{draft.kind} to {draft.rcpt_to}: {error}",
            ))
    queued = tuple(
        Delivery(outbox=m.id, state="queued", attempts=0, next_at=now, changed_at=now, reply="") for m in mails
    )
    rows = decision.rows
    return replace(
        rows, outbox=tuple(mails), deliveries=rows.deliveries + queued, decisions=rows.decisions + tuple(unfit),
        listed=tuple(listed),
    )


def decide_unsent(mail: OutboxRow, state: Delivery, context: Context, rooms: Rooms, *, fetch: Fetch, now: datetime) -> Rows:
    """What follows from a mail that was refused for good, or put off too long; nothing if its ticket is gone.

    The context is loaded with the row itself, as it was before this attempt.
    """
    living = context.living(mail.ticket) if mail.ticket is not None else None
    sent = context.outbox.get(mail.id)
    if living is None or sent is None:
        return Rows()
    decide = given_up if state.state == "failed" else overdue
    decision = decide(sent, living.id, state.reply, context=context, policy=rooms.policy, now=now)
    return _with_outbox(decision, context.next_outbox, rooms.composer, fetch=fetch, now=now)


def decide_woken(ticket: int, context: Context, rooms: Rooms, *, fetch: Fetch, now: datetime) -> Rows:
    """A pending ticket whose time has come; nothing if it is pending no more."""
    decision = woken(ticket, context=context, policy=rooms.policy, now=now)
    return _with_outbox(decision, context.next_outbox, rooms.composer, fetch=fetch, now=now) if decision else Rows()
