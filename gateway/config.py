"""``mailwicket.toml`` as one frozen value, or every problem of it at once.

``load(path)`` reads by the table of settings_doc.py (settings_file.py), then checks what settings
demand of each other and of the machine (settings_checks.py). A problem names file and line, key,
value and remedy. What works but will surprise is a warning in ``Config.warnings``.
``load(None)`` needs no file: it gives the desk for trying of starter.py.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Literal

from gateway import settings_checks, settings_file, starter
from gateway.core.policy import Agent, Budgets, Field, Macro, Mailbox, Organisation, Policy, Queue, Relay, Rule, Team
from gateway.core.token import Keyring
from gateway.errors import ConfigError, Problem, StateError
from gateway.keys import keys, passing_keys
from gateway.settings_doc import settings_table
from gateway.settings_file import Document, Row
from gateway.settings_kinds import Endpoint

__all__ = [
    "FILE",
    "Backup",
    "Config",
    "Endpoint",
    "Listen",
    "Log",
    "Send",
    "find",
    "keys",
    "load",
    "settings_table",
]

FILE = "mailwicket.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """The doors. None is a closed door; a Path is a unix socket."""

    smtp: Endpoint | None
    lmtp: Endpoint | Path | None
    submission: Endpoint | None
    submission_starttls: Endpoint | None
    users_file: Path | None
    tls_certificate: Path | None
    tls_key: Path | None
    max_size: int
    porters: int
    drop: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """Our own look at SPF, DKIM and DMARC."""

    check: bool = False
    seconds: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """The way out: exactly one of smarthost and maildir is set."""

    smarthost: Endpoint | None
    tls: Literal["starttls", "implicit", "none"]
    cafile: Path | None
    username: str | None
    password_file: Path | None
    maildir: Path | None

    def password(self) -> str | None:
        """Read when it is needed, so that it is in no repr, log or crash dump of the configuration."""
        return first_line(self.password_file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A ``[[mailbox]]``: where it is and how to log in. Its address is ``address``."""

    name: str
    address: str
    imap: Endpoint
    imap_tls: Literal["implicit", "none"]
    smtp: Endpoint
    smtp_tls: Literal["starttls", "implicit"]
    cafile: Path | None
    username: str
    password_file: Path | None
    oauth_token_url: str | None
    oauth_client_id: str | None
    oauth_client_secret_file: Path | None
    oauth_refresh_token_file: Path | None
    oauth_scope: str | None
    folder: str
    sent_folder: str | None
    move_to: str | None
    start: Literal["new", "all"]
    poll_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """``at`` is a time of day in the desk's zone; None: none are made."""

    directory: Path
    at: time | None = time(3, 30)
    keep: int = 7
    verify: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The policy of the desk and the edges around it. All paths are absolute."""

    file: Path | None  # None: nothing was configured, this is the desk for trying
    policy: Policy
    state: Path
    listen: Listen
    send: Send
    memory_limit: str  # in DuckDB's words: "512MB"
    workers: int
    zone: str
    backup: Backup
    log: Log
    accounts: tuple[Account, ...] = ()
    dns: Dns = field(default_factory=Dns)
    warnings: tuple[Problem, ...] = ()

    @property
    def control_socket(self) -> Path:
        return self.state / "control.sock"


def first_line(file: Path | None) -> str | None:
    """The secret in ``file``."""
    return file.read_text("utf-8").split("\n", 1)[0] if file else None


def find(given: Path | None) -> Path | None:
    """The file to load: the one given, else $MAILWICKET_CONFIG, else ./mailwicket.toml if it is there."""
    if given:
        return given
    if named := os.environ.get("MAILWICKET_CONFIG"):
        return Path(named)
    return Path(FILE) if Path(FILE).exists() else None


def load(path: Path | None = None, *, state: Path | None = None, first_start: bool = True) -> Config:
    """The configuration at ``path``, or the one for trying; ``state`` overrides the file's.

    ``first_start=False`` writes nothing: missing signing keys are then made up and forgotten.
    Raises ConfigError with every problem.
    """
    document, problems = _document(path)
    for check in settings_checks.CHECKS:
        problems += check(document)
    if problems:
        raise ConfigError(problems)
    # Not resolve(): a symbolic link to another disk is the operator's choice and stays visible.
    directory = Path(os.path.abspath(state or document.one("mailwicket")["state"]))  # noqa: PTH100
    ring = _keyring(document, directory, first_start=first_start)
    return _config(path, document, directory, ring)


def _document(path: Path | None) -> tuple[Document, list[Problem]]:
    if path is None:
        return settings_file.read(starter.TRIAL, file="(no configuration)", base=Path.cwd())
    try:
        text = path.read_text("utf-8")
    except OSError as e:
        remedy = f"cannot be read ({e.strerror}); correct --config, or write a new one with: mailwicket init"
        raise ConfigError([Problem(str(path), "file", str(path), remedy)]) from e
    except UnicodeDecodeError as e:
        remedy = "is not UTF-8, which TOML demands; save it as UTF-8"
        raise ConfigError([Problem(str(path), "file", str(path), remedy)]) from e
    given, problems = settings_file.parse(text, str(path))
    if problems:
        raise ConfigError(problems)
    return settings_file.read(given, file=str(path), base=path.absolute().parent, text=text)


def _keyring(document: Document, state: Path, *, first_start: bool) -> Keyring:
    try:
        return keys(state) if first_start else passing_keys(state)
    except StateError as e:
        remedy = str(e)
    except OSError as e:
        remedy = (
            f"cannot be made or used ({e.strerror}); choose another one, or give it to user id {os.geteuid()}"
        )
    raise ConfigError([document.problem("mailwicket.state", remedy, str(state))])


def _config(path: Path | None, document: Document, state: Path, ring: Keyring) -> Config:
    top, send = document.one("mailwicket"), dict(document.one("send"))
    if send["smarthost"] is None and send["maildir"] is None:
        send["maildir"] = state / "outgoing"
    agents = tuple(_agent(row) for row in document.rows["agent"])
    boxes = {row["queue"]: row for row in document.rows["mailbox"]}
    policy = Policy(
        host=top["host"],
        key=top["key"],
        reply_domain=top["reply_domain"] or "",
        keys=ring,
        queues=tuple(_queue(row, agents, boxes.get(row["name"])) for row in document.rows["queue"]),
        agents=agents,
        relays=(
            *(Relay(**row) for row in document.rows["relay"]),
            *(Relay(name=b["name"], networks=(), authenticates=b["authenticates"]) for b in boxes.values()),
        ),
        rules=tuple(Rule(**row) for row in document.rows["rule"]),
        budgets=Budgets(**document.one("budgets")),
        lists=frozenset(top["lists"]),
        reply_to_token=top["reply_to_token"],
        control=top["control"] or tuple(f"control@{d}" for d in dict.fromkeys((top["host"], top["reply_domain"])) if d),
        digest=top["digest"],
        zone=top["zone"],
        fields=tuple(Field(**row) for row in document.rows["field"]),
        macros=tuple(Macro(**row) for row in document.rows["macro"]),
        teams=tuple(Team(**row) for row in document.rows["team"]),
        organisations=tuple(Organisation(**row) for row in document.rows["organisation"]),
    )
    return Config(
        file=path,
        policy=policy,
        state=state,
        listen=Listen(**document.one("listen")),
        send=Send(**send),
        memory_limit=top["memory_limit"],
        workers=top["workers"], zone=top["zone"],
        backup=_backup(document.one("backup"), state),
        log=Log(**document.one("log")),
        dns=_dns(document),
        accounts=tuple(_account(row, policy.queue(name).address) for name, row in boxes.items()),
        warnings=tuple(w for warn in settings_checks.WARNINGS for w in warn(document)),
    )


def _dns(document: Document) -> Dns:
    row, smtp = document.one("dns"), document.one("listen")["smtp"]
    exposed = smtp is not None and not settings_checks.is_loopback(smtp.host)
    return Dns(check=row["check"] == "on" or (row["check"] == "auto" and exposed), seconds=row["seconds"])


def _backup(row: Row, state: Path) -> Backup:
    return Backup(**{**row, "directory": Path(os.path.abspath(row["directory"] or state / "backup"))})  # noqa: PTH100  # as above


def _agent(row: Row) -> Agent:
    return Agent(
        login=row["login"],
        name=row["name"] or row["login"].capitalize(),
        addresses=row["address"],
        role=row["role"],
        language=row["language"],
        digest=row["digest"],
        zone=row["zone"] or "",
        roles=tuple((queue, role or row["role"]) for queue, role in row["queues"] or ()),
        elsewhere=row["queues"] is None,
    )


def _account(row: Row, address: str) -> Account:
    known = {name: row[name] for name in Account.__slots__ if name != "address"}
    return Account(**known | {"address": address, "username": row["username"] or address})


def _queue(row: Row, agents: tuple[Agent, ...], box: Row | None) -> Queue:
    everybody = tuple(a.login for a in agents if a.role_in(row["name"]) not in (None, "light"))
    return Queue(
        name=row["name"],
        addresses=row["address"],
        from_name=row["from_name"] or row["name"].capitalize(),
        agents=everybody if row["agents"] is None else row["agents"],
        everybody=row["agents"] is None,
        language=row["language"],
        acknowledge=row["acknowledge"],
        mailbox=Mailbox(name=box["name"], subaddressing=box["subaddressing"], agent=box["agent"]) if box else None,
    )
