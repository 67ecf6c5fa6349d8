"""Servers once a session, a desk once a module; everything is stopped and removed after failures too."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desk import LMTP, Desk, Door, Mailbox
from provider import DESK, IdentityProvider, ProviderDovecot, ProviderPostfix, Rewriter
from servers import Dovecot, Postfix, Town, certificates, free_ports, require_servers
from shared_mailbox import MailboxDesk, MailboxTown, Provider


@pytest.fixture(scope="session")
def town() -> Iterator[Town]:
    """Postfix and Dovecot with the people of servers.py."""
    require_servers()
    # pytest's own directories are closed to others, and both servers run as others.
    root = Path(tempfile.mkdtemp(prefix="mailwicket-journey-"))
    root.chmod(0o755)
    with contextlib.ExitStack() as end:
        end.callback(shutil.rmtree, root, ignore_errors=True)
        ports, certs = free_ports(), certificates(root)
        dovecot = Dovecot(root / "dovecot", ports)
        end.callback(dovecot.stop)
        dovecot.start()
        postfix = Postfix(root / "postfix", ports, dovecot, certs)
        end.callback(postfix.stop)
        postfix.start()
        yield Town(root=root, ports=ports, certs=certs, dovecot=dovecot, postfix=postfix)


@pytest.fixture(scope="module")
def open_desk(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Door], Desk]]:
    """Start gateways, one after the other; each is stopped with SIGTERM and must end well."""
    desks: list[Desk] = []

    def start(door: Door = LMTP) -> Desk:
        for before in desks:
            before.stop()
        town.empty()
        desk = Desk(town, tmp_path_factory.mktemp("desk"), door)
        desks.append(desk)
        desk.start()
        return desk

    try:
        yield start
        for desk in desks:
            desk.stop()
    finally:
        for desk in desks:
            desk.abandon()


@pytest.fixture(scope="module")
def desk(open_desk: Callable[[Door], Desk]) -> Desk:
    """A desk behind Postfix's LMTP client, shared by a module's tests."""
    return open_desk(LMTP)


@pytest.fixture
def ann(town: Town) -> Mailbox:
    return Mailbox(town, "ann@cust.example")


@pytest.fixture
def ben(town: Town) -> Mailbox:
    return Mailbox(town, "ben@cust.example")


@pytest.fixture
def eve(town: Town) -> Mailbox:
    return Mailbox(town, "eve@elsewhere.example")


@pytest.fixture
def anna(town: Town) -> Mailbox:
    return Mailbox(town, "anna@acme.example")


@pytest.fixture
def bert(town: Town) -> Mailbox:
    return Mailbox(town, "bert@acme.example")


@pytest.fixture(scope="session")
def mailbox_town() -> Iterator[MailboxTown]:
    """The same people at a provider where the desk is a mailbox, too."""
    require_servers()
    root = Path(tempfile.mkdtemp(prefix="mailwicket-mailbox-"))
    root.chmod(0o755)
    with contextlib.ExitStack() as end:
        end.callback(shutil.rmtree, root, ignore_errors=True)
        ports, certs = free_ports(), certificates(root)
        identity = IdentityProvider(DESK)
        end.callback(identity.stop)
        dovecot = ProviderDovecot(root / "dovecot", ports, certs, identity)
        end.callback(dovecot.stop)
        dovecot.start()
        postfix = ProviderPostfix(root / "postfix", ports, dovecot, certs)
        end.callback(postfix.stop)
        postfix.start()
        rewriter = Rewriter(ports, certs)
        end.callback(rewriter.stop)
        rewriter.start()
        yield MailboxTown(root=root, ports=ports, certs=certs, dovecot=dovecot, postfix=postfix, rewriter=rewriter)


@pytest.fixture
def open_mailbox(mailbox_town: MailboxTown, tmp_path: Path) -> Iterator[Callable[[Provider], MailboxDesk]]:
    """A desk at an empty mailbox; it must end well."""
    desks: list[MailboxDesk] = []

    def start(provider: Provider) -> MailboxDesk:
        mailbox_town.refounded()
        desk = MailboxDesk(mailbox_town, tmp_path / "desk", provider)
        desks.append(desk)
        desk.start()
        return desk

    try:
        yield start
        for desk in desks:
            desk.stop()
    finally:
        for desk in desks:
            desk.abandon()
