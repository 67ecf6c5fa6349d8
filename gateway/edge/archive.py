"""Old mail on disk: mbox files (mboxrd, mboxo, mboxcl, mboxcl2, gzipped too), Maildirs, folders of single mails.

``scan`` tells where each mail stands, in constant memory; ``read`` fetches one again. An mbox is read as
"mboxrd or near it" (RFC 4155 leaves quoting open): a message begins at a line ``From `` that follows an empty
line and ends in a year, which body text hardly ever does; the empty line before it belongs to the mbox, and
one ``>`` before ``>*From `` is taken off. A Content-Length that leads exactly to the next such line, or to the
end, is believed (mboxcl); a body with a bare ``From `` line in it is then left as it is (mboxcl2).

In pipermail's monthly texts (``user at host``) addresses become addresses again.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.errors import StateError

CHUNK = 4 << 20
OVERLAP = 1024          # longer than any line that begins a message
HEADER = 64 * 1024
LARGEST = 64 << 20      # octets of one mail; what is larger is told and left out
SENT = frozenset((
    "sent", "sent items", "sent mail", "sent messages", "sent-mail", "outbox",
    "gesendet", "gesendete elemente", "gesendete objekte", "enviados", "envoyés", "éléments envoyés", "posta inviata",
))
_BEGIN = re.compile(rb"From [^\r\n]{0,400}\b(?:19|20)\d\d[^\r\n]{0,40}(?:\r?\n|\Z)")
_FROM = b"\nFrom "
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_BARE = re.compile(rb"^From ", re.MULTILINE)
_LENGTH = re.compile(rb"^Content-Length:[ \t]*(\d{1,12})[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_PIPERMAIL = re.compile(rb"From \S+ at \S+ ")
_AT = re.compile(rb"(?i)^From:[ \t]+([^\s@<>()]+) at ([\w.-]+)(?:[ \t]+\((.*)\))?[ \t]*\r?$", re.MULTILINE)
_SPECIAL = re.compile(rb'[()<>@,;:\\".\[\]]')      # RFC 5322 §3.2.3; an encoded word has none of them
_STAMP = re.compile(rb"([A-Z][a-z]{2}) +(\d{1,2}) +(\d\d):(\d\d)(?::(\d\d))? .*?\b((?:19|20)\d\d)\b")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_PARTS = re.compile(r"[/.]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that holds mails. ``name`` is what people know it by, ``file`` where its octets are (unpacked)."""

    name: str
    file: Path
    sent: bool = False
    pipermail: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Octets ``start`` to ``end`` of a source; ``quoted``: with the quoting of an mbox. ``given``: Unix seconds, 0 if unknown."""

    source: int
    start: int
    end: int
    quoted: bool = False
    boxed: bool = False
    given: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A file or mail that is left out, and why."""

    name: str
    why: str


