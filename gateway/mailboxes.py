"""The mailboxes that are watched: each an account that mail is fetched from and sent through.

What is remembered of one lies in STATE/mailboxes: how far its folders were read, and the refresh token if
the provider hands out new ones.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.config import Account, Config, first_line
from gateway.edge.durable import DISK, put_file
from gateway.edge.imap_cursor import CursorFile
from gateway.edge.imap_receive import Mailbox
from gateway.edge.imap_settings import MailboxSettings
from gateway.edge.oauth import OAuthSettings, TokenSource
from gateway.edge.smtp_send import Smarthost, SmarthostSettings
from gateway.edge.spool import Spool

FOLDER = "mailboxes"
log = structlog.get_logger("mailwicket")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One account at work: ``watch`` fetches, ``carrier`` sends what has ``address`` as its envelope sender."""

    name: str
    address: str
    watch: Mailbox
    carrier: Smarthost

    def folders(self) -> list[dict[str, object]]:
        """What an operator may want to know: when each folder was last seen whole, and what was passed over there."""
        now = time.monotonic()
        return [
            {
                "mailbox": self.name, "folder": watch.folder, "skipped": watch.skipped(),
                "seconds_since_look": None if math.isinf(watch.looked_at) else round(now - watch.looked_at),
            }
            for watch in self.watch.watches
        ]


def open_mailboxes(config: Config, spool: Spool, knows: Callable[[str], bool]) -> list[Watched]:
    """All of the configuration. Raises Damaged if a cursor file is, OSError if a secret cannot be read."""
    folder = config.state / FOLDER
    if config.accounts:
        folder.mkdir(mode=0o700, exist_ok=True)
    return [_open(account, config, folder, spool, knows) for account in config.accounts]


def reading(account: Account, config: Config) -> tuple[MailboxSettings, TokenSource | None]:
    """What a connection that reads the account is told. OSError if a secret cannot be read."""
    password = first_line(account.password_file)
    tokens = _tokens(account, config.state / FOLDER / f"{account.name}.refresh") if password is None else None
    settings = MailboxSettings(
        name=account.name, host=account.imap.host, port=account.imap.port, tls=account.imap_tls,
        cafile=str(account.cafile) if account.cafile else None,
        username=account.username, password=password, oauth=tokens.settings if tokens else None,
        folder=account.folder, sent_folder=account.sent_folder, move_to=account.move_to, start=account.start,
        poll_seconds=account.poll_seconds, max_size=config.listen.max_size,
    )
    return settings, tokens


def _open(
    account: Account, config: Config, folder: Path, spool: Spool, knows: Callable[[str], bool]
) -> Watched:
    settings, tokens = reading(account, config)
    watch = Mailbox(
        settings, spool, CursorFile(folder / f"{account.name}.cursor"), rcpt=account.address, knows=knows, tokens=tokens,
        sent_cursor=CursorFile(folder / f"{account.name}.sent.cursor") if account.sent_folder else None,
    )
    carrier = Smarthost(SmarthostSettings(
        host=account.smtp.host, port=account.smtp.port, helo=config.policy.host, tls=account.smtp_tls,
        cafile=settings.cafile, username=account.username, password=settings.password or "", tokens=tokens,
    ))
    return Watched(name=account.name, address=account.address, watch=watch, carrier=carrier)


def _tokens(account: Account, kept: Path) -> TokenSource:
    given = first_line(account.oauth_refresh_token_file) or ""
    settings = OAuthSettings(
        token_url=account.oauth_token_url or "", client_id=account.oauth_client_id or "",
        client_secret=first_line(account.oauth_client_secret_file) or "",
        refresh_token=_newest_token(kept, given), scope=account.oauth_scope or "",
        cafile=str(account.cafile) if account.cafile else None,
    )
    return TokenSource(settings, keep=lambda fresh: _keep(kept, given, fresh))


def _newest_token(kept: Path, given: str) -> str:
    """The kept token, if it grew out of the one that the operator gives now."""
    try:
        found = json.loads(kept.read_text("utf-8"))
        return str(found["token"]) if found["of"] == _digest(given) else given
    except FileNotFoundError:
        return given
    except (ValueError, KeyError, TypeError) as error:
        log.warning("refresh_token_damaged", file=str(kept), why=str(error), remedy="the configured one is used; delete the file")
        return given


def _keep(kept: Path, given: str, fresh: str) -> None:
    """RFC 6749 §6: a refresh token that was replaced may be worth nothing, so the new one is durable at once."""
    content = json.dumps({"of": _digest(given), "token": fresh}).encode()
    put_file(DISK, kept.with_name(f"{kept.name}.tmp"), kept, content)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
