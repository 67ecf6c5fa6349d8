"""A desk that has nothing but a mailbox at a provider, and the kinds of provider there are."""

from __future__ import annotations

import imaplib
import re
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from desk import Desk, Door, Received, Row, _fetched, swaks
from provider import DESK, ProviderDovecot, Rewriter, append, logged_in
from servers import PASSWORD, Town, until

TOKEN_ADDRESS = re.compile(r"support\+t-[a-z0-9]+\.[a-z0-9]+-[a-z2-7]{20}@acme\.example", re.IGNORECASE)
# There is no other address than the mailbox's: what a door hands over is what lies in the mailbox.
MAILBOX = Door(name="mailbox", queue=DESK, reply_domain="acme.example")


@dataclass(frozen=True, kw_only=True)
class Provider:
    """What a provider does with mail, and what the desk is told of it."""

    name: str
    rewrites: bool = False
    subaddressing: bool = False
    sent: bool = True           # the desk watches the Sent folder
    move_to: str | None = None
    start: str = "all"
    oauth: bool = False

    def __str__(self) -> str:
        return self.name


PLAIN = Provider(name="plain")
WITH_SUBADDRESSES = Provider(name="plain with sub-addresses", subaddressing=True, move_to="Processed")
REWRITING = Provider(name="rewriting", rewrites=True, move_to="Processed")
REWRITING_UNSEEN = Provider(name="rewriting with sub-addresses, Sent unseen", rewrites=True, subaddressing=True, sent=False, start="new")
PROVIDERS = (PLAIN, WITH_SUBADDRESSES, REWRITING, REWRITING_UNSEEN)

_TOML = """\
[mailwicket]
state = "{state}"
host = "desk.acme.example"
key = "ABC"
[listen]
smtp = "off"
lmtp = "off"
[[mailbox]]
name = "support"
queue = "support"
imap = "localhost:{imaps}"
smtp = "localhost:{smtp}"
cafile = "{ca}"
username = "{desk}"
poll_seconds = 5
subaddressing = {subaddressing}
start = "{start}"
authenticates = ["acme.example"]
agent = "anna"
{more}
[[queue]]
name = "support"
address = ["{desk}"]
from_name = "Acme Support"
agents = ["anna", "bert"]
[[agent]]
login = "anna"
name = "Anna Ahlberg"
address = ["anna@acme.example"]
role = "admin"
[[agent]]
login = "bert"
name = "Bert Baum"
address = ["bert@acme.example"]
[budgets]
acks_per_address_hour = 1000
acks_per_address_day = 1000
acks_per_domain_hour = 1000
tickets_per_address_hour = 1000
[log]
format = "json"
"""


@dataclass(frozen=True, kw_only=True)
class MailboxTown(Town):
    """The town of a provider; ``dovecot`` is a ProviderDovecot."""

    rewriter: Rewriter

    @property
    def provider(self) -> ProviderDovecot:
        assert isinstance(self.dovecot, ProviderDovecot)
        return self.dovecot

    def refounded(self) -> None:
        """A fresh start: no mail on its way, no mailbox that remembers anything."""
        self.dovecot.stop()
        self.empty()
        self.dovecot.launch()


