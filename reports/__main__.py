"""``python -m reports``: what is done with snapshots outside notebooks."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import date, timedelta
from pathlib import Path

import reports
from reports.facts import add_facts


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except reports.SnapshotError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _facts(options: argparse.Namespace) -> None:
    os.nice(options.nice)
    add_facts(options.file, options.memory)


def _overview(options: argparse.Namespace) -> None:
    with reports.open(options.snapshots) as desk:
        row = reports.overview(desk).to_dicts()[0]
        if options.json:
            print(json.dumps({"as_of": desk.as_of.isoformat(), "zone": desk.zone, **row}, default=_plain))
            return
        print(desk)
        for name, value in row.items():
            print(f"{name.replace('_', ' '):<16}{'-' if value is None else value}")


def _plain(value: object) -> str | float:
    """Dates as ISO 8601, durations as seconds."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    assert isinstance(value, date)
    return value.isoformat()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reports", description="Figures of a Mailwicket desk.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    facts = commands.add_parser("facts", help="add the fact tables to a published snapshot (the gateway does it)")
    facts.add_argument("file", type=Path, metavar="FILE")
    facts.add_argument("--nice", type=int, default=0, metavar="N", help="give way to other processes")
    facts.add_argument("--memory", default="1GB", metavar="SIZE", help="DuckDB's memory limit (1GB)")
    facts.set_defaults(run=_facts)
    overview = commands.add_parser("overview", help="the last seven days in one row")
    overview.add_argument("--snapshots", type=Path, metavar="DIR", help="where snapshots are (MAILWICKET_SNAPSHOTS)")
    overview.add_argument("--json", action="store_true", help="JSON for programs; durations in seconds")
    overview.set_defaults(run=_overview)
    return parser


if __name__ == "__main__":
    sys.exit(main())
