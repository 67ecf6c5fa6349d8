"""What was measured, beside its bar: lines for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure. ``way`` says on which side of ``bar`` it should be."""

    part: str
    what: str
    value: float
    unit: str
    store: str = ""
    bar: float | None = None
    way: Literal["at least", "at most"] = "at least"
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.bar is None:
            return None
        return self.value >= self.bar if self.way == "at least" else self.value <= self.bar


@dataclass(slots=True)
class Table:
    """Lines in the order of measuring; each is told at once, since a whole run takes a quarter of an hour."""

    lines: list[Line] = field(default_factory=list)
    part: str = ""

    def add(self, *lines: Line) -> None:
        for line in lines:
            if line.part != self.part:
                self.part = line.part
                print(f"\n{self.part}", flush=True)
            self.lines.append(line)
            print("  " + text(line), flush=True)

    def value(self, what: str, store: str = "") -> float | None:
        return next((x.value for x in self.lines if (x.what, x.store) == (what, store)), None)

    def write(self, path: Path, about: Mapping[str, object]) -> None:
        rows = [{**asdict(line), "met": line.met} for line in self.lines]
        path.write_text(json.dumps({**about, "lines": rows}, indent=1) + "\n", "utf-8")

    def missed(self) -> list[Line]:
        return [line for line in self.lines if line.met is False]


def text(line: Line) -> str:
    number = f"{line.value:,.0f}" if abs(line.value) >= 100 else f"{line.value:.3g}" if line.value else "0"
    bar = ""
    if line.bar is not None:
        bar = f"{line.way} {line.bar:g}  {'ok' if line.met else 'MISSED'}"
    return f"{line.what:<46} {line.store:<9} {number:>9} {line.unit:<8} {bar:<22} {line.note}".rstrip()


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that ``share`` of all are not above; 0 of none."""
    found = sorted(values)
    return found[min(len(found) - 1, int(share * len(found)))] if found else 0.0
