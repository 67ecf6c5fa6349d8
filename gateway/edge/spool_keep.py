"""Mails of an archive, put where the spool keeps what is processed: the journal's replay reads raw bytes there.

They never lie in in/, so no start takes them for new mail. A name is made of the mail's time and its bytes:
the same mail gets the same name at every run, and what an interrupted run left is overwritten by the next.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import msgspec

from gateway.core.model import Envelope
from gateway.edge.durable import Disk
from gateway.edge.spool import Spool, month_directory
from gateway.edge.spool_in import encoded
from gateway.errors import StateError

_THREADS = 8    # what fsyncs together shares the disk's flush


def name_of(at: datetime | None, raw: bytes) -> str:
    """The spool id of an archived mail."""
    millis = max(0, int(at.timestamp() * 1000)) if at is not None else 0
    return encoded(millis, int.from_bytes(hashlib.sha256(raw).digest()[:10], "big"))


def keep(spool: Spool, raws: Mapping[str, bytes], received: Mapping[str, datetime]) -> None:
    """Make the mails durable in done/. StateError if the disk refuses; none of them is known to anybody then."""
    places = {name: spool.root / "done" / month_directory(name) for name in raws}
    try:
        for directory in sorted(set(places.values())):
            spool.disk.mkdir(directory)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="keep") as threads:
            for done in [threads.submit(_put, spool.disk, places[n] / n, raw, received[n]) for n, raw in raws.items()]:
                done.result()
        for directory in sorted(set(places.values())):
            spool.disk.fsync_dir(directory)
    except OSError as error:
        raise StateError(f"{spool.root / 'done'}: {error}: make room on the disk and run the import again") from error


def _put(disk: Disk, path: Path, raw: bytes, received: datetime) -> None:
    with contextlib.suppress(FileNotFoundError):
        disk.unlink(path)       # of a run that was interrupted
    envelope = Envelope(channel="import", received_at=received, mail_from="", rcpt_tos=())
    fd = disk.create(path)
    try:
        disk.write(fd, msgspec.json.encode(envelope) + b"\n" + raw)
        disk.fsync(fd)
    finally:
        disk.close(fd)
