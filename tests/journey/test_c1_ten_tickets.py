"""An agent with s-nail works ten tickets of a queue: replies, one digest, one control mail, a question to a vendor.

What she was told of it is the golden file ten_tickets.txt; transactions, whose marks are made of time, are blanked.
Write it anew with ``MAILWICKET_GOLDEN=write`` and read the difference.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path

import pytest
from desk import LMTP, TOKEN, Desk, Door, Mailbox, Received, answer, opened, post
from servers import PATH, Town

pytestmark = [pytest.mark.servers, pytest.mark.journey]

GOLDEN = Path(__file__).with_name("ten_tickets.txt")
CONTROL = "control@reply.acme.example"
VENDOR = "eve@elsewhere.example"
SECRET = "The fuse of series QX-7731 is too weak."
DIGEST_ANSWER = "1 solved · 2 pending 2030-01-07 9:00 · 3-4 @bert\n5 tag slow, network; 6 !\n99 solved"
ORDERS = """\
# what is left of this morning
close ABC-5
priority ABC-8 high
merge ABC-9 ABC-10
tags it + network
clsoe ABC-10
limit status=open
close ABC-10
thanks
Anna"""


def mail_to(town: Town, to: str, subject: str, text: str) -> None:
    """Whoever answered last with s-nail begins a mail; ``answer`` has written the settings."""
    done = subprocess.run(
        ["s-nail", "-s", subject, to], input=text.encode(), capture_output=True, timeout=60, check=False,
        env={"MAILRC": str(town.root / "mailrc"), "PATH": PATH, "HOME": str(town.root), "LC_ALL": "C.UTF-8", "TMPDIR": str(town.root)},
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode("utf-8", "replace")


def told(*mails: Received) -> str:
    """The texts of mails as the golden file has them."""
    texts = (re.sub(r"undo [0-9A-Z]{26}", "undo <transaction>", m.text.rstrip("\n")) for m in mails)
    return "\n\n=====\n\n".join(texts) + "\n"


def numbered(digest: Received) -> dict[int, str]:
    """Number -> key, as her digest has them."""
    return {int(n): key for n, key in re.findall(r"^ *(\d+)  (ABC-\d+)  ", digest.text, re.MULTILINE)}


def test_ten_tickets(
    open_desk: Callable[[Door], Desk], town: Town, ann: Mailbox, anna: Mailbox, bert: Mailbox, eve: Mailbox
) -> None:
    desk = open_desk(LMTP)
    keys = [opened(desk, town, f"Question {n}") for n in range(1, 11)]
    assert keys == [f"ABC-{n}" for n in range(1, 11)]

    # Replies: one is solved, one waits for a third party, whose answer comes to the agents only.
    answer(town, anna.address, anna.wait_about("[ABC-1]"), "#solved\nDear Ann, yes.")
    answer(town, anna.address, anna.wait_about("[ABC-2]"), f"#vendor {VENDOR}\nWhy does the X200 smoke?")
    question = eve.wait_about("[ABC-2]", text="Why does the X200 smoke?")
    assert desk.status("ABC-2") == "on_hold"
    back = EmailMessage()
    back["From"], back["To"], back["Subject"] = f"Vendor Desk <{VENDOR}>", question.header("reply-to"), "[case 4711] your request"
    back["Message-ID"] = make_msgid(domain="elsewhere.example")
    back.set_content(SECRET)
    assert post(town, back, VENDOR, question.mail["reply-to"].addresses[0].addr_spec).taken
    notice = anna.wait_about("[ABC-2]", text=SECRET)
    assert "No customer sees this" in notice.text
    answer(town, anna.address, notice, "Thank you, we change it.")
    eve.wait_about("[ABC-2]", text="we change it")
    answer(town, anna.address, anna.wait_about("[ABC-2]", text="I have a question"), "#public\n#solved\nDear Ann, we change a part of yours.")

    # One digest, answered by its numbers.
    done = desk.run("digest", "anna")
    assert done.returncode == 0, done.stderr
    digest = anna.wait_about("Your tickets on")
    assert [*numbered(digest).values()] == [f"ABC-{n}" for n in range(3, 11)]
    answer(town, anna.address, digest, DIGEST_ANSWER)
    answered = anna.wait_about("Re: Your tickets on")

    # One control mail; From is vouched for, which is not enough for many tickets: she is shown it and says yes.
    mail_to(town, CONTROL, "what is left", ORDERS)
    rehearsal = anna.wait_about("Re: what is left", text="Nothing was done yet")
    assert desk.status("ABC-5") == "new"
    answer(town, anna.address, rehearsal, "yes")
    transcript = anna.wait(lambda m: "what is left" in m.subject and "undo " in m.text, "the transcript")

    found = told(digest, answered, rehearsal, transcript)
    if os.environ.get("MAILWICKET_GOLDEN") == "write":
        GOLDEN.write_text(found, "utf-8")
    assert found == GOLDEN.read_text("utf-8")

    desk.quiet()
    states = {t["key"]: (t["status"], t["assignee"]) for t in desk.tickets()}
    mine, berts = "anna@acme.example", "bert@acme.example"
    assert states == {
        "ABC-1": ("solved", mine), "ABC-2": ("solved", mine), "ABC-3": ("solved", None), "ABC-4": ("pending", None),
        "ABC-5": ("closed", berts), "ABC-6": ("new", berts), "ABC-7": ("new", None), "ABC-8": ("new", mine),
        "ABC-9": ("void", None), "ABC-10": ("new", None),
    }
    bert.wait_about("[ABC-6]")
    # The customer has ten receipts and two answers, and nothing of what happened inside.
    read = "\n".join(m.everything for m in ann.mails())
    assert len(ann.mails()) == 12
    for secret in ("QX-7731", "X200", VENDOR, "4711", "transaction", "undo", "bert", CONTROL):
        assert secret not in read
    assert not TOKEN.search(read)
    # The vendor has his two questions, and nothing of the customer's.
    assert len(eve.mails()) == 2
    assert "ann@cust.example" not in "\n".join(m.everything for m in eve.mails())
    waits = [e["kind"] for e in desk.show("ABC-2")["events"] if e["kind"].startswith("vendor")]
    assert waits == ["vendor_asked", "vendor_answered", "vendor_asked"]
