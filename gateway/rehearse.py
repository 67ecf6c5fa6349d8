"""A mail from a file on the decision table: the envelope its header suggests, and the outcome in words."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.core.address import canonical
from gateway.core.decision import Decision
from gateway.core.model import Envelope, Mail, Spooled
from gateway.core.policy import Policy
from gateway.core.profile import read_reply


def spooled(mail: Mail, policy: Policy) -> Spooled:
    """A mail from a file, with the envelope that its header suggests; nobody vouches for it."""
    to = [canonical(a.address) for a in (*mail.to, *mail.cc)]
    ours = tuple(a for a in to if policy.queue_of_address(a) or read_reply(a, policy) is not None)
    null_path = mail.header("return-path").strip() == "<>"
    envelope = Envelope(
        channel="import", received_at=mail.date or datetime.now(UTC), rcpt_tos=ours or (policy.queues[0].address,),
        mail_from=None if null_path else mail.sender.address if mail.sender else "",
    )
    return Spooled(spool_id="explain", envelope=envelope, mail=mail)


def told(decision: Decision) -> list[tuple[str, str]]:
    """The reasons of a decision and what would follow, for a person."""
    to = ", ".join(f"{draft.rcpt_to} ({draft.kind})" for draft in decision.drafts)
    return [
        *((reason.code, reason.detail) for reason in decision.reasons),
        ("result", decision.disposition), ("mail to", to or "(nobody)"),
    ]
