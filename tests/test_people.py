"""Agents, teams and organisations on a running desk: the command line over the real socket, real mail, real kills."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import people
from gateway.books import Bookkeeper
from gateway.config import load
from gateway.core.admin import parse_admin
from gateway.core.clerk import Author
from gateway.edge import store_read
from gateway.edge.rules import RuleBook
from gateway.edge.spool import Spool
from gateway.edge.store import Store
from gateway.errors import MailwicketError, StateError
from gateway.mime.compose import Composer
from gateway.pipeline import Rooms
from gateway.service import TEMPLATES, open_books
from tests.crash.process import TOML, Peer, Site, wire

BERT, ANN, BOB = "bert@acme.example", "ann@cust.example", "bob@cust.example"
TOKEN = re.compile(rb"Reply-To: <(t-[^>]+)>")


class Acme(Site):
    """Two queues, one admin; the loopback vouches for the desk's people and for those of one customer."""

    def toml(self) -> str:
        text = TOML.format(port=self.port).replace(
            'networks = ["127.0.0.1/32"]', 'networks = ["127.0.0.1/32"]\nauthenticates = ["acme.example", "cust.example"]'
        )
        return text + '[[queue]]\nname = "billing"\naddress = ["billing@acme.example"]\n' + (
            '[[team]]\nname = "all"\nmembers = ["anna"]\n[[organisation]]\nname = "Declared Ltd"\ndomains = ["declared.example"]\n'
        )

    def write(self, sender: str, to: str, subject: str, text: str, **more: str) -> None:
        fields = {"From": sender, "To": to, "Subject": subject, "Message-Id": f"<{self.lives}.{len(text)}.{hash((subject, text))}@x.example>"}
        head = "".join(f"{k.replace('_', '-')}: {v}\n" for k, v in {**fields, **more}.items())
        peer = Peer(self.port)
        peer.deliver(sender, to, wire(f"{head}\n{text}\n".encode()))
        peer.close()
        self.quiet()

    def to(self, address: str) -> list[bytes]:
        """What we sent to ``address``, oldest first."""
        return [raw for _, raw in sorted(self.sent().items()) if f"To: {address}".encode() in raw or f"<{address}>".encode() in raw]

    def told(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, *words: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.told(*words, "--json").splitlines()]

    def tickets(self) -> dict[str, tuple[str, str | None]]:
        return {row["key"]: (row["status"], row["assignee"]) for row in self.ask("tickets")}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Acme]:
    site = Acme(tmp_path)
    site.start()
    site.ready()
    yield site
    site.abandon()


def test_an_agent_comes_answers_and_leaves_and_his_reply_address_is_dead(desk: Acme) -> None:
    assert desk.told("agent", "add", "bert", BERT, "Bert Oh", "role=lead", "queues=billing").strip() == f"done: bert <{BERT}> is a lead in billing"
    desk.write(ANN, "billing@acme.example", "Bill", "It is wrong.")
    (notice,) = desk.to(BERT)
    token = TOKEN.search(notice)
    assert token
    address = token[1].decode()
    desk.write(BERT, address, "Re: [ABC-1] Bill", "#pending\n\nWhich line?")
    assert desk.tickets() == {"ABC-1": ("pending", BERT)}
    assert b"Bert Oh (Billing)" in desk.to(ANN)[-1]

    assert "1 of bert's tickets are nobody's now: ABC-1" in desk.told("agent", "leave", "bert")
    desk.quiet()
    assert desk.tickets() == {"ABC-1": ("pending", None)}
    assert b"bert no longer holds this ticket" in desk.to("anna@acme.example")[-1]
    events = desk.ask("show", key="ABC-1")[0]["events"]
    assert [(e["kind"], e["actor_kind"], e["after"]) for e in events][-1] == ("assignee", "operator", None)

    before, sent = len(events), len(desk.to(ANN))
    for n, text in enumerate(("#solved\n\nBye.", "#note\n\nShe never pays.", "Dear Ann, pay me directly.")):
        desk.write(BERT, address, "Re: [ABC-1] Bill", text, In_Reply_To=f"<nothing-{n}@x.example>")
    assert desk.tickets()["ABC-1"] == ("pending", None)
    assert len(desk.ask("show", key="ABC-1")[0]["events"]) == before
    assert len(desk.to(ANN)) == sent, "nothing of it reached the customer"
    strangers = [desk.ask("show", key=key)[0] for key in desk.tickets() if key != "ABC-1"]
    assert {(s["ticket"]["queue"], s["ticket"]["requester"]) for s in strangers} == {("billing", BERT)}


