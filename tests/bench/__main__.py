"""The benchmark: ``make bench``, ``make bench QUICK=1``, or ``python -m tests.bench --help``.

Prints each figure beside the bar it is to hold. The exit code is 0 whatever the figures are: a shared
machine proves nothing by being slow. Needs Debian's postfix (smtp-source, smtp-sink, and root for the
server beside us); parts that miss something say so and are left out.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import accept, million, peers, procfs
from tests.bench.table import Line, Table, text
from tests.bench.work import CPU_ALL, FLAT_BAR, FULL_SPOOL, MEASUREMENTS, Ground, Sizes, Works

PARTS = ("accept", "empty", "million")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="two minutes instead of fifteen: fewer mails, 20,000 tickets")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be repeated")
    parser.add_argument("--just", action="append", choices=MEASUREMENTS,
                        help="of the parts empty and million only this measurement; may be repeated")
    parser.add_argument("--mails", type=int, help="mails of a throughput run")
    parser.add_argument("--tickets", type=int, help="of the generated store; default a million, with --quick 20,000")
    parser.add_argument("--seconds", type=float, help="of one accept round, one side")
    parser.add_argument("--sessions", type=int, default=20, help="sessions of smtp-source")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep the generated store there")
    parser.add_argument("--dir", type=Path, help="work below this directory: on the file system to be measured")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    parts = args.only or PARTS
    if why := peers.missing("smtp-sink"):
        print(f"nothing can be measured: {why}", file=sys.stderr)
        return 1
    # Else the gateway, Postfix and gigabytes in the temporary directory would outlive us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun = datetime.now(UTC)
    root = Path(tempfile.mkdtemp(prefix="mailwicket-bench-", dir=args.dir))
    root.chmod(0o755)       # Postfix's processes must get through
    about = {"date": f"{begun:%Y-%m-%d %H:%M} UTC", **procfs.machine(root)}
    print("Mailwicket's benchmark, " + "; ".join(f"{k} {v}" for k, v in about.items()))
    table = Table()
    sizes = Sizes(mails=args.mails or (1000 if args.quick else 4000), rate=50, seconds=5 if args.quick else 20)
    try:
        if "accept" in parts:
            accept.measure(
                table, root / "accept", seconds=args.seconds or (1.5 if args.quick else 10), rounds=2 if args.quick else 3,
                running=not args.quick, sessions=args.sessions,
            )
        if "empty" in parts:
            ground = Ground(name="empty", state=None, known=(), rss_bar=512, rest_bar=300)
            Works(table, root / "empty", ground, sizes, seed=1000).some(args.just)
        if "million" in parts:
            _million(table, root, args, sizes)
    finally:
        shutil.rmtree(root, ignore_errors=True)
        if args.json:
            table.write(args.json, about)
    print(f"\n{(datetime.now(UTC) - begun).total_seconds():.0f} s in all. " + ("Below the bar:" if table.missed() else "All bars held."))
    for line in table.missed():
        print("  " + text(line))
    return 0


def _million(table: Table, root: Path, args: argparse.Namespace, sizes: Sizes) -> None:
    tickets = args.tickets or (20_000 if args.quick else 1_000_000)
    state, told = million.ready(args.cache, root, tickets)
    print(f"\nA store with a past: {told}")
    name = f"{tickets:,}"
    ground = Ground(name=name, state=state, known=million.threads(state, 2000), rss_bar=1200, rest_bar=1200)
    Works(table, root / "million", ground, sizes, seed=2000).some(args.just or (("start", "throughput", "steady") if args.quick else None))
    for what, words in ((FULL_SPOOL, "rate with a past / on an empty store"), (CPU_ALL, "CPU with a past / on an empty store")):
        with_past, empty = table.value(what, name), table.value(what, "empty")
        if with_past and empty:
            bar = FLAT_BAR if what == FULL_SPOOL else None
            table.add(Line(part="5 a store with a past beside an empty one", what=words, value=with_past / empty, unit="x", bar=bar, store=name))


if __name__ == "__main__":
    sys.exit(main())
