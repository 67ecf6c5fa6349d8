"""Parser processes: mail is read where it can be stopped.

A parser that hangs, swells or crashes takes its own process along and nothing else (ruling 12: 2 s
of CPU and 512 MB a mail). The parent sends raw mails as length-prefixed frames on stdin and gets back
a frame of MessagePack each: no pickle, since what comes back was made of strangers' bytes. A mail
that ends two fresh workers which had only it to read becomes an opaque Mail, made of its header in
the parent.

Started with ``python -m gateway.edge.workers``: spawned, never forked, for the parent has threads.
A worker ends when its stdin ends, so it does not outlive the gateway by more than one mail.
Linux only in that RLIMIT_AS counts from the size in ``/proc/self/statm``; elsewhere it is left open.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import os
import resource
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from gateway.core.model import Mail
from gateway.mime.opaque import opaque_mail

if TYPE_CHECKING:
    from collections.abc import Sequence

_LENGTH = struct.Struct(">I")
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Mail)
_DEATHS = 2                 # fresh workers that a mail may cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What one mail may use. ``wall`` catches what uses no CPU: a stopped or swapping process."""

    cpu: int = 2                            # seconds
    memory: int = 512 * 1024 * 1024         # octets above what the idle worker has
    wall: float = 10.0                      # seconds
    mails: int = 1_000                      # then the worker retires (ruling 12)


class _DiedError(Exception):
    """The worker ended or was ended before it answered; the text says how."""