def test_a_company_shares_its_tickets_when_it_is_switched_on(desk: Acme) -> None:
    desk.told("organisation", "add", "Cust Ltd", "cust.example")
    desk.write(ANN, "support@acme.example", "Printer", "It burns.")
    desk.write(BOB, "support@acme.example", "Re: [ABC-1] Printer", "Here too.")
    assert set(desk.tickets()) == {"ABC-1", "ABC-2"}, "off by default"
    desk.told("organisation", "share", "cust ltd", "on")
    desk.write(BOB, "support@acme.example", "Re: [ABC-1] Printer", "Here too, I say.")
    assert set(desk.tickets()) == {"ABC-1", "ABC-2"}
    assert desk.ask("show", key="ABC-1")[0]["messages"][-1]["author"] == BOB


def test_lists_say_where_an_entry_can_be_changed(desk: Acme) -> None:
    desk.told("agent", "add", "bert", BERT, "role=light", "queues=support")
    desk.told("team", "add", "hw", "anna,bert")
    desk.told("organisation", "add", "Cust Ltd", "cust.example")
    anna, bert = desk.rows("agent")
    assert (anna["source"], anna["role"], anna["queues"]) == ("mailwicket.toml", "agent", {"support": "agent", "billing": "agent"})
    assert bert == {
        "login": "bert", "name": "Bert", "address": [BERT], "role": None, "queues": {"support": "light"}, "language": "en", "source": "directory",
    }
    assert desk.rows("team", "list") == [
        {"team": "all", "members": ["anna"], "source": "mailwicket.toml"}, {"team": "hw", "members": ["anna", "bert"], "source": "directory"},
    ]
    assert [(o["organisation"], o["shared"], o["source"]) for o in desk.rows("organisation")] == [
        ("Declared Ltd", False, "mailwicket.toml"), ("Cust Ltd", False, "directory"),
    ]
    table = desk.told("agent")
    assert "support (light)" in table
    assert "anna, bert" in desk.told("team")
    assert "cust.example" in desk.told("organisation")