class Archives:
    """What was found so far. Unpacked files lie in ``scratch`` (a directory of the caller) until it goes."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.sources: list[Source] = []
        self._open: tuple[int, int] | None = None

    def scan(self, paths: Iterable[Path]) -> Iterator[Place | Unreadable]:
        """Every mail below ``paths``, oldest name first. Raises StateError for a path that does not exist."""
        given = list(paths)
        for path in given:
            if not path.exists():
                raise StateError(f"{path} does not exist: name an mbox file, a Maildir, a folder of mails or a mail")
        for path in given:
            for file in _files(path):
                try:
                    yield from self._file(file, path)
                except OSError as error:
                    yield Unreadable(name=str(file), why=f"cannot be read: {error.strerror or error}")
                except (EOFError, zlib.error) as error:
                    yield Unreadable(name=str(file), why=f"cannot be unpacked: {error}")

    def add(self, source: Source) -> int:
        """A source of another kind; its number for ``Place``."""
        self.sources.append(source)
        return len(self.sources) - 1

    def read(self, place: Place) -> bytes:
        """The mail as it was, without what the archive did to it. OSError if the file has gone."""
        data = os.pread(self._fd(place.source), place.end - place.start, place.start)
        if place.boxed:
            data = data[:-2] if data.endswith(b"\n\r\n") else data[:-1] if data.endswith(b"\n\n") else data
        if place.quoted:
            data = _QUOTED.sub(rb"\1", data)
        return _with_addresses(data) if self.sources[place.source].pipermail else data

    def close(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def _fd(self, source: int) -> int:
        if self._open is None or self._open[0] != source:
            fd = os.open(self.sources[source].file, os.O_RDONLY | os.O_CLOEXEC)
            self.close()
            self._open = source, fd
        return self._open[1]

    def _file(self, file: Path, below: Path) -> Iterator[Place | Unreadable]:
        with file.open("rb") as opened:
            start = opened.read(OVERLAP)
        unpacked = self._unpacked(file) if start[:2] == b"\x1f\x8b" else file
        if unpacked is not file:
            with unpacked.open("rb") as opened:
                start = opened.read(OVERLAP)
        # Not by "From " alone: RFC 822 allowed blanks before the colon, and old mails begin with "From : Ann".
        box = _BEGIN.match(start) is not None
        number = self.add(Source(
            name=str(file), file=unpacked, sent=_is_sent(file, below), pipermail=box and _PIPERMAIL.match(start) is not None,
        ))
        size = unpacked.stat().st_size
        for place in self._messages(number, size) if box else (Place(number, 0, size, given=_maildir_time(file)),):
            if place.end - place.start > LARGEST:
                yield Unreadable(name=f"{file} at {place.start}", why=f"larger than {LARGEST >> 20} MiB")
            else:
                yield place

    def _unpacked(self, file: Path) -> Path:
        fd, name = tempfile.mkstemp(dir=self.scratch)
        with os.fdopen(fd, "wb") as out, gzip.open(file) as packed:
            shutil.copyfileobj(packed, out, CHUNK)
        return Path(name)

    def _messages(self, number: int, size: int) -> Iterator[Place]:
        """The messages of an mbox."""
        body, stamp, upto, whole = -1, 0.0, 0, False
        for start, end, line in self._begins(number, size):
            if start < upto:
                continue        # inside of a body whose length we believe
            if body >= 0:
                yield Place(number, body, start, quoted=not whole, boxed=True, given=stamp)
            body, stamp = end, _stamp(line)
            upto, whole = self._length(number, end, size)
        if body >= 0:
            yield Place(number, body, size, quoted=not whole, boxed=True, given=stamp)

    def _begins(self, number: int, size: int) -> Iterator[tuple[int, int, bytes]]:
        """(start, end, text) of every line that begins a message."""
        if first := _BEGIN.match(os.pread(self._fd(number), OVERLAP, 0)):
            yield 0, first.end(), first[0]
        for at in range(0, size, CHUNK):
            before = min(at, 3)     # an empty line and a line end
            data = os.pread(self._fd(number), before + CHUNK + OVERLAP, at - before)
            found = data.find(_FROM, before)
            while 0 <= found < before + CHUNK:
                start = found + 1
                if data[max(0, start - 3) : start].endswith((b"\n\n", b"\n\r\n")) and (line := _BEGIN.match(data, start)):
                    yield at - before + start, at - before + line.end(), line[0]
                found = data.find(_FROM, start)

    def _length(self, number: int, body: int, size: int) -> tuple[int, bool]:
        """Where the body ends by its Content-Length if that is believable, else 0; and whether it was left unquoted."""
        head = os.pread(self._fd(number), HEADER, body)
        end = _HEADER_END.search(head)
        said = _LENGTH.search(head, 0, end.start() + 2) if end else None
        if end is None or said is None or (upto := body + end.end() + int(said[1])) > size:
            return 0, False
        behind = os.pread(self._fd(number), OVERLAP, upto)
        if behind.strip(b"\r\n") and not _BEGIN.match(behind.lstrip(b"\r\n")):
            return 0, False
        if upto - body > LARGEST:
            return upto, False
        return upto, _BARE.search(os.pread(self._fd(number), upto - body - end.end(), body + end.end())) is not None


def _files(path: Path) -> Iterator[Path]:
    """The files below ``path`` that may hold mail, by name."""
    if not path.is_dir():
        yield path
        return
    entries = sorted(path.iterdir())
    # In a Maildir only new/ and cur/ hold mails; beside them lie lists and indexes of its server.
    if (path / "cur").is_dir() and (path / "new").is_dir():
        yield from sorted(file for name in ("cur", "new") for file in (path / name).iterdir() if file.is_file())
        entries = [e for e in entries if e.is_dir() and e.name not in ("cur", "new", "tmp")]
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(entry)
        elif entry.is_file() and entry.suffix not in (".json", ".jsonl", ".msf") and entry.name[0] != ".":
            yield entry


def is_sent_name(name: str) -> bool:
    """Whether a folder of this name holds what its owner sent: ``Sent``, ``INBOX.Sent Items``, ``[Gmail]/Sent Mail``."""
    return any(part.strip().casefold() in SENT for part in _PARTS.split(name))


def _is_sent(file: Path, below: Path) -> bool:
    parts = (below.name, *(file.relative_to(below).parts if file != below else ()))
    return any(is_sent_name(part) for part in parts)


def _maildir_time(file: Path) -> float:
    """Maildir names begin with the second of delivery."""
    first = file.name.partition(".")[0]
    return float(first) if file.parent.name in ("cur", "new") and first.isdecimal() and len(first) < 11 else 0


def _stamp(line: bytes) -> float:
    """The time of a ``From `` line, which has no zone: UTC (RFC 4155 appendix A)."""
    if found := _STAMP.search(line):
        with contextlib.suppress(ValueError, OverflowError):
            month, day, hour, minute, second, year = found.groups()
            number = _MONTHS.index(month) + 1
            return datetime(int(year), number, int(day), int(hour), int(minute), int(second or 0), tzinfo=UTC).timestamp()
    return 0


def _with_addresses(data: bytes) -> bytes:
    end = _HEADER_END.search(data)
    upto = end.start() if end else len(data)
    head = data[:upto].replace(b"\n\t", b" ").replace(b"\n ", b" ") if b" at " in data[:upto] else data[:upto]
    changed = _AT.sub(_address, head, count=1)
    return (changed if changed != head else data[:upto]) + data[upto:]


def _address(found: re.Match[bytes]) -> bytes:
    name = b" ".join(_SPECIAL.sub(b" ", found[3] or b"").split())
    return b"From: " + (name + b" " if name else b"") + b"<" + found[1] + b"@" + found[2] + b">"
