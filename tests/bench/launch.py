"""The gateway as ``mailwicket`` starts it, with a pipeline that can be held and clocks in its rooms.

    python -m tests.bench.launch [--hold FILE] [--hold-sending FILE] [--rooms FILE] serve --config …

As long as FILE of ``--hold`` exists, accepted mail waits in the spool, and with that of ``--hold-sending`` mail of
ours waits in the outbox. ``--rooms`` writes the CPU by room to its FILE at the end. All are put around the
gateway from outside; without them it is untouched.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from gateway import cli, intake, postman, service
from tests.bench.rooms import Clocks


def held(gate: Path) -> type[intake.Intake]:
    """An intake that takes nothing while ``gate`` exists."""

    class Held(intake.Intake):
        async def run(self) -> None:
            while gate.exists() and not self._stopping:
                await asyncio.sleep(0.02)
            await super().run()

    return Held


def held_sending(gate: Path) -> type[postman.Postman]:
    """A postman who stays at home while ``gate`` exists."""

    class Held(postman.Postman):
        async def run(self) -> None:
            while gate.exists() and not self._stopping:
                await asyncio.sleep(0.02)
            await super().run()

    return Held


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.bench.launch")
    parser.add_argument("--hold", type=Path)
    parser.add_argument("--hold-sending", type=Path)
    parser.add_argument("--rooms", type=Path)
    args, rest = parser.parse_known_args()
    if args.hold:
        service.Intake = held(args.hold)  # type: ignore[misc]
    if args.hold_sending:
        service.Postman = held_sending(args.hold_sending)  # type: ignore[misc]
    clocks = Clocks() if args.rooms else None
    if clocks:
        clocks.install()
    try:
        return cli.main(rest)
    finally:
        if clocks and args.rooms:
            clocks.write(args.rooms)


if __name__ == "__main__":
    sys.exit(main())
