"""What settings demand of each other and of the machine; each check is one function, listed below.

``CHECKS`` give errors. ``WARNINGS`` give what works but will surprise. Both see every row, also
those with problems of their own, so that all is told at once.

Limits: a name is not resolved and a smarthost is not called; ports are tried only by ``busy_ports``.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from gateway.core.address import domain, local
from gateway.core.command_line import BY_WORD, parse_action
from gateway.core.command_value import fold
from gateway.core.policy import Field, Rule
from gateway.core.sides import PUBLIC_PROVIDERS
from gateway.edge.logins import read_users
from gateway.errors import Problem, StateError
from gateway.settings_file import Document, Row
from gateway.settings_kinds import Endpoint, did_you_mean

MOST_LOCAL = 24     # of the 64 octets of a local part; a reply address takes up to 39 behind a plus sign
Check = Callable[[Document], Iterator[Problem]]


def _somebody(doc: Document) -> Iterator[Problem]:
    for section, remedy in (
        ("queue", 'add a [[queue]] with a name and an address, such as address = "support@acme.example"'),
        ("agent", 'add an [[agent]] with a login and an address, such as address = "anna@acme.example"'),
    ):
        if not doc.rows[section]:
            yield doc.problem(section, remedy)


def _unique(doc: Document) -> Iterator[Problem]:
    """Names within their section; addresses over queues and agents, because a mail has one reader."""
    for section, key in (
        ("relay", "name"), ("queue", "name"), ("agent", "login"), ("mailbox", "name"), ("mailbox", "queue"), ("team", "name"),
        ("organisation", "name"),
    ):
        seen: dict[str, str] = {}
        for place, name in doc.each(section, key):
            if name in seen:
                yield doc.problem(place, f"the same as {seen[name]}; choose another", name)
            seen.setdefault(name, place)
    taken: dict[str, str] = {}
    for place, addresses in (*doc.each("queue", "address"), *doc.each("agent", "address"), *doc.each("mailwicket", "control")):
        for one in addresses:
            if one in taken:
                yield doc.problem(place, f"already stands in {taken[one]}; an address has one owner", one)
            taken.setdefault(one, place)


def _empty_lists(doc: Document) -> Iterator[Problem]:
    for section, key in (("queue", "address"), ("agent", "address"), ("relay", "networks"), ("organisation", "domains")):
        yield from (
            doc.problem(place, "name at least one", []) for place, v in doc.each(section, key) if not v
        )


def _queue_agents(doc: Document) -> Iterator[Problem]:
    logins = [login for _, login in doc.each("agent", "login")]
    for place, names in (*doc.each("queue", "agents"), *doc.each("team", "members")):
        for name in names:
            if name not in logins:
                yield doc.problem(
                    place, f"no [[agent]] has the login {name}; {did_you_mean(name, logins)}", name
                )
    queues = [name for _, name in doc.each("queue", "name")]
    for place, named in doc.each("agent", "queues"):
        for name, _ in named:
            if name not in queues:
                yield doc.problem(place, f"no [[queue]] has that name; {did_you_mean(name, queues)}", name)


def _organisations(doc: Document) -> Iterator[Problem]:
    """A domain has one owner, and not half the world in it: shared tickets would be everybody's."""
    taken: dict[str, str] = {}
    for place, domains in doc.each("organisation", "domains"):
        for one in domains:
            if one in PUBLIC_PROVIDERS:
                yield doc.problem(place, "is a mail provider of everybody; name domains of the company's own", one)
            if one in taken:
                yield doc.problem(place, f"already stands in {taken[one]}; a domain has one owner", one)
            taken.setdefault(one, place)


def _reply_domain(doc: Document) -> Iterator[Problem]:
    """Addresses of the reply domain are made by us: one with a person behind it would be cut off."""
    reply = doc.one("mailwicket").get("reply_domain")
    boxes = {queue for _, queue in doc.each("mailbox", "queue")}
    without = [name for _, name in doc.each("queue", "name") if name not in boxes]
    if reply is None and without and "reply_domain" in doc.one("mailwicket"):
        yield doc.problem(
            "mailwicket.reply_domain",
            f"is required, since queue {without[0]} has no [[mailbox]]: name a domain whose mail is all handed to us, "
            'such as reply_domain = "reply.acme.example"',
        )
    for place, addresses in (*doc.each("queue", "address"), *doc.each("agent", "address")):
        for one in addresses:
            if domain(one) == reply:
                yield doc.problem(
                    place,
                    "lies in reply_domain, which holds only addresses that we make; "
                    f"set reply_domain to a subdomain such as reply.{reply}",
                    one,
                )


