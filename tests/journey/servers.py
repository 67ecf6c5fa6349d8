"""Postfix and Dovecot as a journey needs them: own instances, own directories, own ports, root only.

    customers   ann, ben @cust.example, eve @elsewhere.example      Dovecot mailboxes
    agents      anna, bert @acme.example                            Dovecot mailboxes with SASL logins
    desk        support@acme.example, *@reply.acme.example          to the gateway's LMTP door
                help@acme.example, *@smtp-reply.acme.example        to the gateway's SMTP door
Postfix has two doors: ``mx`` for the world (and for the gateway as its smarthost) and ``submission``
for logged-in people. Both refuse @acme.example in MAIL FROM to whoever did not log in as that person:
only then may the gateway be told that this relay ``authenticates`` the domain.

Every mailbox is let in by Postfix and looked up by Dovecot, so a mail to nobody is accepted first and
comes back later as a report (RFC 3464), as it does on the Internet.

Limits: Linux, root (both servers change users), Postfix 3.4 or newer, Dovecot 2.3. Nothing of the
system's own instances in /etc/postfix and /etc/dovecot is read or changed.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
import trustme

T = TypeVar("T")

PASSWORD = "correct-horse"
CUSTOMERS = ("ann@cust.example", "ben@cust.example", "eve@elsewhere.example")
AGENTS = ("anna@acme.example", "bert@acme.example")
# Binary -> (places besides $PATH, the Debian package that brings it).
NEEDED = {
    "postfix": "postfix",
    "dovecot": "dovecot-core",
    "/usr/lib/dovecot/imap": "dovecot-imapd",
    "/usr/lib/dovecot/lmtp": "dovecot-lmtpd",
    "swaks": "swaks",
    "s-nail": "s-nail",
}
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin"


def require_servers() -> None:
    """Skip, naming what to install; with MAILWICKET_SERVERS=required that is a failure."""
    missing = sorted({package for binary, package in NEEDED.items() if shutil.which(binary, path=PATH) is None})
    why = f"apt-get install {' '.join(missing)}" if missing else ""
    if os.geteuid() != 0:
        why = "Postfix and Dovecot change users: run as root" + (f"; {why}" if why else "")
    if not why:
        return
    if os.environ.get("MAILWICKET_SERVERS") == "required":
        pytest.fail(f"MAILWICKET_SERVERS=required, but: {why}", pytrace=False)
    pytest.skip(why)


def until(look: Callable[[], T | None], what: str, seconds: float = 20.0) -> T:
    """The first true answer of ``look``; a test failure that says what was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as door:
        # Whoever greets first is at work, not merely bound.
        door.settimeout(2)
        return bool(door.recv(1))
    return False


@dataclass(frozen=True, kw_only=True)
class Ports:
    mx: int
    submission: int
    imap: int
    desk_lmtp: int
    desk_smtp: int
    imaps: int
    provider: int


def free_ports() -> Ports:
    """Ports that are free now, below those that outgoing connections get: these would take them meanwhile."""
    first, count = 10_000, 7
    last = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]) - 1
    found: list[int] = []
    for port in random.sample(range(first, max(last, first + 1000)), 200):
        with contextlib.suppress(OSError), socket.socket() as door:
            door.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            mx, submission, imap, lmtp, smtp, imaps, provider = found
            return Ports(
                mx=mx, submission=submission, imap=imap, desk_lmtp=lmtp, desk_smtp=smtp, imaps=imaps, provider=provider
            )
    raise OSError(f"no {count} free ports between {first} and {last}")


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """One authority for the test; ``chain`` is key and certificate of 127.0.0.1 and localhost."""

    ca: Path
    chain: Path


def certificates(folder: Path) -> Certificates:
    authority = trustme.CA()
    made = Certificates(ca=folder / "ca.pem", chain=folder / "server.pem")
    authority.cert_pem.write_to_path(str(made.ca))
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(made.chain))
    made.chain.chmod(0o600)
    return made


