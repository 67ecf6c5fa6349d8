"""edge/workers: real processes that are killed, starved and crashed; every mail gets its answer."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.edge.workers import Guard, ParserPool
from gateway.mime.parse import parse

GOOD = b"From: Ann <ann@example.com>\r\nSubject: good %d\r\nMessage-ID: <%d@example.com>\r\n\r\nHello\r\n"
SLOW = b"From: a@example.com\r\nContent-Type: text/html\r\n\r\n" + b"<" * 50_000      # some 50 ms, well below a second
LARGE = b"From: Ann <ann@example.com>\r\nSubject: large\r\n\r\n" + b"x\r\n" * 5_000_000

Pools = Callable[..., ParserPool]


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[Pools]:
    made: list[ParserPool] = []

    def make(workers: int = 1, **guard: float) -> ParserPool:
        made.append(ParserPool(workers, Guard(**guard)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        await each.close()


def workers_of(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii").split()
    return [int(pid) for pid in children if b"gateway.edge.workers" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.asyncio
async def test_mails_come_back_whole_and_in_order(pool: Pools) -> None:
    """What goes over the pipes is what parse gives, field for field."""
    raws = [GOOD % (n, n) for n in range(25)] + [b"", b"\0", bytes(range(256)) * 500]
    running = pool(2)
    await running.start()
    assert await running.parse_many(raws) == [parse(raw) for raw in raws]
    assert await running.parse_many([]) == []


@pytest.mark.asyncio
async def test_a_killed_worker_costs_no_mail(pool: Pools) -> None:
    """kill -9 in the middle of a batch: the mail in hand is read again, the others go on."""
    running = pool()
    await running.start()
    await running.parse(GOOD % (0, 0))
    (victim,) = workers_of(os.getpid())
    os.kill(victim, signal.SIGSTOP)         # so that the batch is surely in hand when the blow falls
    batch = asyncio.create_task(running.parse_many([GOOD % (n, n) for n in range(10)]))
    await asyncio.sleep(0.05)
    os.kill(victim, signal.SIGKILL)
    mails = await batch
    assert [mail.subject for mail in mails] == [f"good {n}" for n in range(10)]
    assert not any(mail.opaque for mail in mails)
    assert victim not in workers_of(os.getpid())


@pytest.mark.asyncio
async def test_a_mail_that_ends_two_workers_alone_is_opaque(pool: Pools) -> None:
    """Ruling 12: only that mail, its header is still known, and the others of its batch are read."""
    running = pool(memory=8 << 20)
    await running.start()
    first, middle, last = await running.parse_many([GOOD % (1, 1), LARGE, GOOD % (2, 2)])
    assert (first.opaque, last.opaque) == (None, None)
    assert (first.subject, last.subject) == ("good 1", "good 2")
    assert middle.opaque == "its reading ended 2 workers (memory)"
    assert (middle.subject, middle.sender and middle.sender.address) == ("large", "ann@example.com")
    assert (middle.text, middle.size) == ("", len(LARGE))


@pytest.mark.asyncio
async def test_cpu_time_ends_a_worker_and_costs_no_mail(pool: Pools) -> None:
    """With nothing granted beyond the second begun, some mail of a long batch is cut short; a fresh worker reads it."""
    running = pool(cpu=0)
    await running.start()
    await running.parse(GOOD % (0, 0))
    before = workers_of(os.getpid())
    mails = await running.parse_many([SLOW] * 25)
    assert workers_of(os.getpid()) != before
    assert [mail.opaque for mail in mails] == [None] * 25


@pytest.mark.asyncio
async def test_a_worker_that_stands_still_is_ended_by_the_clock(pool: Pools) -> None:
    running = pool(wall=3)
    await running.start()
    await running.parse(GOOD % (0, 0))
    (victim,) = workers_of(os.getpid())
    os.kill(victim, signal.SIGSTOP)
    assert (await running.parse(GOOD % (1, 1))).subject == "good 1"
    assert victim not in workers_of(os.getpid())


@pytest.mark.asyncio
async def test_a_worker_retires(pool: Pools) -> None:
    """Whatever a library leaks ends with its process."""
    running = pool(mails=3)
    await running.start()
    await running.parse(GOOD % (0, 0))
    before = workers_of(os.getpid())
    assert len(await running.parse_many([GOOD % (n, n) for n in range(7)])) == 7
    assert len(workers_of(os.getpid())) == 1
    assert workers_of(os.getpid()) != before


@pytest.mark.asyncio
async def test_a_cancelled_call_does_not_shift_the_answers_of_the_next(pool: Pools) -> None:
    running = pool()
    await running.start()
    await running.parse(GOOD % (0, 0))
    given_up = asyncio.create_task(running.parse_many([GOOD % (n, n) for n in range(100, 300)]))
    await asyncio.sleep(0.01)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert (await running.parse(GOOD % (1, 1))).subject == "good 1"


@pytest.mark.asyncio
async def test_close_leaves_no_process_and_refuses_work(pool: Pools) -> None:
    running = pool(2)
    await running.start()
    await running.parse(GOOD % (0, 0))
    assert len(workers_of(os.getpid())) == 2
    await running.close()
    assert workers_of(os.getpid()) == []
    with pytest.raises(RuntimeError):
        await running.parse(b"")