def _mailboxes(doc: Document) -> Iterator[Problem]:
    queues = {name: row["address"] for row in doc.rows["queue"] if (name := row.get("name")) and row.get("address")}
    logins = [login for _, login in doc.each("agent", "login")]
    relays = [name for _, name in doc.each("relay", "name")]
    for i, row in enumerate(doc.rows["mailbox"]):
        where = f"mailbox[{i}]"
        queue = row.get("queue")
        if queue is not None and queue not in queues:
            yield doc.problem(f"{where}.queue", f"no [[queue]] has that name; {did_you_mean(queue, queues)}", queue)
        elif queue is not None and row.get("subaddressing") and len(local(queues[queue][0])) > MOST_LOCAL:
            yield doc.problem(
                f"{where}.subaddressing",
                f"{queues[queue][0]} leaves no room for a reply address before its @ (64 characters, RFC 5321 "
                "§4.5.3.1.1); write false, or put a shorter address first",
                True,
            )
        if (login := row.get("agent")) is not None and login not in logins:
            yield doc.problem(f"{where}.agent", f"no [[agent]] has the login {login}; {did_you_mean(login, logins)}", login)
        if (name := row.get("name")) in relays:
            yield doc.problem(f"{where}.name", "a [[relay]] has this name; choose another", name)
        imap = row.get("imap")
        if row.get("imap_tls") == "none" and imap is not None and not is_loopback(imap.host):
            yield doc.problem(
                f"{where}.imap_tls", 'the password would cross the network in the clear; write "implicit"', "none"
            )
        yield from _mailbox_login(doc, where, row)


def _mailbox_login(doc: Document, where: str, row: Row) -> Iterator[Problem]:
    """A password, or all that XOAUTH2 takes."""
    oauth = {key: row.get(f"oauth_{key}") for key in ("token_url", "client_id", "client_secret_file", "refresh_token_file")}
    if row.get("password_file") and any(oauth.values()):
        yield doc.problem(f"{where}.password_file", "give a password or oauth settings, not both", str(row["password_file"]))
    elif not row.get("password_file") and not any(oauth.values()):
        yield doc.problem(f"{where}.password_file", "is needed: a file with the password; or the oauth settings")
    elif any(oauth.values()):
        for key in ("token_url", "client_id"):
            if not oauth[key]:
                yield doc.problem(f"{where}.oauth_{key}", "is needed beside the other oauth settings")
        if not oauth["client_secret_file"] and not oauth["refresh_token_file"]:
            yield doc.problem(f"{where}.oauth_refresh_token_file", "is needed, or oauth_client_secret_file: nothing proves who we are")
        if (url := oauth["token_url"]) and not str(url).startswith(("https://", "http://127.0.0.1")):
            yield doc.problem(f"{where}.oauth_token_url", "the secrets would cross the network in the clear; use https", str(url))
    if path := row.get("cafile"):
        yield from _readable(doc, f"{where}.cafile", path)
    for key in ("password_file", "oauth_client_secret_file", "oauth_refresh_token_file"):
        if path := row.get(key):
            yield from _readable(doc, f"{where}.{key}", path)
            yield from _private(doc, f"{where}.{key}", path, 0o077)


def _relays(doc: Document) -> Iterator[Problem]:
    for i, row in enumerate(doc.rows["relay"]):
        if not row.get("authenticates"):
            continue
        for network in row.get("networks", ()):
            if network != "unix" and ipaddress.ip_network(network).prefixlen == 0:
                yield doc.problem(
                    f"relay[{i}].networks",
                    "with this anybody on the Internet could write as any "
                    "agent; name the relay's own address, or remove authenticates",
                    network,
                )


def _tls(doc: Document) -> Iterator[Problem]:
    listen = doc.one("listen")
    for has, lacks in (("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")):
        if listen.get(has) and lacks in listen and not listen[lacks]:
            yield doc.problem(f"listen.{lacks}", f"{has} is set, so this is needed too")
    for key in ("tls_certificate", "tls_key"):
        if path := listen.get(key):
            yield from _readable(doc, f"listen.{key}", path)
    if path := listen.get("tls_key"):
        yield from _private(doc, "listen.tls_key", path, 0o007)


