"""Clocks around the rooms of a gateway: CPU of the calling thread, each room without those it calls.

Put on from outside by ``launch``; nothing of it is in the gateway. Synchronous rooms are wrapped where
they are called. What runs in the event loop is counted callback by callback, by the module of the
coroutine or protocol that the callback belongs to. What no clock sees (executors, the interpreter's
own threads) is the difference to what the kernel counts.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Where it is called -> the room. "*" swallows the rooms it calls: what the postman writes is sending.
ROOMS: dict[str, str] = {
    "gateway.edge.spool:Spool.arrived": "accept: news",
    "gateway.intake:Intake._read": "spool read",
    "gateway.edge.store:Store.load": "load",
    "gateway.pipeline:needs": "understand",
    "gateway.pipeline:shared_keys": "understand",
    "gateway.pipeline:understand": "understand",
    "gateway.pipeline:facts_row": "understand",
    "gateway.edge.rules:RuleBook.hits": "rules",
    "gateway.pipeline:conclude": "conclude",
    "gateway.pipeline:fold": "fold",
    "gateway.mime.compose:Composer.render": "compose",
    "gateway.edge.frames:encode": "journal",
    "gateway.edge.journal:Journal.append": "journal",
    "gateway.edge.store:Store.write": "store write",
    "gateway.edge.store:Store.checkpoint": "checkpoint",
    "gateway.intake:Intake._decide_and_write": "decide: the rest",
    "gateway.edge.spool:Spool.finish": "spool finish",
    "gateway.intake:_log": "log",
    "gateway.postman:Postman._mark": "*send: books",
    "gateway.postman:Postman._write_outcomes": "*send: books",
    "gateway.postman:assemble": "send: assemble",
}
# Part of a module's name -> the room of its callbacks in the event loop; the first that fits.
LOOP: tuple[tuple[str, str], ...] = (
    ("gateway.edge.smtp_send", "send: loop"), ("aiosmtplib", "send: loop"), ("gateway.postman", "send: loop"),
    ("gateway.porter", "accept: news"),
    ("gateway.edge.workers", "parse: pipes"), ("asyncio.base_subprocess", "parse: pipes"), ("asyncio.subprocess", "parse: pipes"),
    ("gateway.intake", "intake: loop"),
)


class Clocks:
    def __init__(self) -> None:
        self._cpu: defaultdict[str, float] = defaultdict(float)
        self._calls: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        self._local = threading.local()

    def install(self) -> None:
        """Raises LookupError, naming the row of ROOMS, when the gateway no longer has that function."""
        for place, room in ROOMS.items():
            owner, name, function = find(place)
            setattr(owner, name, self.around(function, room))
        handle: Any = asyncio.events.Handle
        run = handle._run
        clocks = self

        def timed(one: Any) -> None:
            clocks.time(loop_room(one._callback), run, one)

        handle._run = timed

    def around(self, function: Callable[..., Any], room: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            return self.time(room, function, *args, **kwargs)

        return timed

    def time(self, room: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        stack: list[float] = self._local.__dict__.setdefault("stack", [])
        if getattr(self._local, "swallowed", False):
            return function(*args, **kwargs)
        whole = room.startswith("*")
        self._local.swallowed = whole
        stack.append(0.0)
        begun = time.thread_time()
        try:
            return function(*args, **kwargs)
        finally:
            took = time.thread_time() - begun
            inner = stack.pop()
            self._local.swallowed = False
            if stack:
                stack[-1] += took
            with self._lock:
                self._cpu[room.lstrip("*")] += took - inner
                self._calls[room.lstrip("*")] += 1

    def write(self, path: Path) -> None:
        with self._lock:
            path.write_text(json.dumps({room: [cpu, self._calls[room]] for room, cpu in self._cpu.items()}), "utf-8")


def find(place: str) -> tuple[Any, str, Callable[..., Any]]:
    """The owner, the name and the function that a row of ROOMS means."""
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    try:
        for parent in parents:
            owner = getattr(owner, parent)
        return owner, name, getattr(owner, name)
    except AttributeError as error:
        raise LookupError(f"{place} is no more: correct its row in ROOMS of tests/bench/rooms.py") from error


def loop_room(callback: Any) -> str:
    """The room of one callback in the event loop."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        coroutine = owner.get_coro()
        frame = getattr(coroutine, "cr_code", None)
        name = frame.co_filename.replace("/", ".") if frame else ""
    else:
        protocol = getattr(owner, "_protocol", None) or owner
        name = type(protocol).__module__ if protocol is not None else getattr(callback, "__module__", "") or ""
    return next((room for part, room in LOOP if part in name), "loop: other")
