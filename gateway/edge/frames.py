"""What a journal frame says: the decided rows as JSON, with version, time and cause.

    {"version": 1, "at": "…", "cause": "mail", "rows": {"events": [{…}], …}}     empty tables left out

Frames outlive programs: a column that an old frame lacks becomes None, '', 0 or False, one that is
gone is skipped. Only a higher ``version`` is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from gateway.core.model import Mail
from gateway.core.rows import Rows
from gateway.errors import Damaged, StateError

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One decoded frame. ``cause`` is the kind of work: mail, send, timer, operator."""

    version: int
    at: datetime
    cause: str
    rows: Rows


def encode(rows: Rows, *, at: datetime, cause: str) -> bytes:
    """Bytes of a frame; ValueError if a text is no Unicode text (lone surrogates)."""
    tables = {f.name: value for f in fields(Rows) if (value := getattr(rows, f.name))}
    return msgspec.json.encode({"version": VERSION, "at": at, "cause": cause, "rows": tables})


def decode(payload: bytes) -> Frame:
    """The frame of ``payload``; StateError if a newer program wrote it, Damaged if it is none."""
    try:
        found = msgspec.json.decode(payload)
        version = int(found["version"])
        if version > VERSION:
            raise StateError(
                f"journal frame of version {version}, this program knows {VERSION}: start the newer Mailwicket"
            )
        return Frame(
            version=version,
            at=datetime.fromisoformat(found["at"]),
            cause=found["cause"],
            rows=Rows(**{
                name: tuple(_row(cls, row) for row in found["rows"].get(name, ())) for name, cls in _CLASSES.items()
            }),
        )
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Damaged(f"journal frame cannot be read ({error}): restore the journal from the newest backup") from error


def _row(cls: type, found: Mapping[str, object]) -> Any:
    return msgspec.convert({**_DEFAULTS[cls], **found}, cls)


def _default(hint: Any) -> object:
    """What stands for a column that did not exist yet."""
    if get_origin(hint) is Literal:
        return get_args(hint)[0]
    if NoneType in get_args(hint):
        return None
    return {datetime: "0001-01-01T00:00:00Z", str: "", int: 0, bool: False}[hint]


def _classes() -> dict[str, type]:
    """The row class of every field of Rows, whose types are ``tuple[Class, ...]``."""
    return {name: get_args(hint)[0] for name, hint in get_type_hints(Rows).items()}


_CLASSES = _classes()
_DEFAULTS: dict[type, dict[str, object]] = {
    cls: {f.name: _default(hints[f.name]) for f in fields(cls) if f.default is MISSING}
    for cls in _CLASSES.values() for hints in [get_type_hints(cls)]
}


def plain_mail(mail: Mail) -> Any:
    """A parsed mail as JSON has it, for the control socket."""
    return msgspec.to_builtins(mail)


def mail_of(plain: Any) -> Mail:
    """The mail that ``plain_mail`` made plain. Raises msgspec.ValidationError for anything else."""
    return msgspec.convert(plain, Mail)
