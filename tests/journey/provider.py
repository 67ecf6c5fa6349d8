"""A mail provider's side of a shared mailbox: IMAP over TLS, submission, access tokens, sub-addresses.

support@acme.example is a mailbox here, like everybody's; nothing is handed to the gateway's doors. Mail to
support+anything@ lies in it too, with the whole address in Delivered-To (RFC 5233).

``Rewriter`` is the submission server of the providers that give each mail a Message-ID and a Date of
their own and put a copy of it into Sent. It stands before Postfix, with the same logins.

Limits: Dovecot's oauth2 asks the identity provider for each login; the rewriter takes passwords only.
"""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import json
import re
import smtplib
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate, make_msgid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from servers import AGENTS, CUSTOMERS, PASSWORD, PATH, Certificates, Dovecot, Ports, Postfix

DESK = "support@acme.example"
# Message-ID and Date with their folded lines, which a rewriting provider replaces (RFC 5322 §2.2.3).
_OWN_FIELDS = re.compile(rb"^(?:message-id|date):[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE | re.MULTILINE)


class IdentityProvider:
    """A token endpoint, and an introspection endpoint that Dovecot asks (RFC 7662); all tokens are ``account``'s."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.valid: set[str] = set()
        self.issued = self.asked = 0
        self.withdrawn: set[str] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                answer = json.dumps(outer._token() if self.path == "/token" else outer._introspect(form["token"][0])).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def _token(self) -> dict[str, object]:
        self.issued += 1
        token = f"token-{self.issued}"
        if token not in self.withdrawn:
            self.valid.add(token)
        return {"access_token": token, "token_type": "Bearer", "expires_in": 3600}

    def _introspect(self, token: str) -> dict[str, object]:
        self.asked += 1
        return {"active": token in self.valid, "username": self.account}

    def withdraw(self) -> None:
        """Every token that is out becomes worthless, as after a change of password."""
        self.valid.clear()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class ProviderDovecot(Dovecot):
    """The journey's Dovecot with a mailbox for the desk, a TLS port, sub-addresses and XOAUTH2."""

    people = (*CUSTOMERS, *AGENTS, DESK)

    def __init__(self, root: Path, ports: Ports, certs: Certificates, identity: IdentityProvider) -> None:
        super().__init__(root, ports)
        self.certs, self.identity = certs, identity

    def _config(self) -> str:
        (self.root / "oauth2.conf").write_text(
            f"introspection_mode = post\nintrospection_url = {self.identity.url}/introspect\n"
            "username_attribute = username\nactive_attribute = active\nactive_value = true\n"
        )
        return super()._config() + f"""
ssl = yes
ssl_cert = <{self.certs.chain}
ssl_key = <{self.certs.chain}
auth_mechanisms = plain login xoauth2
# Each token is to be looked at anew.
auth_cache_size = 0
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {self.root}/oauth2.conf
}}
recipient_delimiter = +
lmtp_save_to_detail_mailbox = no
service imap-login {{
  inet_listener imaps {{
    address = 127.0.0.1
    port = {self.ports.imaps}
    ssl = yes
  }}
}}
"""

    def kick(self) -> None:
        """Disconnect everybody at the account, as an administrator would."""
        subprocess.run(
            ["doveadm", "-c", str(self.root / "dovecot.conf"), "kick", self.identity.account],
            env={"PATH": PATH}, capture_output=True, check=False,
        )

    def renumber(self, address: str) -> None:
        """The same mails under new numbers, as after a restored backup: UIDVALIDITY changes. Dovecot must be stopped."""
        maildir = self.root / "mail" / address / "Maildir"
        lists = [*maildir.rglob("dovecot-uidlist"), *maildir.rglob("dovecot.index*"), *maildir.rglob("dovecot.list.index*")]
        for file in lists:
            file.unlink()
        # A folder's new UIDVALIDITY is the time in seconds; in the second of its making it would be the old one.
        time.sleep(1.1)
        assert any(file.name == "dovecot-uidlist" for file in lists)


class ProviderPostfix(Postfix):
    """The journey's Postfix, for which the desk's address is one of its users."""

    logins = (*AGENTS, DESK)

    def _to_the_desk(self) -> str:
        return "recipient_delimiter = +\n"


class Rewriter:
    """Submission with STARTTLS and AUTH: own Message-ID and Date, a copy in Sent, then on to Postfix."""

    def __init__(self, ports: Ports, certs: Certificates) -> None:
        self.ports, self.certs = ports, certs
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certs.chain)
        self._controller = Controller(
            self, hostname="127.0.0.1", port=ports.provider, tls_context=context, require_starttls=True,
            auth_required=True, auth_require_tls=True, authenticator=self._let_in, decode_data=False,
        )

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    def _let_in(self, server: object, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
        return AuthResult(success=right, auth_data=data.login.decode() if right else None)

    async def handle_DATA(self, server: object, session: Session, envelope: Envelope) -> str:
        return await asyncio.to_thread(self._take, str(session.auth_data), envelope)

    def _take(self, login: str, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        raw = rewritten(envelope.content)
        append(self.ports.imap, login, "Sent", raw)
        try:
            with smtplib.SMTP("localhost", self.ports.submission, timeout=30) as postfix:
                postfix.starttls(context=ssl.create_default_context(cafile=str(self.certs.ca)))
                postfix.login(login, PASSWORD)
                postfix.sendmail(envelope.mail_from or "", envelope.rcpt_tos, raw)
        except smtplib.SMTPRecipientsRefused as refused:
            (code, text), *_ = refused.recipients.values()
            return f"{code} {text.decode()}"
        except smtplib.SMTPResponseException as refused:
            return f"{refused.smtp_code} {refused.smtp_error!r}"
        return "250 2.0.0 OK"


def rewritten(raw: bytes) -> bytes:
    """The mail with a Message-ID and a Date of the provider's."""
    head, blank, body = raw.partition(b"\r\n\r\n")
    own = f"Message-ID: {make_msgid(domain='mail.provider.example')}\r\nDate: {formatdate()}\r\n".encode()
    return own + _OWN_FIELDS.sub(b"", head + b"\r\n") + blank.removeprefix(b"\r\n") + body


@contextlib.contextmanager
def logged_in(port: int, address: str) -> Iterator[imaplib.IMAP4]:
    with imaplib.IMAP4("127.0.0.1", port, timeout=20) as client:
        client.login(address, PASSWORD)
        yield client


def append(port: int, address: str, folder: str, *raws: bytes) -> None:
    """Save mails into a folder, as mail programs do with what was sent."""
    with logged_in(port, address) as client:
        client.create(folder)       # NO if it is there
        for raw in raws:
            said = client.append(folder, r"(\Seen)", "", raw)
            assert said[0] == "OK", said

