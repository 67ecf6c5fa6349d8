"""What becomes of mails in a watched folder, what an operator is told, and what stands for a mail that is too large."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Final, Literal

HEAD = 64 * 1024        # octets of a mail that is too large: its header is among them
Verdict = Literal["fetch", "old", "oversize", "quarantine"]
EventName = Literal["connected", "lost", "rescan", "late", "oversize", "quarantine", "not_flagged", "not_moved"]
LEVELS: Final[dict[EventName, int]] = {
    "connected": logging.INFO, "late": logging.INFO, "lost": logging.WARNING,
    "oversize": logging.WARNING, "not_flagged": logging.WARNING, "not_moved": logging.WARNING,
    "quarantine": logging.ERROR, "rescan": logging.ERROR,
}
_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"(?m)^(?!Content-|MIME-Version)[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxEvent:
    """Something an operator may want to know; ``uid`` is 0 if it concerns no single mail."""

    name: EventName
    mailbox: str
    folder: str
    uid: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """Mails that share one command and one fate, in the order of their UIDs."""

    verdict: Verdict
    uids: tuple[int, ...]
    size: int = 0


def stub(head: bytes, place: str, size: int, limit: int) -> bytes:
    """A mail with the header of one that stays where it is, and words for agents that say so.

    ``head`` is how it begins. Its fields are kept but for those of MIME, since its body is not there.
    """
    header = _END.split(head, maxsplit=1)[0].replace(b"\r\n", b"\n") + b"\n"
    kept = b"".join(_FIELD.findall(header)).replace(b"\n", b"\r\n")
    words = (
        f"[This mail has {size / 1e6:.1f} MB, more than the {limit / 1e6:.1f} MB that this desk takes. It stays, flagged, in\r\n"
        f"{place}. Read it there, or raise listen.max_size: then it comes here whole.]\r\n"
    )
    return kept + b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + words.encode()