@pytest.mark.parametrize(("words", "why"), [
    (["agent", "role", "anna", "admin"], "anna is declared in mailwicket.toml"),
    (["agent", "lave", "bert"], "did you mean leave?"),
    (["team", "add", "hw", "nobody"], "nobody is no agent here"),
    (["organisation", "add", "Us", "gmail.com"], "provider of everybody"),
])
def test_a_refusal_is_a_sentence_and_an_exit_code(desk: Acme, words: list[str], why: str) -> None:
    done = desk.run(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr


def test_without_a_gateway_lists_are_read_and_changes_wait(desk: Acme) -> None:
    desk.told("agent", "add", "bert", BERT)
    desk.stop()
    assert [row["login"] for row in desk.rows("agent")] == ["anna", "bert"]
    done = desk.run("agent", "leave", "bert")
    assert done.returncode == 1
    assert "`agent` needs a running gateway; start it with: mailwicket serve" in done.stderr


def test_the_directory_survives_kill_and_the_loss_of_the_database(desk: Acme) -> None:
    desk.told("agent", "add", "bert", BERT, "Bert Oh", "queues=billing")
    desk.told("organisation", "add", "Cust Ltd", "cust.example")
    desk.told("agent", "name", "bert", "Bert Other")
    whole = desk.rows("agent"), desk.rows("organisation"), desk.dump_hash()
    for loss in (lambda: None, lambda: (desk.state / "mailwicket.duckdb").unlink()):
        desk.kill()
        loss()
        (desk.state / "mailwicket.duckdb.wal").unlink(missing_ok=True)
        desk.start()
        desk.ready()
        assert (desk.rows("agent"), desk.rows("organisation"), desk.dump_hash()) == whole
    desk.write(ANN, "billing@acme.example", "Bill", "It is wrong.")
    assert desk.to(BERT), "he is told after all that"


def test_the_snapshot_knows_agents_of_the_directory(desk: Acme) -> None:
    import duckdb

    desk.told("agent", "add", "bert", BERT)
    desk.write(BERT, "support@acme.example", "Chair", "My chair is broken.")
    desk.told("snapshot")
    with duckdb.connect(str(desk.state / "snapshots" / "current.duckdb"), read_only=True) as snapshot:
        assert snapshot.execute("SELECT login, is_agent FROM dim_person WHERE login IS NOT NULL ORDER BY login").fetchall() == [
            ("anna", True), ("bert", True)
        ]
        names = {n for (n,) in snapshot.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        assert not [n for n in names if "directory" in n], "names stay in the live file"


# --- The policy of the moment -----------------------------------------------------------------


@pytest.fixture
def books(tmp_path: Path) -> Iterator[tuple[Bookkeeper, Rooms]]:
    settings = load(Acme(tmp_path).config)
    found = open_books(settings, Spool(settings.state / "spool"))
    yield found, Rooms(policy=settings.policy, rules=RuleBook(()), composer=Composer(TEMPLATES, settings.policy))
    found.close()


def by_mail(books: Bookkeeper, rooms: Rooms, line: str) -> tuple[str, ...]:
    """As control@ will do it with a confirmed line."""
    return people.change(books, rooms, parse_admin(line), Author(kind="agent", person=1, cause="spool-1"))


def test_the_directory_is_read_once_until_it_changes(
    books: tuple[Bookkeeper, Rooms], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, rooms = books
    reads = []
    real = store_read.directory
    monkeypatch.setattr(store_read, "directory", lambda cursor: reads.append(1) or real(cursor))
    configured = rooms.policy
    assert desk.policy(configured) is configured
    assert rooms.under(desk.policy(configured)) is rooms
    for _ in range(5):
        desk.policy(configured)
    assert len(reads) == 1
    assert by_mail(desk, rooms, f"agent add bert {BERT}") == (f"bert <{BERT}> is an agent in all queues",)
    assert len(reads) == 2
    after = desk.policy(configured)
    assert after.agent_of_address(BERT) is not None
    assert all(desk.policy(configured) is after for _ in range(5))
    assert rooms.under(after).policy is after
    assert len(reads) == 2
    other = replace(configured, key="XYZ")
    assert desk.policy(other).key == "XYZ", "another configuration is another policy"


def test_what_changes_nothing_writes_no_frame(books: tuple[Bookkeeper, Rooms]) -> None:
    desk, rooms = books
    by_mail(desk, rooms, f"agent add bert {BERT}")
    seq = desk.store.applied_seq
    assert by_mail(desk, rooms, "agent role bert agent") == ("nothing to change: it is so already",)
    with pytest.raises(ValueError, match="bert is an agent already"):
        by_mail(desk, rooms, f"agent add bert {BERT}")
    assert desk.store.applied_seq == seq


def test_a_store_that_opens_again_has_the_same_directory(books: tuple[Bookkeeper, Rooms], tmp_path: Path) -> None:
    desk, rooms = books
    for line in (f"agent add bert {BERT} queues=billing", "team add hw bert", "organisation add Cust cust.example"):
        by_mail(desk, rooms, line)
    desk.store.checkpoint()
    shutil.copytree(desk.store.state, tmp_path / "copy")
    again = Store.open(tmp_path / "copy", read_only=True)
    try:
        assert again.directory == desk.store.directory
        assert again.directory.folded.version == 7
    finally:
        again.close()


def test_a_directory_that_cannot_be_stops_the_desk_and_blames_no_mail(books: tuple[Bookkeeper, Rooms]) -> None:
    desk, rooms = books
    by_mail(desk, rooms, f"agent add bert {BERT}")
    desk.store._cursor.execute("UPDATE directory_event SET kind = 'agent_left' WHERE kind = 'agent_added'")
    with pytest.raises(StateError, match="directory of agents cannot be read .* run `mailwicket restore`"):
        by_mail(desk, rooms, "team add hw")


def test_an_operators_mistake_is_told_in_words(books: tuple[Bookkeeper, Rooms]) -> None:
    desk, rooms = books
    with pytest.raises(MailwicketError, match="zoe is no agent here"):
        list(people.operate(desk, rooms, ["agent", "leave", "zoe"], "operator:1"))
    assert list(people.operate(desk, rooms, ["team", "add", "hw"], "operator:1")) == [{"done": "hw is a team"}]