def _doors(doc: Document) -> Iterator[Problem]:
    seen: dict[Endpoint, str] = {}
    for key in ("smtp", "lmtp", "submission", "submission_starttls"):
        where = doc.one("listen").get(key)
        if isinstance(where, Endpoint) and where.port:
            if where in seen:
                yield doc.problem(f"listen.{key}", f"the same as listen.{seen[where]}; choose another port", str(where))
            seen.setdefault(where, key)
    lmtp = doc.one("listen").get("lmtp")
    if isinstance(lmtp, Path) and len(os.fsencode(lmtp)) > 100:
        yield doc.problem(
            "listen.lmtp", "a unix socket's path has at most 100 bytes; choose a shorter one", str(lmtp)
        )


def _submission(doc: Document) -> Iterator[Problem]:
    """Passwords travel behind TLS only, and are kept where nobody else reads them."""
    listen = doc.one("listen")
    opened = [key for key in ("submission", "submission_starttls") if listen.get(key)]
    for key, lacking in (("tls_certificate", "a certificate and its key"), ("users_file", "a file for the agents' passwords")):
        if opened and key in listen and not listen[key]:
            yield doc.problem(f"listen.{key}", f"is needed, since {opened[0]} is set: name {lacking}")
    path = listen.get("users_file")
    if path is not None and path.exists():
        yield from _private(doc, "listen.users_file", path, 0o077)
        try:
            read_users(path)
        except StateError as error:
            if "chmod" not in str(error):   # told above
                yield doc.problem("listen.users_file", str(error), str(path))


def _nobody_logs_in(doc: Document) -> Iterator[Problem]:
    path = doc.one("listen").get("users_file")
    if path is not None and not path.exists():
        yield doc.problem(
            "listen.users_file", "is not there, so nobody can log in; make it with: mailwicket password LOGIN", str(path)
        )


def _send(doc: Document) -> Iterator[Problem]:
    send = doc.one("send")
    if send.get("smarthost") and send.get("maildir"):
        yield doc.problem(
            "send.maildir", "mail goes to the smarthost or here; remove one of the two", str(send["maildir"])
        )
    for has, lacks in (("username", "password_file"), ("password_file", "username")):
        if send.get(has) and lacks in send and not send[lacks]:
            yield doc.problem(f"send.{lacks}", f"{has} is set, so this is needed too")
    if send.get("username") and send.get("tls") == "none":
        yield doc.problem(
            "send.tls",
            "the password would cross the network in the clear; "
            'write "starttls" or "implicit", or remove username',
            "none",
        )
    if path := send.get("cafile"):
        yield from _readable(doc, "send.cafile", path)
    if path := send.get("password_file"):
        yield from _readable(doc, "send.password_file", path)
        yield from _private(doc, "send.password_file", path, 0o077)


def _readable(doc: Document, place: str, path: Path) -> Iterator[Problem]:
    try:
        with path.open("rb") as f:
            if not f.read(1):
                yield doc.problem(place, "the file is empty", str(path))
    except OSError as e:
        yield doc.problem(
            place,
            f"cannot be read ({e.strerror}); correct the path, or let user id {os.geteuid()} read it",
            str(path),
        )


