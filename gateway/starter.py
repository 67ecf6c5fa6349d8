"""What ``mailwicket init`` writes: a commented configuration and a systemd unit.

``TRIAL`` is the desk for trying. It is used when there is no configuration, and it is what
``init`` writes, so that both behave alike; names under .localhost never leave the machine
(RFC 6761 §6.3).

Limits: the unit is for Linux with systemd 247 or newer.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from gateway.settings_doc import REQUIRED, SECTIONS, Section, Setting, of_section, toml_value

TRIAL: dict[str, Any] = {
    "mailwicket": {
        "state": "./mailwicket-state",
        "host": "mailwicket.localhost",
        "key": "MW",
        "reply_domain": "reply.mailwicket.localhost",
    },
    "listen": {"smtp": "127.0.0.1:2525", "lmtp": "127.0.0.1:2424"},
    "relay": [
        {
            "name": "loopback",
            "networks": ["127.0.0.1/32", "::1/128"],
            "authenticates": ["mailwicket.localhost"],
        }
    ],
    "queue": [
        {
            "name": "support",
            "address": ["support@mailwicket.localhost"],
            "from_name": "Support",
            "agents": ["anna", "bert"],
        }
    ],
    "agent": [
        {"login": "anna", "name": "Anna", "address": ["anna@mailwicket.localhost"], "role": "admin"},
        {"login": "bert", "name": "Bert", "address": ["bert@mailwicket.localhost"]},
    ],
}

_HEAD = """\
# Mailwicket: {what}.
# It works as it is, on this machine only; for real use change the names under .localhost.
# A line that starts with "# key =" shows a setting that is not used, with its default or an example.
# After a change run: mailwicket check
"""

UNIT = """\
# Mailwicket as a systemd service. To install, as root:
#   useradd --system --home-dir /var/lib/mailwicket --shell /usr/sbin/nologin mailwicket
#   mailwicket init --systemd --config {plain} > /etc/systemd/system/mailwicket.service
#   systemctl daemon-reload && systemctl enable --now mailwicket
# Commands that write to the state directory run as: sudo -u mailwicket mailwicket ...

[Unit]
Description=Mailwicket help desk
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
Type=notify
ExecStart={command} serve --config {config} --state /var/lib/mailwicket
User=mailwicket
StateDirectory=mailwicket
StateDirectoryMode=0700
RuntimeDirectory=mailwicket
UMask=0077

# A start may replay a long journal; from then on the gateway says every few seconds that it lives.
TimeoutStartSec=15min
WatchdogSec=60
TimeoutStopSec=60
# 75 (try again, for example after a disk error) counts as a failure and is restarted; 2 (the
# configuration is wrong) would only fail again.
Restart=on-failure
RestartSec=2
RestartPreventExitStatus=2
KillMode=mixed
OOMPolicy=continue
LimitNOFILE=65536

# The secret of the smarthost, if it shall belong to root; password_file is then
# /run/credentials/mailwicket.service/smtp-password
#LoadCredential=smtp-password:/etc/mailwicket/smtp-password

# Only to open ports below 1024. Both lines may be emptied when the ports are higher.
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE

NoNewPrivileges=yes
# Backups outside of /var/lib/mailwicket need their directory here: ReadWritePaths=/srv/backup
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
PrivateMounts=yes
PrivateDevices=yes
DevicePolicy=closed
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
KeyringMode=private
LockPersonality=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
# @resources stays: the parser processes lower their own limits, and reports run niced.
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
# MemoryDenyWriteExecute is left out: polars checks the processor with a page it makes executable.

[Install]
WantedBy=multi-user.target
"""


def starter_toml() -> str:
    """The trial configuration with every setting explained."""
    parts = [_HEAD.format(what="a help desk whose front end is mail")]
    for section in SECTIONS:
        given = TRIAL.get(section.name)
        tables = given if isinstance(given, list) else [given or {}]
        # The first table of a kind explains its keys; further ones hold only what they say.
        parts.append(_table(section, tables[0], used=given is not None or not section.many))
        parts += [_short_table(section, t) for t in tables[1:]]
    return "\n".join(parts)


def _table(section: Section, values: dict[str, Any], *, used: bool) -> str:
    lines = [f"# {section.meaning}", section.header if used else f"# {section.header}"]
    for setting in of_section(section.name):
        lines.append(f"# {setting.meaning} ({setting.kind.words})")
        lines.append(_line(setting, values))
    return "\n".join(lines) + "\n"


def _line(setting: Setting, values: dict[str, Any]) -> str:
    if setting.key in values:
        return f"{setting.key} = {toml_value(values[setting.key])}"
    shown = setting.example if setting.default in (None, REQUIRED, []) else setting.default
    return f"# {setting.key} = {toml_value(shown)}"


def _short_table(section: Section, values: dict[str, Any]) -> str:
    return "\n".join([section.header, *(f"{k} = {toml_value(v)}" for k, v in values.items())]) + "\n"


def systemd_unit(config: Path) -> str:
    """The unit for this installation and the configuration at ``config``."""
    command = Path(sys.argv[0]).absolute()
    if command.name != "mailwicket" or not command.exists():
        command = Path(sys.executable).absolute()
        shown = f"{_quoted(command)} -m gateway"
    else:
        shown = _quoted(command)
    # A program or configuration under /home must stay visible to the service.
    at_home = any(
        p.is_relative_to("/home") or p.is_relative_to("/root") for p in (command, config.absolute())
    )
    return UNIT.format(
        command=shown, config=_quoted(config.absolute()), plain=shlex.quote(str(config.absolute())), home="read-only" if at_home else "yes"
    )


def _quoted(path: Path) -> str:
    """A path for ExecStart=: systemd expands ``%`` and ``$`` and splits at blanks (systemd.service(5))."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if any(c in text for c in " \t\"'\\;") else text
