"""The agents' own door: s-nail and swaks against the running gateway over TLS; customers read what comes of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import LMTP, Desk, Mailbox, Received, Sent, swaks, write
from servers import PASSWORD, PATH, Town

pytestmark = [pytest.mark.servers, pytest.mark.journey]
SECRET = "a long way to the ferry"
ANNA = "anna@acme.example"


class DoorDesk(Desk):
    """A desk with both doors for agents, on ports that the system chooses."""

    def _toml(self) -> str:
        chain = self.town.certs.chain
        more = (
            f'submission = "127.0.0.1:0"\nsubmission_starttls = "127.0.0.1:0"\nusers_file = "{self.root}/users"\n'
            f'tls_certificate = "{chain}"\ntls_key = "{chain}"\n'
        )
        # No relay vouches for anybody here: what agents may do hangs on their login.
        return super()._toml().replace("[listen]\n", "[listen]\n" + more).replace('authenticates = ["acme.example"]\n', "")

    def port(self, name: str) -> int:
        return int(next(line[name] for line in self.log_lines() if line.get("event") == "ready"))


@pytest.fixture(scope="module")
def desk(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DoorDesk]:
    town.empty()
    made = DoorDesk(town, tmp_path_factory.mktemp("doors"), LMTP)
    set_password = subprocess.run(
        made.command("password", "anna"), input=SECRET + "\n", env=made.environment, cwd=made.root, capture_output=True, text=True,
        timeout=60, check=False,
    )
    assert set_password.returncode == 0, set_password.stderr
    assert (made.root / "users").stat().st_mode & 0o777 == 0o600
    assert SECRET not in (made.root / "users").read_text()
    made.start()
    try:
        yield made
        made.stop()
    finally:
        made.abandon()


def mail_program(desk: DoorDesk, script: str) -> None:
    """Anna's s-nail: her IMAP mailbox, and our door with TLS from the first octet for what she sends."""
    town = desk.town
    who = ANNA.replace("@", "%40")
    settings = town.root / "mailrc"
    secret = SECRET.replace(" ", "%20")
    settings.write_text(
        f"set v15-compat errexit from='Anna A. <{ANNA}>' hostname=acme.example\n"
        f"set mta=smtps://{who}:{secret}@localhost:{desk.port('submission')} smtp-auth=plain\n"
        f"set tls-verify=strict tls-ca-file={town.certs.ca} tls-ca-no-defaults\n"
        "set imap-auth=login sendcharsets=utf-8 sendwait indentprefix='> '\nunset record save quote\n"
    )
    done = subprocess.run(
        ["s-nail", "-#", "-f", f"imap://{who}:{PASSWORD}@127.0.0.1:{town.ports.imap}/INBOX"], input=script.encode(),
        env={"MAILRC": str(settings), "PATH": PATH, "HOME": str(town.root), "LC_ALL": "C.UTF-8", "TMPDIR": str(town.root)},
        capture_output=True, timeout=60, check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode("utf-8", "replace")


def replied(desk: DoorDesk, mail: Received, text: str) -> None:
    mail_program(desk, f"reply {mail.number}\n{text}\n\n~Q {mail.number}\n~.\nxit\n")


def test_anna_writes_first_and_the_conversation_goes_on(
    desk: DoorDesk, town: Town, ann: Mailbox, ben: Mailbox, anna: Mailbox
) -> None:
    mail_program(
        desk, f"mail {ann.address}\n~s Your new printer\n~b {ben.address}\nIt stands in the hall, Ann.\n~.\nxit\n"
    )
    first = ann.wait_about("Your new printer")
    assert first.header("from") == '"Anna Ahlberg (Acme Support)" <support@acme.example>'
    assert first.text.strip() == "It stands in the hall, Ann."
    assert ben.address not in first.everything
    assert ANNA not in first.everything
    blind = ben.wait_about("Your new printer")
    assert ann.address not in blind.everything
    ticket = desk.ticket("Your new printer")
    assert (ticket["requester"], ticket["status"], ticket["assignee"]) == (ann.address, "open", ANNA)

    write(
        town, f"Ann Example <{ann.address}>", desk.door.queue, f"Re: {first.subject}", "Where is the paper?",
        headers={"In-Reply-To": first.header("message-id")},
    )
    notice = anna.wait_about(ticket["key"], text="Where is the paper?")
    replied(desk, notice, "#solved\nIn the cupboard.")
    answer = ann.wait_about(ticket["key"], text="In the cupboard.")
    assert "#solved" not in answer.text
    assert "t-" not in answer.header("from")
    desk.quiet()
    assert desk.status(ticket["key"]) == "solved"
    identity = [d["detail"] for d in desk.show(ticket["key"])["decisions"] if d["code"] == "identity"]
    assert sum(words.startswith("level 4") for words in identity) == 2


def at_door(desk: DoorDesk, *arguments: str, name: str = "submission") -> Sent:
    tls = "--tls-on-connect" if name == "submission" else "--tls"
    return swaks(desk.town, tls, *arguments, port=desk.port(name))


def login(user: str = "anna", password: str = SECRET, kind: str = "LOGIN") -> list[str]:
    return ["--auth", kind, "--auth-user", user, "--auth-password", password]


@pytest.mark.parametrize("name", ["submission", "submission_starttls"])
@pytest.mark.parametrize("kind", ["PLAIN", "LOGIN"])
def test_swaks_gets_in_by_either_door_and_either_way(desk: DoorDesk, ann: Mailbox, name: str, kind: str) -> None:
    subject = f"By {kind} at {name}"
    sent = at_door(
        desk, *login(kind=kind), "--from", ANNA, "--to", ann.address, "--header", f"Subject: {subject}", "--body", "Hello.", name=name
    )
    assert sent.taken, sent.said
    assert ann.wait_about(subject).header("from").endswith("<support@acme.example>")


def test_nobody_else_gets_in_and_nobody_writes_as_another(desk: DoorDesk, ann: Mailbox) -> None:
    to = ["--to", ann.address, "--header", "Subject: Forged", "--body", "Pay me."]
    cases = {
        "535": [*login(password="wrong one"), "--from", ANNA, *to],
        "530": ["--from", ANNA, *to],
        "553": [*login(), "--from", "bert@acme.example", *to],
        "550 5.7.1": [*login(), "--from", ANNA, "--h-From", "bert@acme.example", *to],
        "550 5.1.1": [*login(), "--from", ANNA, "--to", "t-made.up-aaaaaaaaaaaaaaaaaaaa@reply.acme.example"],
    }
    for code, arguments in cases.items():
        sent = at_door(desk, *arguments)
        assert not sent.taken
        assert code in sent.said
    plain = swaks(desk.town, "--from", ANNA, *to, port=desk.port("submission_starttls"))
    assert "530 5.7.0 Send STARTTLS first" in plain.said
    desk.quiet()
    assert not ann.about("Forged")
    assert SECRET not in desk.said()
    assert "wrong one" not in desk.said()


def test_a_forged_answer_is_confirmed_by_nobody_but_anna(
    desk: DoorDesk, town: Town, ann: Mailbox, anna: Mailbox, tmp_path: Path
) -> None:
    """No relay vouches: a mail by the old way is held, and #send from her own mailbox lets it go."""
    write(town, f"Ann Example <{ann.address}>", desk.door.queue, "A long question", "May I?")
    key = ann.wait_about("A long question").subject.partition("[")[2].partition("]")[0]
    notice = anna.wait_about(key)
    file = tmp_path / "answer.eml"
    file.write_bytes((
        f"From: {ANNA}\r\nTo: {notice.header('reply-to')}\r\nSubject: Re: {notice.subject}\r\nMessage-ID: <phone@acme.example>\r\n"
        f"In-Reply-To: {notice.header('message-id')}\r\n\r\nYes, you may.\r\n"
    ).encode())
    to = notice.mail["reply-to"].addresses[0].addr_spec
    assert swaks(town, "--tls", "--from", "phone@elsewhere.example", "--to", to, "--data", f"@{file}").taken
    asked = anna.wait_about(key, text="cannot prove")
    assert "you may" not in asked.everything
    confirm = tmp_path / "confirm.eml"
    confirm.write_bytes((
        f"From: {ANNA}\r\nTo: {asked.header('reply-to')}\r\nSubject: Re: {asked.subject}\r\nMessage-ID: <phone2@acme.example>\r\n"
        f"In-Reply-To: {asked.header('message-id')}\r\n\r\n#send\r\n"
    ).encode())
    to = asked.mail["reply-to"].addresses[0].addr_spec
    assert swaks(town, "--tls", "--from", "phone@elsewhere.example", "--to", to, "--data", f"@{confirm}").taken
    ann.wait_about(key, text="Yes, you may.")
    assert desk.ask("held") == []


def test_check_finds_nothing_wrong(desk: DoorDesk) -> None:
    told = desk.run("check")
    assert told.returncode == 0, told.stderr
    assert "no problems" in told.stdout

