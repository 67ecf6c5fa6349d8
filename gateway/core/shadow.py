"""What an archive does not say: when a ticket was solved, reopened, given up. Imputed from who wrote when.

    solved    the last public answer of an agent, if 7 days without a customer's mail follow: at that answer
    reopened  by a customer's mail within 30 days of it; a later one begins a new ticket
    closed    30 days after the last mail of a person, so that nothing of the past stays with the desk

The order of turns is that of their time; nothing is imputed that ``now`` has not seen yet. An unanswered mail
is therefore given up without a response time, and a last "thanks" does not keep its ticket open for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

SOLVED_AFTER: Final = timedelta(days=7)
REOPENED_WITHIN: Final = timedelta(days=30)

Side = Literal["customer", "agent", "machine"]
Move = Literal["begin", "speak", "open", "solved", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One mail of a conversation. A note of an agent is not public; machines start nothing and end nothing."""

    at: datetime
    side: Side
    public: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens on a ticket: ``turn`` (its place in the conversation) begins it or speaks on it, or its status moves."""

    move: Move
    at: datetime
    turn: int | None = None


def lives(turns: Sequence[Turn], now: datetime, *, impute: bool) -> list[list[Step]]:
    """The tickets of a conversation, oldest first, each as its steps in order. ``turns`` are in order of time.

    Without ``impute`` it is one ticket, which nobody solved.
    """
    out: list[list[Step]] = []
    status, solved_at = "new", None
    for number, turn in enumerate(turns):
        late = turn.side == "customer" and solved_at is not None and turn.at - solved_at > REOPENED_WITHIN
        if late or not out:
            out.append([])
            status, solved_at = "new", None
        steps = out[-1]
        steps.append(Step(move="speak" if steps else "begin", at=turn.at, turn=number))
        answer = turn.side == "agent" and turn.public
        if (turn.side == "customer" and status == "solved") or (answer and status == "new"):
            steps.append(Step(move="open", at=turn.at, turn=number))
            status, solved_at = "open", None
        if impute and answer and _settles(turns, number, now):
            steps.append(Step(move="solved", at=turn.at))
            status, solved_at = "solved", turn.at
    return [_given_up(steps, turns, now) for steps in out] if impute else out


def _settles(turns: Sequence[Turn], number: int, now: datetime) -> bool:
    """Whether this answer is the last word for 7 days."""
    following = next((t for t in turns[number + 1 :] if t.side == "customer" or (t.side == "agent" and t.public)), None)
    if following is not None and following.side == "agent":
        return False
    return (following.at if following is not None else now) - turns[number].at >= SOLVED_AFTER


def _given_up(steps: list[Step], turns: Sequence[Turn], now: datetime) -> list[Step]:
    """``steps`` with the closing, in its place: a machine may have written later."""
    spoken = [turns[s.turn] for s in steps if s.turn is not None]
    at = max(t.at for t in [t for t in spoken if t.side != "machine"] or spoken) + REOPENED_WITHIN
    if at > now:
        return steps
    return sorted([*steps, Step(move="closed", at=at)], key=lambda step: step.at)