def _private(doc: Document, place: str, path: Path, forbidden: int) -> Iterator[Problem]:
    """Refuse a secret that others may read."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and path.is_relative_to(credentials):
        return  # systemd guards these by an ACL, which shows as a group permission.
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return  # told by _readable
    if mode & forbidden:
        yield doc.problem(
            place, f"has mode {mode:04o}, so others may read it; run: chmod 600 {path}", str(path)
        )


def _rules(doc: Document) -> Iterator[Problem]:
    rules = tuple(Rule(**row) for row in doc.rows["rule"] if len(row) == len(Rule.__dataclass_fields__))
    if not rules:
        return
    from gateway.edge.rules import check  # loads DuckDB, which a desk without rules need not wait for

    places = {f"[[rule]] {name}": place.removesuffix(".name") for place, name in doc.each("rule", "name")}
    for problem in check(rules, doc.file):
        rule, _, key = problem.key.rpartition(" ")
        line = doc.lines.get(f"{places.get(rule)}.{key}")
        yield replace(problem, file=f"{doc.file}:{line}") if line else problem


def _fields(doc: Document) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for i, row in enumerate(doc.rows["field"]):
        for key, words in (("name", [row["name"]] if row.get("name") else []), ("aliases", row.get("aliases") or ())):
            for word in words:
                place = f"field[{i}].{key}"
                if (other := seen.setdefault(fold(word), place)) != place:
                    yield doc.problem(place, f"already stands in {other}; choose another", word)
        choices = row.get("choices") or ()
        if row.get("type") == "choice" and "choices" in row and not choices:
            yield doc.problem(f"field[{i}].choices", 'a choice needs values, such as choices = ["Berlin", "Graz"]')
        if choices and row.get("type", "choice") != "choice":
            yield doc.problem(f"field[{i}].choices", 'only a choice has them; write type = "choice"', list(choices))


def _macros(doc: Document) -> Iterator[Problem]:
    fields = tuple(Field(**row) for row in doc.rows["field"] if len(row) == len(Field.__dataclass_fields__) and None not in row.values())
    seen: dict[str, str] = {}
    for i, row in enumerate(doc.rows["macro"]):
        place = f"macro[{i}]"
        if row.get("name") and (other := seen.setdefault(fold(row["name"]), place)) != place:
            yield doc.problem(f"{place}.name", f"the same as {other}.name; choose another", row["name"])
        if not row.get("text", "-") and not row.get("then", "-"):
            yield doc.problem(f"{place}.text", "write a text, or commands in then")
        for line in row.get("then") or ():
            try:
                parse_action(line, fields, by_rule=False)
            except ValueError as error:
                yield doc.problem(f"{place}.then", str(error), line)


def _hidden_fields(doc: Document) -> Iterator[Problem]:
    for place, name in doc.each("field", "name"):
        if fold(name) in BY_WORD:
            yield doc.problem(place, f"#{name} is a command already, so the field is set by #field {name}=… alone", name)


def _nobody_vouches(doc: Document) -> Iterator[Problem]:
    vouched = {
        d for section in ("relay", "mailbox") for _, domains in doc.each(section, "authenticates") for d in domains
    }
    domains = sorted({domain(a) for _, addresses in doc.each("agent", "address") for a in addresses})
    missing = [d for d in domains if d not in vouched]
    if missing:
        names = ", ".join(f'"{d}"' for d in missing)
        yield doc.problem(
            "relay.authenticates",
            "no relay authenticates the agents of these domains, so their "
            "answers will be held and asked about; if your mail server lets only logged-in users "
            f"send from them, write authenticates = [{names}] under its [[relay]] or [[mailbox]]",
            missing,
        )


def _nothing_is_sent(doc: Document) -> Iterator[Problem]:
    boxes = {queue for _, queue in doc.each("mailbox", "queue")}
    if not doc.one("send").get("smarthost") and any(name not in boxes for _, name in doc.each("queue", "name")):
        yield doc.problem(
            "send.smarthost",
            "no mail leaves this machine, it is written to a Maildir; "
            'for real use write smarthost = "smtp.acme.example:587"',
        )


def _clear_text(doc: Document) -> Iterator[Problem]:
    """STARTTLS is what keeps mail private on its way in; a loopback door needs none."""
    smtp = doc.one("listen").get("smtp")
    if smtp and not is_loopback(smtp.host) and not doc.one("listen").get("tls_certificate"):
        yield doc.problem(
            "listen.tls_certificate",
            f"mail to {smtp} crosses the network in the clear; name a certificate and its key",
        )


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _backup(doc: Document) -> Iterator[Problem]:
    keep = doc.one("backup").get("keep")
    if keep is not None and keep < 2:
        yield doc.problem("backup.keep", "keep at least 2: journal and spool forget only what two backups hold", keep)


CHECKS: tuple[Check, ...] = (
    _somebody,
    _empty_lists,
    _unique,
    _queue_agents,
    _organisations,
    _reply_domain,
    _mailboxes,
    _relays,
    _tls,
    _doors,
    _submission,
    _send,
    _rules,
    _backup,
    _fields,
    _macros,
)
WARNINGS: tuple[Check, ...] = (_hidden_fields, _nobody_vouches, _nobody_logs_in, _nothing_is_sent, _clear_text)


def busy_ports(doors: dict[str, Endpoint | Path | None], file: str) -> Iterator[Problem]:
    """The doors that cannot be opened now; ``doors`` maps "listen.smtp" and so on to where."""
    for place, door in doors.items():
        if isinstance(door, Endpoint) and (why := _cannot_bind(door)):
            yield Problem(file, place, f'"{door}"', why)


def _cannot_bind(door: Endpoint) -> str | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            door.host, door.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with closing(socket.socket(family, kind, protocol)) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(address)
            s.listen(1)
    except OSError as e:
        return {
            errno.EADDRINUSE: "another program listens there; stop it or choose another port",
            errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE; use the systemd unit of "
            "`mailwicket init --systemd`, or a port above 1023",
            errno.EADDRNOTAVAIL: "this machine has no such address; choose one of its own",
        }.get(e.errno or 0, f"cannot listen there ({e.strerror})")
    return None