class _Worker:
    """One process and its two pipes, asked by one task at a time."""

    def __init__(self, process: asyncio.subprocess.Process, guard: Guard) -> None:
        self.process, self.guard, self.read = process, guard, 0

    @property
    def is_spent(self) -> bool:
        return self.read >= self.guard.mails or self.process.returncode is not None

    async def parse(self, raws: Sequence[bytes]) -> list[Mail]:
        """The mails of ``raws`` up to the one on which the worker died, which may be the first."""
        feeding = asyncio.create_task(self._feed(raws))
        out: list[Mail] = []
        try:
            for _ in raws:
                async with asyncio.timeout(self.guard.wall):
                    out.append(await self._answer())
        except _DiedError:
            with contextlib.suppress(TimeoutError):     # its own exit status tells more than our signal
                async with asyncio.timeout(1):
                    await self.process.wait()
            await self.stop()
        except TimeoutError:
            await self.stop()
        except BaseException:               # cancelled between question and answer: the pipe is out of step
            await self.stop()
            raise
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        self.read += len(raws)
        return out

    async def _feed(self, raws: Sequence[bytes]) -> None:
        pipe = self.process.stdin
        assert pipe is not None
        with contextlib.suppress(ConnectionError):      # its death shows when the answer is missed
            for raw in raws:
                pipe.writelines((_LENGTH.pack(len(raw)), raw))
                await pipe.drain()

    async def _answer(self) -> Mail:
        pipe = self.process.stdout
        assert pipe is not None
        try:
            size = _LENGTH.unpack(await pipe.readexactly(_LENGTH.size))[0]
            return _DECODER.decode(await pipe.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError, msgspec.MsgspecError) as error:
            raise _DiedError(str(error)) from error

    async def stop(self) -> int:
        """End the process, now; its exit status."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        status = await self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        return status


class ParserPool:
    """``workers`` guarded parsers. Every call answers with a Mail for every mail, whatever it holds."""

    def __init__(self, workers: int = 1, guard: Guard | None = None) -> None:
        self._size, self._guard = workers, guard or Guard()
        self._idle: asyncio.Queue[_Worker | None] = asyncio.Queue()
        self._all: set[_Worker] = set()
        self._closed = True

    async def start(self) -> None:
        """Start the workers. They load their libraries meanwhile; the first mails wait for that."""
        self._closed, self._idle = False, asyncio.Queue()
        for worker in await asyncio.gather(*(self._spawn() for _ in range(self._size))):
            self._idle.put_nowait(worker)

    async def parse(self, raw: bytes) -> Mail:
        return (await self.parse_many([raw]))[0]

    async def parse_many(self, raws: Sequence[bytes]) -> list[Mail]:
        """The Mail of each, in order. Shared among the workers; a death costs only the mail it is due to."""
        if self._closed:
            raise RuntimeError("the parser pool is not running")
        share = max(1, math.ceil(len(raws) / self._size))
        shares = [raws[at:at + share] for at in range(0, len(raws), share)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._parse_share(each)) for each in shares]
        return [mail for task in tasks for mail in task.result()]

    async def close(self) -> None:
        """End all workers; a call that still waits for one raises RuntimeError."""
        self._closed = True
        await asyncio.gather(*(worker.stop() for worker in list(self._all)))
        self._all.clear()

    async def _parse_share(self, raws: Sequence[bytes]) -> list[Mail]:
        worker = await self._idle.get()     # None: this place is free, but its worker is gone
        out: list[Mail] = []
        try:
            while len(out) < len(raws):
                worker = await self._fresh(worker) if worker is None or worker.is_spent else worker
                room = self._guard.mails - worker.read
                batch = raws[len(out):len(out) + room]
                out += await worker.parse(batch)
                if worker.is_spent and worker.process.returncode is not None and len(out) < len(raws):
                    mail, worker = await self._alone(raws[len(out)], worker)
                    out.append(mail)
        finally:
            self._idle.put_nowait(worker)
        return out

    async def _alone(self, raw: bytes, worker: _Worker | None) -> tuple[Mail, _Worker | None]:
        """Read a mail on which a worker died with fresh ones; opaque if it ends them too."""
        status = 0
        for _ in range(_DEATHS):
            worker = await self._fresh(worker)
            found = await worker.parse([raw])
            if found:
                return found[0], worker
            status = worker.process.returncode or 0
        return opaque_mail(raw, f"its reading ended {_DEATHS} workers ({_why(status)})"), worker

    async def _fresh(self, spent: _Worker | None) -> _Worker:
        if spent is not None:
            await spent.stop()
            self._all.discard(spent)
        return await self._spawn()

    async def _spawn(self) -> _Worker:
        if self._closed:
            raise RuntimeError("the parser pool was closed")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __spec__.name, str(self._guard.cpu), str(self._guard.memory),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={key: value for key, value in os.environ.items() if not key.startswith("MAILWICKET")},
            limit=1 << 20,
        )
        worker = _Worker(process, self._guard)
        self._all.add(worker)
        return worker


def _why(status: int) -> str:
    names = {-24: "CPU time", -9: "killed", -11: "crashed", _NO_MEMORY: "memory"}
    return names.get(status, f"status {status}")


# --- The worker's side ----------------------------------------------------------------------

_NO_MEMORY = 75


def _main(cpu: int, memory: int) -> None:
    from gateway.mime.parse import parse  # only here: the parent shall not carry the libraries

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))    # SIGXCPU would write people's mail to a core file
    # The answers go through a copy of stdout, so that nothing a library prints can get among them.
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    parse(b"Subject: x\r\n\r\n<b>x</b>\r\n")    # load what is loaded late, before the size is taken
    _limit_memory(memory)
    gc.freeze()                 # what is loaded by now stays; collections need not look at it for every few mails
    while (head := questions.read(_LENGTH.size)) and len(head) == _LENGTH.size:
        _limit_cpu(cpu)
        try:
            answer = _ENCODER.encode(parse(questions.read(_LENGTH.unpack(head)[0])))
        except MemoryError:
            os._exit(_NO_MEMORY)            # what is left cannot be trusted to answer
        _send(answers, answer)


def _send(answers: BinaryIO, answer: bytes) -> None:
    try:
        answers.write(_LENGTH.pack(len(answer)))
        answers.write(answer)
        answers.flush()
    except BrokenPipeError:
        os._exit(0)                         # the gateway is gone


def _limit_cpu(seconds: int) -> None:
    """SIGXCPU ``seconds`` from now: the limit counts the life of the process, so it moves with it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime) + seconds
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _limit_memory(room: int) -> None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        size = pages * resource.getpagesize() + room
        resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]))
