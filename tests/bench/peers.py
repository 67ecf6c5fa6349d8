"""Programs of Postfix around the measurement: the server beside us, smtp-source as load, smtp-sink as the world.

The Postfix instance has its own directories below ``root`` (nothing of /etc/postfix is read) and two doors:
``hold`` keeps what it accepts, as we do with a held pipeline; ``discard`` delivers to nowhere.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.crash.process import until

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
QUEUE = "support@acme.example"


def missing(*programs: str) -> str | None:
    """Why the named programs cannot be run; None if they can."""
    if lost := [name for name in programs if shutil.which(name, path=PATH) is None]:
        return f"{', '.join(lost)} not found: apt-get install postfix"
    if "postfix" in programs and os.geteuid() != 0:
        return "Postfix changes users: run as root"
    return None


def free_port() -> int:
    """A port below those that outgoing connections get."""
    last = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]) - 1
    while True:
        port = random.randint(10_000, max(last, 11_000))
        with contextlib.suppress(OSError), socket.socket() as door:
            door.bind(("127.0.0.1", port))
            return port


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as door:
        door.settimeout(2)
        return bool(door.recv(1))
    return False


def source(port: int, *, count: int, size: int, keep: bool, sessions: int) -> float:
    """Mails a second that smtp-source gets accepted. A refusal ends it: CalledProcessError."""
    words = ["smtp-source", "-s", str(sessions), "-m", str(count), "-l", str(size), "-f", "load@relay.example", "-t", QUEUE]
    begun = time.perf_counter()
    subprocess.run(
        [*words, *(["-d"] if keep else []), f"inet:127.0.0.1:{port}"], env={"PATH": PATH}, check=True, timeout=900,
        capture_output=True,
    )
    return count / (time.perf_counter() - begun)


@contextlib.contextmanager
def sink() -> Iterator[int]:
    """The port of an SMTP server that takes everything and keeps nothing."""
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        ["smtp-sink", *user, f"127.0.0.1:{port}", "200"],
        env={"PATH": PATH}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: answers(port), "smtp-sink")
        yield port
    finally:
        process.kill()
        process.wait()


class Postfix:
    def __init__(self, root: Path) -> None:
        self.root, self.etc = root, root / "etc"
        self.hold, self.discard = free_port(), free_port()

    def __enter__(self) -> Postfix:
        self.root.mkdir()
        self.root.chmod(0o755)
        for folder in (self.etc, self.root / "queue", self.root / "data"):
            folder.mkdir()
        owner = pwd.getpwnam("postfix")
        os.chown(self.root / "data", owner.pw_uid, owner.pw_gid)
        (self.etc / "main.cf").write_text(self._main())
        (self.etc / "master.cf").write_text(self._master())
        done = self._run("postfix", "start")
        if done:
            raise AssertionError(f"postfix start: {(self.root / 'said').read_text()}")
        for port in (self.hold, self.discard):
            until(lambda port=port: answers(port), "Postfix")  # type: ignore[misc]
        return self

    def __exit__(self, *_: object) -> None:
        pid = self.root / "queue" / "pid" / "master.pid"
        master = int(pid.read_text()) if pid.exists() else None
        self._run("postfix", "stop")
        if master and Path(f"/proc/{master}").exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(master, signal.SIGKILL)

    def empty(self) -> None:
        self._run("postsuper", "-d", "ALL")

    def _run(self, tool: str, *words: str) -> int:
        with (self.root / "said").open("w") as out:     # daemons that inherit a pipe would keep it open for ever
            return subprocess.run(
                [tool, "-c", str(self.etc), *words], env={"PATH": PATH}, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                timeout=300, check=False,
            ).returncode

    def _main(self) -> str:
        return f"""
compatibility_level = 3.6
queue_directory = {self.root}/queue
data_directory = {self.root}/data
maillog_file = {self.root}/maillog
maillog_file_prefixes = {self.root}
myhostname = mx.acme.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.1/32
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
disable_dns_lookups = yes
relay_domains = acme.example
relay_transport = discard:
transport_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
# As we do with a relay: no counting of its connections.
smtpd_client_connection_count_limit = 0
smtpd_client_event_limit_exceptions = 127.0.0.1/32
"""

    def _master(self) -> str:
        return f"""
127.0.0.1:{self.hold} inet n - n - - smtpd
  -o smtpd_recipient_restrictions=check_client_access,static:hold
127.0.0.1:{self.discard} inet n - n - - smtpd
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
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
