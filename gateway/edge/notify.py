"""The service manager is told how we are: sd_notify(3) in pure Python.

A datagram to the socket of $NOTIFY_SOCKET; a leading ``@`` is an abstract socket (unix(7)).
Without the variable nothing happens, and a failure to tell is never a failure to serve.

Limits: no file descriptor store, no vsock.
"""

from __future__ import annotations

import os
import socket


def notify(message: str) -> bool:
    """Send ``message``, such as ``STATUS=...``; whether it was handed over."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
            s.sendto(message.encode(), address)
    except OSError:
        return False
    return True


class Notifier:
    """Tells the manager the states of one service."""

    def ready(self, status: str = "") -> bool:
        return notify("READY=1" + (f"\nSTATUS={status}" if status else ""))

    def stopping(self) -> bool:
        return notify("STOPPING=1")

    def alive(self) -> bool:
        """Due every ``watchdog_interval()`` seconds, or the manager starts the service anew."""
        return notify("WATCHDOG=1")


def watchdog_interval() -> float | None:
    """Half of the manager's patience in seconds (sd_watchdog_enabled(3)); None if nobody waits."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2e6 if microseconds.isdigit() and int(microseconds) else None