class MailboxDesk(Desk):
    """A gateway that watches support@acme.example."""

    def __init__(self, town: MailboxTown, root: Path, provider: Provider) -> None:
        self.provider = provider
        root.mkdir(exist_ok=True)
        super().__init__(town, root, MAILBOX)
        self.port = town.ports.provider if provider.rewrites else town.ports.submission
        for name, value in (("password", PASSWORD), ("refresh", "refresh-me"), ("client", "client-secret")):
            secret = root / name
            secret.write_text(value + "\n")
            secret.chmod(0o600)
        with logged_in(town.ports.imap, DESK) as client:
            for folder in ("Sent", "Processed"):
                client.create(folder)

    @property
    def own(self) -> MailboxTown:
        assert isinstance(self.town, MailboxTown)
        return self.town

    def _toml(self) -> str:
        own, of = self.own, self.provider
        more = []
        if of.sent:
            more.append('sent_folder = "Sent"')
        if of.move_to:
            more.append(f'move_to = "{of.move_to}"')
        if of.oauth:
            more += [
                f'oauth_token_url = "{own.provider.identity.url}/token"', 'oauth_client_id = "desk"',
                f'oauth_client_secret_file = "{self.root}/client"', f'oauth_refresh_token_file = "{self.root}/refresh"',
            ]
        else:
            more.append(f'password_file = "{self.root}/password"')
        return _TOML.format(
            state=self.state, imaps=own.ports.imaps, ca=own.certs.ca, desk=DESK, more="\n".join(more), start=of.start,
            smtp=own.ports.provider if of.rewrites else own.ports.submission, subaddressing=str(of.subaddressing).lower(),
        )

    def _open(self) -> bool:
        """It has seen what lies in each of its folders; from now on everything is news."""
        looks = [row["seconds_since_look"] for row in self.ask("status")[0]["mailboxes"]]
        return len(looks) == len(self.folders) and None not in looks

    @property
    def folders(self) -> list[str]:
        return ["INBOX", *(["Sent"] if self.provider.sent else [])]

    def told(self, folder: str, what: str = "") -> list[str]:
        """The log's texts on a folder since the last start that speak of ``what``."""
        place = f"mailbox support/{folder}: "
        return [text for text in self._texts(self._seen) if text.startswith(place) and what in text]

    def _texts(self, start: int = 0) -> list[str]:
        return [str(line.get("event", "")) for line in self.log_lines()[start:]]

    # --- Quiet ---

    def read_up(self) -> bool:
        """Whether everything in the mailbox has been read, marked and moved."""
        with logged_in(self.town.ports.imap, DESK) as client:
            return all(self._read_up(client, folder) for folder in self.folders)

    def _read_up(self, client: imaplib.IMAP4, folder: str) -> bool:
        client.select(folder, readonly=True)
        there = client.uid("SEARCH", "ALL")[1][0].split()
        marked = client.uid("SEARCH", "KEYWORD", "$MailwicketDone")[1][0].split()
        if folder == "INBOX" and (marked != there or (there and self.provider.move_to)):
            return False
        place = f"mailbox support/{folder}: "
        texts = [text.removeprefix(place) for text in self._texts() if text.startswith(place)]
        # Since the numbers changed last, each number of now must have been read.
        again = max((n for n, text in enumerate(texts) if text.startswith("rescan")), default=0)
        read = {text.split(":")[0] for text in texts[again:] if ": spooled as " in text}
        return {f"UID {int(uid)}" for uid in there} <= read

    def quiet(self) -> None:
        """As ever, and the mailbox has been read; what our own mail brings into Sent, too."""
        until(lambda: self._settled() and self._settled(), "the mailbox desk to fall quiet", 40)

    def _settled(self) -> bool:
        return self.read_up() and not (
            self.town.postfix.waiting()
            or self.ask("spool")
            or [m for m in self.ask("outbox") if m["state"] in ("queued", "sending")]
        )

    # --- What counts ---

    def counts(self) -> Row:
        """Everything of which a mail that is fetched twice could make more."""
        shown = [self.show(t["key"]) for t in self.tickets()]
        kinds = [event["kind"] for one in shown for event in one["events"]]
        return {
            "tickets": sorted(t["key"] for t in self.tickets()),
            "messages": sorted(len(one["messages"]) for one in shown),
            **{kind: kinds.count(kind) for kind in sorted(set(kinds) - {"copy"})},
            "outgoing": sorted((m["kind"], m["to"]) for m in self.ask("outbox", all=True, limit=1000)),
        }


# --- People ---------------------------------------------------------------------------------


def folder(town: Town, name: str, address: str = DESK) -> list[Received]:
    """What lies in a folder, oldest first."""
    with logged_in(town.ports.imap, address) as client:
        assert client.select(name, readonly=True)[0] == "OK"
        return [_fetched(client, number) for number in client.search(None, "ALL")[1][0].decode().split()]


def from_the_mailbox(desk: MailboxDesk, mail: EmailMessage, *to: str, saved: int = 1) -> bytes:
    """Somebody logged in as the mailbox writes a mail; the program saves it ``saved`` times, or the provider does."""
    raw = mail.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    file = desk.root / "from-the-mailbox.eml"
    file.write_bytes(raw)
    before = len(folder(desk.town, "Sent"))
    sent = swaks(
        desk.town, "--tls", "--auth", "PLAIN", "--auth-user", DESK, "--auth-password", PASSWORD, "--from", DESK,
        "--to", ",".join(to), "--data", f"@{file}", port=desk.port,
    )
    assert sent.taken, sent.said
    if desk.provider.rewrites:
        raw = until(lambda: folder(desk.town, "Sent")[before:] or None, "the provider's copy")[-1].raw
        saved -= 1
    append(desk.town.ports.imap, DESK, "Sent", *[raw] * saved)
    return raw


def reply_to(mail: Received) -> str:
    """Where a mail program sends the answer (RFC 5322 §3.6.2)."""
    header = mail.mail["reply-to"] or mail.mail["from"]
    return str(header.addresses[0].addr_spec)


def back_into_the_inbox(town: Town, source: str) -> None:
    """A person moves everything in a folder back to where it came from."""
    with logged_in(town.ports.imap, DESK) as client:
        client.select(source)
        _, found = client.search(None, "ALL")
        if found[0]:
            numbers = ",".join(found[0].decode().split())
            assert client.copy(numbers, "INBOX")[0] == "OK"
            client.store(numbers, "+FLAGS", r"(\Deleted)")
            client.expunge()
