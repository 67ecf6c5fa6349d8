"""What speaks for the domain of From: DMARC's record, organisational domain and alignment (RFC 9989).

The organisational domain is found by the tree walk of §4.10, not by a list of public suffixes: such a list would be a file
of others to be kept young. A domain without any record passes nothing: L1 wants one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.edge.dns import Resolver

_MOST_LABELS = 8    # §4.10: of a longer name the walk begins at seven labels
_RECORD = re.compile(r"v\s*=\s*DMARC1\s*(?:;(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Record:
    domain: str
    tags: dict[str, str]


class Walk:
    """One mail's questions; each name is asked once."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._known: dict[str, Record | None] = {}

    async def policy(self, domain: str) -> Record | None:
        """The record that holds for ``domain``: its own, else that of its organisational domain, else of the suffix above."""
        own = await self._record(domain)
        if own is not None:
            return own
        found = [r for name in _names(domain)[1:] if (r := await self._record(name)) is not None]
        organisation = await self.organisation(domain)
        return next((r for r in found if r.domain == organisation), found[-1] if found else None)

    async def organisation(self, domain: str) -> str:
        """§4.10.2."""
        names = _names(domain)
        last = ""
        for name in names:
            record = await self._record(name)
            if record is None:
                continue
            if record.tags.get("psd") == "n":
                return name
            if record.tags.get("psd") == "y" and name != domain:
                labels = domain.split(".")
                return ".".join(labels[-(name.count(".") + 2):])
            last = name
        return last or domain

    async def aligned(self, domain: str, other: str, *, strict: bool) -> bool:
        """Whether ``other``, which is proven, speaks for ``domain`` (§4.10.2, relaxed or strict)."""
        if domain == other:
            return True
        if strict or domain.rsplit(".", maxsplit=1)[-1] != other.rsplit(".", maxsplit=1)[-1]:
            return False
        return await self.organisation(domain) == await self.organisation(other)

    async def _record(self, name: str) -> Record | None:
        if name not in self._known:
            texts = await self._resolver.ask(f"_dmarc.{name}", "TXT")
            found = [m for m in (_RECORD.fullmatch(text.strip()) for text in texts) if m]
            # §4.10: several records are none.
            self._known[name] = Record(name, _tags(found[0][1] or "")) if len(found) == 1 else None
        return self._known[name]


def _names(domain: str) -> list[str]:
    labels = domain.split(".")
    starts = [labels]
    if len(labels) > _MOST_LABELS:
        labels = labels[-(_MOST_LABELS - 1):]
        starts.append(labels)
    starts += [labels[n:] for n in range(1, len(labels))]
    return [".".join(each) for each in starts]


def _tags(text: str) -> dict[str, str]:
    out: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            out.setdefault(name.strip().lower(), value.strip().lower())
    return out
