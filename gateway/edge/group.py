"""Fetched rows by what they have in common."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable
from typing import Any

from gateway.core.context import StoredMail


def by_ticket(tickets: Collection[int], rows: Iterable[Any]) -> dict[int, tuple[Any, ...]]:
    """Rows by their ticket; () for a ticket that has none."""
    return dict.fromkeys(tickets, ()) | grouped((_ticket_of(row), row) for row in rows)


def _ticket_of(row: Any) -> int:
    return int((row.message.ticket or 0) if isinstance(row, StoredMail) else row.ticket)


def numbers(ids: Iterable[int | None]) -> set[int]:
    return {i for i in ids if i is not None}


def grouped(pairs: Iterable[Any]) -> dict[Any, tuple[Any, ...]]:
    """(key, value) pairs as a tuple of values by key, in order."""
    out: defaultdict[Hashable, list[Any]] = defaultdict(list)
    for key, value in pairs:
        out[key].append(value)
    return {key: tuple(values) for key, values in out.items()}
