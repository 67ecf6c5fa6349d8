"""Archives that lie on an IMAP server: what the command line calls them, and their mails on disk for two looks.

``imap://user@host/Folder`` is a folder of any account (a missing folder is INBOX; ``%20`` stands for a blank,
``%40`` for an @ in the user's name); a configured ``[[mailbox]]`` is read by its name, with its Sent folder.
TLS from the first octet always (RFC 8314), but for ``imap://`` on this machine itself.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.config import Config, first_line
from gateway.edge.archive import LARGEST, Archives, Place, Source, Unreadable, is_sent_name
from gateway.edge.imap_archive import folder_mails
from gateway.edge.imap_settings import MailboxSettings, loopback
from gateway.edge.oauth import TokenSource
from gateway.errors import StateError
from gateway.mailboxes import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Folders of one account; those in ``sent`` hold what the desk sent."""

    settings: MailboxSettings
    tokens: TokenSource | None
    folders: tuple[str, ...]
    sent: frozenset[str] = frozenset()


def accounts(config: Config, sources: Sequence[str], names: Sequence[str], password_file: Path | None) -> list[Account]:
    """What ``sources`` (imap:// and imaps://) and ``names`` call for; asks for a password once an account. StateError with the remedy."""
    out = [_configured(config, name) for name in names]
    passwords: dict[str, str] = {}
    return [*out, *(_addressed(source, passwords, password_file) for source in sources)]


async def download(account: Account, archives: Archives) -> AsyncIterator[Place | Unreadable]:
    """The account's mails, written to a file of ``archives`` as they come."""
    settings = account.settings
    for folder in account.folders:
        file = archives.scratch / f"imap-{len(archives.sources)}"
        name = f"imap://{settings.username}@{settings.host}/{folder}"
        number = archives.add(Source(name=name, file=file, sent=folder in account.sent or is_sent_name(folder)))
        at = 0
        with file.open("wb") as out:
            async for mail in folder_mails(settings, account.tokens, [folder], largest=LARGEST):
                if mail.why:
                    yield Unreadable(name=f"{name} uid {mail.uid}", why=mail.why)
                    continue
                out.write(mail.raw)
                out.flush()     # it is read at once
                yield Place(number, at, at + len(mail.raw), given=mail.date)
                at += len(mail.raw)


def _configured(config: Config, name: str) -> Account:
    account = next((a for a in config.accounts if a.name == name), None)
    if account is None:
        known = ", ".join(a.name for a in config.accounts) or "none"
        raise StateError(f"--imap {name}: no [[mailbox]] has that name; configured: {known}. Or give imap://user@host/Folder")
    settings, tokens = reading(account, config)
    sent = account.sent_folder
    folders = (account.folder, sent) if sent else (account.folder,)
    return Account(settings=settings, tokens=tokens, folders=folders, sent=frozenset((sent,) if sent else ()))


def _addressed(source: str, passwords: dict[str, str], password_file: Path | None) -> Account:
    url = urlsplit(source)
    try:
        port = url.port
    except ValueError:
        port = 0
    if not url.username or not url.hostname or port == 0:
        raise StateError(f"{clean_url(source)}: write it as imap://user@host/Folder, with %40 for an @ in the user's name")
    if url.password is not None:
        raise StateError(f"{clean_url(source)}: a password there is seen by everybody; use --password-file, or be asked for it")
    plain = url.scheme == "imap" and loopback(url.hostname)
    user = unquote(url.username)
    key = f"{user}@{url.hostname}"
    if key not in passwords:
        passwords[key] = _password(key, password_file)
    settings = MailboxSettings(
        name="import", host=url.hostname, port=port or (143 if plain else 993), tls="none" if plain else "implicit",
        username=user, password=passwords[key],
    )
    return Account(settings=settings, tokens=None, folders=(unquote(url.path.strip("/")) or "INBOX",))


def clean_url(source: str) -> str:
    """Without what may be a password."""
    scheme, _, rest = source.partition("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}{at}{host}"


def _password(account: str, file: Path | None) -> str:
    if file is not None:
        return first_line(file) or ""
    if not sys.stdin.isatty():
        raise StateError(f"{account}: nobody is there to ask for the password; name a file with it: --password-file FILE")
    return getpass.getpass(f"Password of {account}: ")
