"""A small DNS of one's own, for looks at who sent a mail: it answers, is silent, or counts who asks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from gateway.edge.dns import Kind, Unknown


@dataclass
class Zone:
    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)       # SERVFAIL
    silent: set[str] = field(default_factory=set)       # no answer at all

    def put(self, name: str, kind: Kind, *texts: str) -> None:
        self.records[name, kind] = list(texts)

    async def ask(self, name: str, kind: Kind) -> list[str]:
        self.asked.append((name, kind))
        if name in self.silent:
            await asyncio.sleep(3600)
        if name in self.broken:
            raise Unknown(f"{kind} of {name}: SERVFAIL")
        return self.records.get((name, kind), [])