class Dovecot:
    """IMAP for people, LMTP and SASL for Postfix."""

    people: tuple[str, ...] = (*CUSTOMERS, *AGENTS)

    def __init__(self, root: Path, ports: Ports) -> None:
        self.root, self.ports = root, ports
        self.lmtp, self.auth = root / "lmtp", root / "auth"
        self.log = root / "dovecot.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.root.mkdir()
        for name in ("mail", "run", "state"):
            (self.root / name).mkdir()
        os.chown(self.root / "mail", *_ids("nobody"))
        self.house(*self.people)
        (self.root / "dovecot.conf").write_text(self._config())
        self.launch()

    def launch(self) -> None:
        """Start it on what ``start`` made, again after ``stop``."""
        config = self.root / "dovecot.conf"
        for door in (self.lmtp, self.auth):
            door.unlink(missing_ok=True)
        errors = (self.root / "stderr").open("ab")
        with errors:
            self._process = subprocess.Popen(
                ["dovecot", "-F", "-c", str(config)], env={"PATH": PATH}, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                start_new_session=True,
            )
        until(lambda: self._dead() or (answers(self.ports.imap) and self.lmtp.exists() and self.auth.exists()), "Dovecot")

    def house(self, *people: str) -> None:
        """Exactly these have a mailbox from now on; mail to anybody else comes back with 5.1.1."""
        nobody = _ids("nobody")
        new = self.root / "users.new"
        new.write_text("".join(
            f"{one}:{{PLAIN}}{PASSWORD}:{nobody[0]}:{nobody[1]}::{self.root}/mail/{one}::\n" for one in people
        ))
        new.chmod(0o644)
        new.replace(self.root / "users")
        if self._process is not None:
            time.sleep(1.1)     # Dovecot looks at the file at most once a second

    def _dead(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            said = (self.root / "stderr").read_text() + (self.log.read_text() if self.log.exists() else "")
            pytest.fail(f"Dovecot ended: {said}", pytrace=False)
        return False

    def _config(self) -> str:
        root = self.root
        return f"""
base_dir = {root}/run
state_dir = {root}/state
log_path = {self.log}
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:~/Maildir
# A test mailbox is no loss, and tests wait for every mail.
mail_fsync = never
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%Lu {root}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%Lu {root}/users
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {self.ports.imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  unix_listener {self.lmtp} {{
    mode = 0666
  }}
}}
service auth {{
  unix_listener {self.auth} {{
    mode = 0666
  }}
}}
"""

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        # Processes that serve a client outlive their master by half a minute.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)


class Postfix:
    """One instance in its own directories; ``postfix -c`` needs no entry anywhere else."""

    logins: tuple[str, ...] = AGENTS

    def __init__(self, root: Path, ports: Ports, dovecot: Dovecot, certs: Certificates) -> None:
        self.root, self.ports, self.dovecot, self.certs = root, ports, dovecot, certs
        self.etc, self.queue, self.log = root / "etc", root / "queue", root / "maillog"

    def start(self) -> None:
        self.root.mkdir()
        for folder in (self.etc, self.queue, self.root / "data"):
            folder.mkdir()
        os.chown(self.root / "data", *_ids("postfix"))
        (self.etc / "main.cf").write_text(self._main())
        (self.etc / "master.cf").write_text(self._master())
        done = self._run("postfix", "start")
        assert done.returncode == 0, f"postfix start: {done.stdout}{self._said()}"
        for port in (self.ports.mx, self.ports.submission):
            until(lambda port=port: answers(port), f"Postfix on port {port}; {self._said()}")  # type: ignore[misc]

    def _to_the_desk(self) -> str:
        """What is handed to the gateway's doors."""
        ports = self.ports
        lmtp, smtp = f"lmtp:inet:127.0.0.1:{ports.desk_lmtp}", f"smtp:[127.0.0.1]:{ports.desk_smtp}"
        return f"""
relay_domains = reply.acme.example smtp-reply.acme.example
transport_maps = inline:{{
  {{ support@acme.example = {lmtp} }} {{ reply.acme.example = {lmtp} }}
  {{ help@acme.example = {smtp} }} {{ smtp-reply.acme.example = {smtp} }} }}
"""

    def _main(self) -> str:
        logins = " ".join(f"{one}={one}" for one in self.logins)
        return f"""
compatibility_level = 3.6
queue_directory = {self.queue}
data_directory = {self.root}/data
maillog_file = {self.log}
maillog_file_prefixes = {self.root}
myhostname = mx.acme.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtp_host_lookup = native
biff = no

virtual_mailbox_domains = cust.example acme.example elsewhere.example
virtual_mailbox_maps = static:here
virtual_transport = lmtp:unix:{self.dovecot.lmtp}
{self._to_the_desk()}
# The desk is restarted in the middle of traffic; its mail shall not wait minutes for that.
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
lmtp_connect_timeout = 5s
smtp_connect_timeout = 5s

smtpd_tls_chain_files = {self.certs.chain}
smtpd_tls_security_level = may
smtpd_sasl_type = dovecot
smtpd_sasl_path = {self.dovecot.auth}
smtpd_sasl_auth_enable = yes
smtpd_sender_login_maps = inline:{{ {logins} @acme.example=nobody }}
smtpd_relay_restrictions = reject_unauth_destination
smtpd_sender_restrictions = reject_unauthenticated_sender_login_mismatch
# Loopback clients come fast in a test; anvil would only slow it down.
smtpd_client_connection_count_limit = 0
"""

    def _master(self) -> str:
        mx, submission = (f"127.0.0.1:{port}" for port in (self.ports.mx, self.ports.submission))
        return f"""
{mx} inet n - n - - smtpd
{submission} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_auth_only=yes
  -o smtpd_sender_restrictions=reject_sender_login_mismatch
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

    def _run(self, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        # Output goes to a file: daemons that inherit a pipe would keep it open for ever.
        said = self.root / "said"
        with said.open("w") as out:
            done = subprocess.run(
                [tool, "-c", str(self.etc), *arguments], env={"PATH": PATH}, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, timeout=60, check=False,
            )
        return subprocess.CompletedProcess(done.args, done.returncode, said.read_text(), "")

    def _said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def forget_queue(self) -> None:
        """What one desk left behind shall not reach the next."""
        self._run("postsuper", "-d", "ALL")

    def waiting(self) -> list[str]:
        """What is still in the queue, one JSON line a mail."""
        return self._run("postqueue", "-j").stdout.splitlines()

    def stop(self) -> None:
        pid = self.queue / "pid" / "master.pid"
        if not pid.exists():
            return
        master = int(pid.read_text())
        self._run("postfix", "stop")
        if Path(f"/proc/{master}").exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(master, signal.SIGKILL)


def _ids(user: str) -> tuple[int, int]:
    import pwd

    found = pwd.getpwnam(user)
    return found.pw_uid, found.pw_gid


@dataclass(frozen=True, kw_only=True)
class Town:
    """All servers around the desk."""

    root: Path
    ports: Ports
    certs: Certificates
    dovecot: Dovecot
    postfix: Postfix

    def empty(self) -> None:
        """A fresh start for the next desk: no mail on its way, none in a mailbox."""
        self.postfix.forget_queue()
        for folder in (self.dovecot.root / "mail").glob("*/Maildir"):
            shutil.rmtree(folder)
