"""Part 1: SMTP DATA to 250, durable, beside Postfix with the same load in the same minutes."""

from __future__ import annotations

from pathlib import Path

from tests.bench import peers
from tests.bench.site import Desk
from tests.bench.table import Line, Table

PART = "1 accept: smtp-source from a trusted relay, mails/s"
SIZES = ((4096, "4 KiB"), (15_800, "15.8 KB"))
BAR = 0.8


def measure(table: Table, root: Path, *, seconds: float, rounds: int, running: bool, sessions: int) -> None:
    """``seconds`` a round and side; rounds alternate, so that both sides share the machine's moods."""
    if why := peers.missing("postfix", "smtp-source"):
        print(f"\n{PART}: left out: {why}")
        return
    root.mkdir()
    with peers.Postfix(root / "postfix") as postfix, peers.sink() as sink:
        for held in (True, False) if running else (True,):
            for size, words in SIZES:
                for keep in (False, True):
                    desk = Desk(root / f"{size}-{keep}-{held}", sink=sink)
                    with desk.running(hold=held):
                        _pair(table, desk, postfix, size=size, words=words, keep=keep, held=held,
                              seconds=seconds if held else seconds / 2, rounds=rounds if held else 2, sessions=sessions)
                        # What is still in the spool is not worth waiting for.
                        desk.abandon()
                    postfix.empty()


def _pair(
    table: Table, desk: Desk, postfix: peers.Postfix, *, size: int, words: str, keep: bool, held: bool, seconds: float,
    rounds: int, sessions: int,
) -> None:
    other = postfix.hold if held else postfix.discard
    doors = {"ours": desk.port, "Postfix": other}
    warm = [peers.source(p, count=100, size=size, keep=keep, sessions=sessions) for p in doors.values()]
    count = max(50, int(seconds * min(warm)))
    rates: dict[str, list[float]] = {name: [] for name in doors}
    used = sum(desk.cpu())
    for number in range(rounds):
        # A B B A: neither side is always the first.
        for name in sorted(doors, reverse=bool(number % 2)):
            rates[name].append(peers.source(doors[name], count=count, size=size, keep=keep, sessions=sessions))
    ours, theirs = (count * rounds / sum(count / r for r in rates[name]) for name in ("ours", "Postfix"))
    how = f"{words}, {'kept' if keep else 'new'} sessions, {'held' if held else 'running'}"
    spread = ", ".join(f"{a / b:.2f}" for a, b in zip(rates["ours"], rates["Postfix"], strict=True))
    cpu = (sum(desk.cpu()) - used) * 1000 / (count * rounds)
    table.add(
        Line(part=PART, what=f"{how}: Postfix", value=theirs, unit="/s",
             note=f"{rounds} x {count} mails; {'hold queue' if held else 'delivered to discard'}"),
        Line(part=PART, what=f"{how}: ours", value=ours, unit="/s", note=f"{cpu:.2f} ms CPU a mail" + ("" if held else ", part of the pipeline's included")),
        Line(part=PART, what=f"{how}: ratio", value=ours / theirs, unit="x", bar=BAR, note=f"rounds {spread}"),
    )
