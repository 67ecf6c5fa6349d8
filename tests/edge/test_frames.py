"""A journal frame says the same to this program and to every later one."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rows import Rows
from gateway.edge.frames import VERSION, Frame, decode, encode
from gateway.errors import Damaged, StateError
from gateway.pipeline import joined
from tests.strategies import START, Story

ROWS = joined([rows for rows, _ in Story(1).frames(4)])     # enough of them for a row in every table


def test_all_rows_come_back() -> None:
    """Every table, every value, microseconds and zone included."""
    at = datetime(2026, 11, 23, 9, 30, 1, 234567, tzinfo=UTC)
    assert all(getattr(ROWS, f.name) for f in fields(Rows))
    assert decode(encode(ROWS, at=at, cause="mail")) == Frame(version=VERSION, at=at, cause="mail", rows=ROWS)


@given(text=st.text(st.characters(exclude_categories=["Cs"])), number=st.integers(1, 2**62))
def test_any_text_and_number_comes_back(text: str, number: int) -> None:
    rows = Rows(persons=(replace(ROWS.persons[0], name=text, id=number),))
    assert decode(encode(rows, at=START, cause=text)).rows == rows


def test_empty_tables_are_left_out() -> None:
    assert json.loads(encode(Rows(processed=ROWS.processed), at=START, cause="x"))["rows"].keys() == {"processed"}
    assert decode(encode(Rows(), at=START, cause="x")).rows == Rows()


def test_text_that_is_no_unicode_is_refused_before_it_is_written() -> None:
    """A frame that could not be read again must not enter the journal."""
    with pytest.raises(ValueError, match="surrogate"):
        encode(Rows(persons=(replace(ROWS.persons[0], name="\ud800"),)), at=START, cause="x")


@pytest.mark.parametrize("field", [f.name for f in fields(Rows)])
def test_an_older_frame_may_lack_any_column(field: str) -> None:
    """A missing column gets an empty value of its type; the others keep theirs."""
    row = getattr(ROWS, field)[0]
    for name in row.__slots__:
        frame: dict[str, Any] = json.loads(encode(Rows(**{field: (row,)}), at=START, cause="x"))
        del frame["rows"][field][0][name]
        (found,) = getattr(decode(msgspec.json.encode(frame)).rows, field)
        assert replace(found, **{name: getattr(row, name)}) == row
        assert type(getattr(found, name)) in (type(getattr(row, name)), type(None), str, datetime)


def test_columns_and_tables_that_are_gone_are_skipped() -> None:
    frame = json.loads(encode(Rows(persons=ROWS.persons), at=START, cause="x"))
    frame["rows"]["persons"][0]["shoe_size"] = 43
    frame["rows"]["pigeons"] = [{"id": 1}]
    assert decode(json.dumps(frame).encode()).rows == Rows(persons=ROWS.persons)


def test_a_newer_frame_is_refused_with_the_remedy() -> None:
    frame = json.loads(encode(ROWS, at=START, cause="x")) | {"version": VERSION + 1}
    with pytest.raises(StateError, match="start the newer Mailwicket"):
        decode(json.dumps(frame).encode())


@pytest.mark.parametrize("payload", [
    b"", b"{}", b"[]", b"null", b'{"version": 1}', b'{"version": "x"}', b"\xff",
    b'{"version":1,"at":"2026-11-23T00:00:00Z","cause":"x","rows":[]}',
    b'{"version":1,"at":"2026-11-23T00:00:00Z","cause":"x","rows":{"persons":[{"id":"one"}]}}',
    b'{"version":1,"at":"yesterday","cause":"x","rows":{}}',
])
def test_what_is_no_frame_is_damage(payload: bytes) -> None:
    with pytest.raises(Damaged, match="restore"):
        decode(payload)
