"""Every setting of ``mailwicket.toml``, declared once.

From this table come parsing and checking (config.py), the commented example that
``mailwicket init`` writes (starter.py) and the README's table (``settings_table``).
To add a setting, add a row; no other place lists them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gateway import settings_kinds as kind
from gateway.core.policy import Budgets
from gateway.settings_kinds import Kind

REQUIRED = "(required)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key: where it stands, what it may be, and what it means."""

    section: str
    key: str
    kind: Kind
    default: Any        # as TOML would give it; None = absent; REQUIRED
    meaning: str
    example: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A TOML table, or with ``many`` an array of tables."""

    name: str
    meaning: str
    many: bool = False

    @property
    def header(self) -> str:
        return f"[[{self.name}]]" if self.many else f"[{self.name}]"


SECTIONS = (
    Section(name="mailwicket", meaning="The desk itself."),
    Section(name="listen", meaning="Where mail comes in."),
    Section(name="send", meaning="Where mail goes out: a smarthost, or a Maildir for trying."),
    Section(name="mailbox", many=True,
            meaning="A queue's account at a mail provider, instead of an MX record: fetched by IMAP, sent through."),
    Section(name="relay", many=True,
            meaning="A host that hands us mail, and for which From domains it vouches."),
    Section(name="dns", meaning="Our own look at who sent a mail."),
    Section(name="queue", many=True,
            meaning="A desk window: the addresses customers write to, and who answers there."),
    Section(name="agent", meaning="A person who answers, with any mail client.", many=True),
    Section(name="team", meaning="Agents under one name.", many=True),
    Section(name="organisation", many=True,
            meaning="A customer company: whose addresses are in these domains. More of all three are made by `mailwicket agent`, `team`, `organisation`."),
    Section(name="rule", meaning="When a mail is so, then do that. Applied in file order.", many=True),
    Section(name="field", many=True, meaning="A field of your own on every ticket: #field name=value, or #name value."),
    Section(name="macro", many=True, meaning="A prepared answer, for #macro name."),
    Section(name="budgets", meaning="How much automatic mail we send at most; this is what ends mail loops."),
    Section(name="backup", meaning="A copy of everything once a day; what backups hold, journal and spool may forget."),
    Section(name="log", meaning="What the gateway tells of itself, on standard error."),
)

_ROWS: tuple[tuple[str, str, Kind, Any, str, Any], ...] = (
    ("mailwicket", "state", kind.PATH, "./mailwicket-state",
     "Directory of everything we keep; a relative path starts at this file.", "/var/lib/mailwicket"),
    ("mailwicket", "host", kind.DOMAIN, REQUIRED,
     "Domain of our Message-IDs and our name in SMTP.", "desk.acme.example"),
    ("mailwicket", "key", kind.KEY, "MW", "Prefix of ticket keys: ABC gives [ABC-123].", "ABC"),
    ("mailwicket", "reply_domain", kind.DOMAIN, None,
     "Domain of reply and bounce addresses; all of its mail must be handed to us. Required, unless every queue has a [[mailbox]].",
     "reply.acme.example"),
    ("mailwicket", "lists", kind.ADDRESSES, [],
     "Mailing lists that write their own address into From: the writer is taken from X-Original-From or Reply-To, unproven.",
     ["users@lists.acme.example"]),
    ("mailwicket", "reply_to_token", kind.FLAG, False,
     "Give customers a personal Reply-To address too; answers to it thread without a sender check.", True),
    ("mailwicket", "control", kind.ADDRESSES, None,
     "Addresses where agents send many commands in one mail; control@ of host and of reply_domain if absent.",
     ["control@acme.example"]),
    ("mailwicket", "digest", kind.CLOCK, "off",
     "When agents get a mail of their tickets, numbered to be answered; each may have another time.", "07:30"),
    ("mailwicket", "zone", kind.ZONE, "UTC", "Time zone in which reports count days.", "Europe/Berlin"),
    ("mailwicket", "memory_limit", kind.MEMORY, "512MB", "Memory of the database.", "1GB"),
    ("mailwicket", "workers", kind.WORKERS, 2, "Processes that parse mail.", 4),
    ("listen", "smtp", kind.DOOR, "127.0.0.1:2525", "SMTP door.", "0.0.0.0:25"),
    ("listen", "lmtp", kind.DOOR_OR_PATH, "127.0.0.1:2424", "LMTP door, TCP or a unix socket.",
     "/run/mailwicket/lmtp"),
    ("listen", "submission", kind.DOOR, "off",
     "Agents' own door: they log in here, and that is the strongest proof of who writes. TLS from the first octet.",
     "0.0.0.0:465"),
    ("listen", "submission_starttls", kind.DOOR, "off", "The same for mail programs that begin with STARTTLS.",
     "0.0.0.0:587"),
    ("listen", "users_file", kind.PATH, None,
     "File of mode 0600 with the agents' passwords, hashed; `mailwicket password LOGIN` writes it.",
     "/etc/mailwicket/users"),
    ("listen", "tls_certificate", kind.PATH, None, "Certificate chain for TLS, PEM.",
     "/etc/mailwicket/fullchain.pem"),
    ("listen", "tls_key", kind.PATH, None, "Its private key, PEM.", "/etc/mailwicket/privkey.pem"),
    ("listen", "max_size", kind.SIZE, "25MiB", "Largest mail we take (SMTP SIZE).", "50MiB"),
    ("listen", "porters", kind.WORKERS, 2, "Processes that hold the doors open.", 4),
    ("listen", "drop", kind.PATH, None, "Maildir or folder of .eml files that is emptied into the desk.",
     "/var/spool/mailwicket-drop"),
    ("send", "smarthost", kind.ENDPOINT, None, "Server that takes our outgoing mail.",
     "smtp.acme.example:587"),
    ("send", "tls", kind.one_of("starttls", "implicit", "none"), "starttls",
     "How the way to the smarthost is protected.", "implicit"),
    ("send", "cafile", kind.PATH, None,
     "Certificate authorities (PEM) that the smarthost's certificate is checked against; without it, the system's.",
     "/etc/ssl/certs/acme-ca.pem"),
    ("send", "username", kind.TEXT, None, "Login at the smarthost.", "desk@acme.example"),
    ("send", "password_file", kind.PATH, None, "File of mode 0600 with the password in its first line.",
     "/etc/mailwicket/smtp-password"),
    ("send", "maildir", kind.PATH, None,
     "Write outgoing mail here instead of sending it; without a smarthost it is STATE/outgoing.",
     "/var/lib/mailwicket/outgoing"),
    ("mailbox", "name", kind.NAME, REQUIRED, "Name, for logs and reasons.", "support-box"),
    ("mailbox", "queue", kind.NAME, REQUIRED, "The queue whose first address is this mailbox.", "support"),
    ("mailbox", "imap", kind.ENDPOINT, REQUIRED, "The provider's IMAP server.", "imap.acme.example:993"),
    ("mailbox", "imap_tls", kind.one_of("implicit", "none"), "implicit",
     "How the way there is protected; none only on this machine.", "none"),
    ("mailbox", "smtp", kind.ENDPOINT, REQUIRED, "The provider's submission server: the queue's mail leaves there.",
     "smtp.acme.example:587"),
    ("mailbox", "smtp_tls", kind.one_of("starttls", "implicit"), "starttls", "How the way there is protected.",
     "implicit"),
    ("mailbox", "cafile", kind.PATH, None,
     "Certificate authorities (PEM) for both servers; without it, the system's.", "/etc/ssl/certs/acme-ca.pem"),
    ("mailbox", "username", kind.TEXT, None, "Login at both; the queue's first address if absent.",
     "support@acme.example"),
    ("mailbox", "password_file", kind.PATH, None, "File of mode 0600 with the password in its first line.",
     "/etc/mailwicket/support-password"),
    ("mailbox", "oauth_token_url", kind.TEXT, None, "Token endpoint for XOAUTH2, instead of a password.",
     "https://login.acme.example/oauth2/token"),
    ("mailbox", "oauth_client_id", kind.TEXT, None, "Our id at that endpoint.", "mailwicket"),
    ("mailbox", "oauth_client_secret_file", kind.PATH, None, "File of mode 0600 with the client's secret, if it has one.",
     "/etc/mailwicket/client-secret"),
    ("mailbox", "oauth_refresh_token_file", kind.PATH, None,
     "File of mode 0600 with the first refresh token; later ones are kept in the state directory.",
     "/etc/mailwicket/refresh-token"),
    ("mailbox", "oauth_scope", kind.TEXT, None, "Scope to ask for.", "https://mail.acme.example/"),
    ("mailbox", "folder", kind.TEXT, "INBOX", "Folder that mail comes to.", "Support"),
    ("mailbox", "sent_folder", kind.TEXT, None,
     "Folder of sent mail, to be watched: answers that people send straight from the mailbox join their tickets.", "Sent"),
    ("mailbox", "move_to", kind.TEXT, None, "Folder that mail is moved to once it is safe here.", "Processed"),
    ("mailbox", "start", kind.one_of("new", "all"), "new",
     "What of the mail that lies there at the first contact becomes tickets.", "all"),
    ("mailbox", "poll_seconds", kind.COUNT, 300, "Look at least that often, whatever the server pushes.", 60),
    ("mailbox", "subaddressing", kind.FLAG, False,
     "Mail to support+anything@ arrives in this mailbox, too; replies then find their ticket by address.", True),
    ("mailbox", "authenticates", kind.DOMAINS, [],
     "From domains the provider lets only their logged-in users send from. Agents' commands need this.",
     ["acme.example"]),
    ("mailbox", "agent", kind.LOGIN, None, "Who it is that writes straight from this mailbox; the desk if absent.", "anna"),
    ("relay", "name", kind.NAME, REQUIRED, "Name, for logs and reasons.", "mx"),
    ("relay", "networks", kind.NETWORKS, REQUIRED,
     'Addresses the relay connects from; "unix" is whoever may open our unix socket.', ["192.0.2.7/32"]),
    ("relay", "authenticates", kind.DOMAINS, [],
     "From domains the relay lets only their logged-in users send from. Agents' commands need this.",
     ["acme.example"]),
    ("relay", "authserv_id", kind.DOMAIN, None,
     "Name in the Authentication-Results that this relay writes on top of each mail: a DMARC pass there proves From.",
     "mx.acme.example"),
    ("dns", "check", kind.one_of("auto", "on", "off"), "auto",
     "Look at SPF, DKIM and DMARC ourselves, of mail that strangers hand to the SMTP door; auto: if that is no loopback door.",
     "on"),
    ("dns", "seconds", kind.COUNT, 5, "Longest wait for all answers about one mail; without them nothing is proven.", 3),
    ("queue", "name", kind.NAME, REQUIRED, "Name, for commands and reports.", "support"),
    ("queue", "address", kind.ADDRESSES, REQUIRED, "Addresses of the queue; we write from the first.",
     ["support@acme.example", "help@acme.example"]),
    ("queue", "from_name", kind.TEXT, None, "Name in From; the capitalised queue name if absent.",
     "Acme Support"),
    ("queue", "agents", kind.LOGINS, None,
     "Who is told of unassigned tickets; all but light agents if absent.", ["anna", "bert"]),
    ("queue", "language", kind.LANGUAGE, "en", "Language of automatic mail to customers.", "de"),
    ("queue", "acknowledge", kind.FLAG, True, "Acknowledge new tickets.", False),
    ("agent", "login", kind.LOGIN, REQUIRED, "Name in commands: #assign anna.", "anna"),
    ("agent", "name", kind.TEXT, None, "Name customers see; the capitalised login if absent.",
     "Anna Ahlberg"),
    ("agent", "address", kind.ADDRESSES, REQUIRED, "The agent's own addresses; we write to the first.",
     ["anna@acme.example"]),
    ("agent", "role", kind.one_of("light", "agent", "lead", "admin"), "agent",
     "light: notes only; admin: sees every queue and may change agents, teams and organisations.", "lead"),
    ("agent", "queues", kind.QUEUE_ROLES, None,
     "Queues the agent sees, with another role there if need be; all of them if absent.", ["support", "billing=light"]),
    ("agent", "language", kind.LANGUAGE, "en", "Language of notifications to this agent.", "de"),
    ("agent", "digest", kind.CLOCK, None, "When this agent gets the digest; as the desk has it if absent.", "08:15"),
    ("agent", "zone", kind.ZONE, None, "Time zone of that; the desk's if absent.", "America/New_York"),
    ("team", "name", kind.NAME, REQUIRED, "Name, for commands.", "hardware"),
    ("team", "members", kind.LOGINS, REQUIRED, "Their logins.", ["anna", "bert"]),
    ("organisation", "name", kind.TEXT, REQUIRED, "Name, for lists and reports.", "Customer Ltd"),
    ("organisation", "domains", kind.DOMAINS, REQUIRED,
     "Domains of its people's addresses; never those of a mail provider of everybody.", ["cust.example"]),
    ("organisation", "shared", kind.FLAG, False,
     "Its people may add to each other's tickets, if a relay or mailbox vouches for their From.", True),
    ("rule", "name", kind.NAME, REQUIRED, "Name; acts appear as rule:NAME.", "invoices"),
    ("rule", "when", kind.SQL, REQUIRED, "One SQL expression over the relation mail.",
     "queue = 'support' and subject ilike '%invoice%'"),
    ("rule", "then", kind.COMMANDS, [], "Command lines, as in a mail.", ["#priority high"]),
    ("rule", "stop", kind.FLAG, False, "Skip the rules below on a hit.", True),
    ("rule", "enabled", kind.FLAG, True, "false switches the rule off.", False),
    ("field", "name", kind.WORD, REQUIRED, "Its name, in commands too: #site Berlin.", "site"),
    ("field", "type", kind.one_of("text", "number", "date", "choice"), "text", "What its values are.", "choice"),
    ("field", "choices", kind.TEXTS, [], "The values of a choice.", ["Berlin", "Graz"]),
    ("field", "aliases", kind.WORDS, [], "Other names for it.", ["standort"]),
    ("macro", "name", kind.WORD, REQUIRED, "Its name: #macro reset.", "reset"),
    ("macro", "text", kind.LETTER, "",
     "What is answered below the agent's own words. {customer}, {agent} and {ticket} in it are filled.",
     "Dear {customer}, your password is reset."),
    ("macro", "then", kind.COMMANDS, [], "Command lines that go with it; the agent's own win.", ["#solved"]),
    *(("budgets", key, kind.COUNT, (now := getattr(Budgets(), key)), meaning, now) for key, meaning in (
        ("acks_per_address_hour", "Acknowledgements to one address in an hour."),
        ("acks_per_address_day", "Acknowledgements to one address in a day."),
        ("acks_per_domain_hour", "Acknowledgements to one domain in an hour."),
        ("automatic_per_ticket_hour", "Automatic mails on one ticket in an hour."),
        ("automatic_per_ticket_day", "Automatic mails on one ticket in a day."),
        ("tickets_per_address_hour", "New tickets one address may open in an hour; more join the last."),
    )),
    ("backup", "directory", kind.PATH, None, "Where backups lie; STATE/backup if absent. Another disk is better.",
     "/mnt/backup/mailwicket"),
    ("backup", "at", kind.HOUR, "03:30", "When one is made, every day, by the clock of zone; a missed one is made up.",
     "01:15"),
    ("backup", "keep", kind.COUNT, 7, "How many are kept, 2 at least.", 14),
    ("backup", "verify", kind.FLAG, True,
     "Read each one whole. Without this journal and spool/done grow for ever, since nothing else proves a backup.", False),
    ("log", "format", kind.one_of("console", "json"), "console", "Lines for people or for machines.", "json"),
    ("log", "level", kind.one_of("debug", "info", "warning", "error"), "info", "Least level that is told.",
     "debug"),
)

SETTINGS = tuple(
    Setting(section=s, key=k, kind=t, default=d, meaning=m, example=e) for s, k, t, d, m, e in _ROWS
)


def of_section(name: str) -> tuple[Setting, ...]:
    return tuple(s for s in SETTINGS if s.section == name)


def toml_value(value: Any) -> str:
    """A value of the table as TOML; JSON's strings, numbers, booleans and lists are TOML too."""
    return json.dumps(value, ensure_ascii=False)


def settings_table() -> str:
    """All settings as a Markdown table, for the README; a test compares it."""
    lines = ["| setting | type | default | meaning | example |", "|---|---|---|---|---|"]
    headers = {s.name: s.header for s in SECTIONS}
    for s in SETTINGS:
        default = {REQUIRED: "required", "None": ""}.get(str(s.default), f"`{toml_value(s.default)}`")
        name, example = f"`{headers[s.section]}` `{s.key}`", f"`{toml_value(s.example)}`"
        cells = (name, s.kind.words, default, s.meaning, example)
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines) + "\n"
