"""The command table: every word that is a command, who may write it, and what it means. One row a command.

The reader (core/command.py), the help mail, the README's table and the table-driven tests come from it.
Acts stand in core/act.py by the row's name. To add a command, add a row here, a reader of its value
in core/command.py, and an act; a vendor thread (``#vendor``) gets its rows that way.

Levels are those of core/identity.py. ``level`` is what an agent needs, ``customer`` what a customer
needs; None: the word is plain text in a customer's mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from gateway.core.model import Level

Who = Literal["light", "agent", "lead", "admin"]

@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """A command. ``means`` is set on short forms: the canonical name and the value they stand for.

    ``keys`` are "Key: value" forms; ``key=prefix`` puts the prefix before the value (a sign: before each item).
    """

    name: str
    aliases: tuple[str, ...] = ()
    syntax: str
    who: Who = "agent"
    level: Level = 3                # decision 10; 4 is the login, or level 3 and a confirmation (core/held.py)
    customer: Level | None = None
    by_rule: bool = True
    help: str
    help_de: str
    means: tuple[str, str] | None = None
    keys: tuple[str, ...] = ()


COMMANDS: Final[tuple[CommandRow, ...]] = (
    CommandRow(name="open", aliases=("reopen", "offen", "öffnen"), syntax="#open", means=("status", "open"), customer=2,
               help="we owe the next step", help_de="wir sind am Zug"),
    CommandRow(name="pending", aliases=("wartend", "warten"), syntax="#pending [until WHEN]", means=("status", "pending"),
               help="the customer owes the next step, until then at most",
               help_de="der Kunde ist am Zug, höchstens bis dahin"),
    CommandRow(name="hold", aliases=("on_hold", "on-hold", "onhold", "angehalten"), syntax="#hold",
               means=("status", "on_hold"), help="somebody else owes the next step",
               help_de="jemand Drittes ist am Zug"),
    CommandRow(name="solved", aliases=("solve", "resolved", "resolve", "gelöst", "geloest", "erledigt"),
               syntax="#solved", means=("status", "solved"), help="done", help_de="erledigt"),
    CommandRow(name="closed", aliases=("close", "geschlossen", "schließen"), syntax="#closed", customer=2,
               means=("status", "closed"), help="done for good", help_de="endgültig erledigt"),
    CommandRow(name="status", syntax="#status open|pending|hold|solved|closed", keys=("status",),
               help="set the status", help_de="Status setzen"),
    CommandRow(name="take", aliases=("mine", "nehmen"), syntax="#take", means=("assign", "me"), by_rule=False,
               help="assign it to yourself", help_de="selbst übernehmen"),
    CommandRow(name="release", aliases=("unassign", "freigeben"), syntax="#release", means=("assign", "none"),
               help="assign it to nobody", help_de="niemandem zuweisen"),
    CommandRow(name="assign", aliases=("assignee", "owner", "zuweisen", "zuständig"),
               syntax="#assign LOGIN|ADDRESS|me|none|@TEAM", keys=("owner", "assignee", "zuständig", "bearbeiter"),
               help="assign it", help_de="zuweisen"),
    CommandRow(name="group", aliases=("queue", "team", "gruppe"), syntax="#group QUEUE", keys=("queue", "gruppe"),
               help="move it to another queue", help_de="in eine andere Queue verschieben"),
    CommandRow(name="urgent", aliases=("dringend",), syntax="#urgent", means=("priority", "urgent"), customer=2,
               help="priority urgent", help_de="Priorität dringend"),
    CommandRow(name="priority", aliases=("prio", "priorität"), syntax="#priority low|normal|high|urgent",
               keys=("priority", "priorität"), help="set the priority; 1 is low, 4 is urgent",
               help_de="Priorität setzen; 1 ist niedrig, 4 ist dringend"),
    CommandRow(name="incident", aliases=("störung",), syntax="#incident", means=("type", "incident"),
               help="type incident", help_de="Art Störung"),
    CommandRow(name="type", aliases=("art",), syntax="#type question|incident|problem|change|request|bug",
               keys=("type", "cf.{type}"), help="what kind of ticket it is", help_de="die Art des Tickets"),
    CommandRow(name="tag", aliases=("tags", "schlagwort", "schlagworte"), syntax="#tag +this, -that",
               keys=("tags", "schlagworte", "addtags=+", "deltags=-"), help="add and remove tags; =a, b sets them all",
               help_de="Schlagworte setzen und entfernen; =a, b ersetzt alle"),
    CommandRow(name="note", aliases=("internal", "private", "notiz", "intern"), syntax="#note [TEXT]", by_rule=False,
               who="light", keys=("note", "notiz"), help="the message is internal", help_de="die Nachricht ist intern"),
    CommandRow(name="public", aliases=("reply", "öffentlich", "antwort"), syntax="#public [TEXT]",
               by_rule=False, help="the message goes to the customer",
               help_de="die Nachricht geht an den Kunden"),
    CommandRow(name="vendor", aliases=("lieferant", "dritter"), syntax="#vendor ADDRESS [TEXT]", by_rule=False,
               help="the message goes to this third party only; what comes back is internal",
               help_de="die Nachricht geht nur an diesen Dritten; was zurückkommt, bleibt intern"),
    CommandRow(name="macro", aliases=("textbaustein", "baustein"), syntax="#macro NAME", by_rule=False,
               help="answer with a prepared text", help_de="mit einem Textbaustein antworten"),
    CommandRow(name="requester", aliases=("requestor", "kunde", "melder"), syntax="#requester ADDRESS", level=4,
               by_rule=False, keys=("requester", "requestor", "kunde"), help="it is this customer's ticket",
               help_de="es ist das Ticket dieses Kunden"),
    CommandRow(name="fwd", aliases=("forwarded", "weitergeleitet"), syntax="#fwd", level=4, by_rule=False,
               help="it is the ticket of whoever wrote the forwarded mail",
               help_de="es ist das Ticket dessen, der die weitergeleitete Mail schrieb"),
    CommandRow(name="cc", aliases=("kopie",), syntax="#cc +ADDRESS, -ADDRESS", by_rule=False, customer=1,
               keys=("addcc=+", "delcc=-"), help="put people on the ticket and take them off",
               help_de="Personen am Ticket beteiligen und nicht mehr beteiligen"),
    CommandRow(name="merge", aliases=("zusammenführen",), syntax="#merge ABC-123", by_rule=False, level=4,
               help="this ticket becomes part of that one, for ever",
               help_de="dieses Ticket geht für immer in jenem auf"),
    CommandRow(name="split", aliases=("abtrennen",), syntax="#split [SUBJECT]", by_rule=False, level=4,
               help="the mail you answer, and what you write, become a new ticket",
               help_de="die beantwortete Mail und Ihre Antwort werden ein neues Ticket"),
    CommandRow(name="link", aliases=("verknüpfen",), syntax="#link [blocks|duplicates|parent …] ABC-123", by_rule=False,
               keys=("dependson=blocked_by", "dependedonby=blocks", "memberof=child", "members=parent",
                     "refersto=relates", "referredtoby=relates"),
               help="tie it to another ticket", help_de="mit einem anderen Ticket verknüpfen"),
    CommandRow(name="unlink", aliases=("lösen",), syntax="#unlink ABC-123", by_rule=False,
               help="untie it from another ticket", help_de="Verknüpfung lösen"),
    CommandRow(name="due", aliases=("fällig", "frist"), syntax="#due WHEN|none", keys=("due", "fällig"),
               help="when it must be done: +2d, +4h, +2bd, fri, tomorrow 9:00, 2026-12-24",
               help_de="bis wann es fertig sein muss: +2d, +4h, +2bd, fr, morgen 9:00, 24.12."),
    CommandRow(name="spent", aliases=("time", "zeit", "aufwand"), syntax="#spent 30m", by_rule=False,
               keys=("timeworked", "aufwand"), help="add working time; -30m takes some back",
               help_de="Arbeitszeit dazuzählen; -30m nimmt welche zurück"),
    CommandRow(name="estimate", aliases=("schätzung",), syntax="#estimate 2h", keys=("timeestimated", "schätzung"),
               help="how long it will take; +30m adds", help_de="wie lange es dauern wird; +30m zählt dazu"),
    CommandRow(name="field", aliases=("feld",), syntax="#field NAME=VALUE", keys=("field", "feld"),
               help="set a field of your own; #NAME VALUE does as well",
               help_de="ein eigenes Feld setzen; auch #NAME WERT"),
    CommandRow(name="revive", aliases=("reaktivieren",), syntax="#revive ADDRESS", by_rule=False,
               help="write to this address again, though mail to it came back",
               help_de="dieser Adresse wieder schreiben, obwohl Mail von dort zurückkam"),
    CommandRow(name="spam", syntax="#spam", by_rule=False, help="it never was a ticket",
               help_de="das war nie ein Ticket"),
    CommandRow(name="restore", aliases=("wiederherstellen",), syntax="#restore", by_rule=False,
               help="it was no spam after all", help_de="es war doch kein Spam"),
    CommandRow(name="drop", aliases=("verwerfen",), syntax="#drop", who="light", by_rule=False,
               help="forget the held mail", help_de="die angehaltene Mail verwerfen"),
    CommandRow(name="send", aliases=("senden",), syntax="#send", who="light", by_rule=False,
               help="send the held mail after all", help_de="die angehaltene Mail doch senden"),
    CommandRow(name="undo", aliases=("zurücknehmen", "rückgängig"), syntax="#undo [TRANSACTION]", by_rule=False,
               help="take back what the last commands did; sent mail stays sent",
               help_de="die letzten Befehle zurücknehmen; gesendete Mail bleibt gesendet"),
    CommandRow(name="dryrun", aliases=("probe",), syntax="#dryrun", who="light", by_rule=False,
               help="only tell what this mail would do", help_de="nur sagen, was diese Mail täte"),
    CommandRow(name="receipt", aliases=("quittung",), syntax="#receipt", who="light", by_rule=False,
               help="tell what this mail did", help_de="sagen, was diese Mail getan hat"),
    CommandRow(name="show", aliases=("zeigen",), syntax="#show [ABC-123]", who="light", by_rule=False,
               help="the ticket with all its messages", help_de="das Ticket mit allen Nachrichten"),
    CommandRow(name="search", aliases=("suche", "suchen"), syntax="#search WORDS", who="light", by_rule=False,
               help="tickets by words of subject, requester, tags; status:open queue:support assignee:me narrow it",
               help_de="Tickets nach Worten in Betreff, Kunde, Schlagworten; status:open queue:support assignee:me grenzt ein"),
    CommandRow(name="why", aliases=("warum",), syntax="#why", who="light", by_rule=False,     # reads history: L3
               help="what was decided on this ticket, and why", help_de="was hier warum entschieden wurde"),
    CommandRow(name="unsubscribe", aliases=("abmelden",), syntax="#unsubscribe", who="light", by_rule=False, customer=2,
               help="customers: no more automatic mail", help_de="Kunden: keine automatischen Mails mehr"),
    CommandRow(name="help", aliases=("hilfe",), syntax="#help", who="light", level=1, by_rule=False, customer=2,
               help="this list", help_de="diese Liste"),
)

STATUSES: Final[dict[str, tuple[str, ...]]] = {
    row.means[1]: (row.name, *row.aliases) for row in COMMANDS if row.means and row.means[0] == "status"
}
PRIORITIES: Final[dict[str, tuple[str, ...]]] = {
    "low": ("1", "niedrig"), "normal": ("2", "mittel"), "high": ("3", "hoch"), "urgent": ("4", "dringend"),
}
TYPES: Final[dict[str, tuple[str, ...]]] = {
    "question": ("frage",), "incident": ("störung", "vorfall"), "problem": (), "change": ("änderung",),
    "request": ("anfrage", "wunsch", "service request"), "bug": ("fehler",), "none": ("keine", "-"),
}
# Each relation and what it is seen from the other ticket.
OTHER_SIDE: Final[dict[str, str]] = {
    "relates": "relates", "blocks": "blocked_by", "blocked_by": "blocks", "duplicates": "duplicated_by",
    "duplicated_by": "duplicates", "parent": "child", "child": "parent",
}
RELATIONS: Final[dict[str, tuple[str, ...]]] = {
    "relates": ("relates to", "see", "siehe", "betrifft"),
    "blocks": ("blockiert",),
    "blocked_by": ("blocked by", "depends on", "blockiert von", "hängt ab von"),
    "duplicates": ("duplicate of", "dublette von"),
    "duplicated_by": ("duplicated by",),
    "parent": ("parent of", "übergeordnet"),
    "child": ("child of", "part of", "teil von", "untergeordnet"),
}
REPEATED: Final = ("tag", "revive", "cc", "link", "unlink", "spent")     # several of these add up
TEXTUAL: Final = ("note", "public")     # their value is the first line of the message
# Commands of one sort contradict each other.
SORTS: Final[dict[str, str]] = {
    "vendor": "audience",
    "note": "audience", "public": "audience", "spam": "status", "restore": "status", "fwd": "requester",
}


def help_lines(language: str, *, customer: bool = False) -> list[str]:
    """The table for a person, one line a command, in German if ``language`` says so, else in English."""
    german = language.partition("-")[0].casefold() == "de"
    if customer:
        words = CUSTOMER_HELP["de" if german else "en"]
        return [f"{syntax:<24} {said}" for syntax, said in words]
    return [f"{row.syntax:<42} {row.help_de if german else row.help}" for row in COMMANDS]


# What customers are told; a test keeps it equal to the rows with a customer's level.
CUSTOMER_HELP: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "en": (
        ("#open", "it is not solved yet"), ("#closed", "it is solved, thank you"),
        ("#urgent REASON", "it is urgent, and why"), ("#cc +ADDRESS", "this person gets the answers, too"),
        ("#unsubscribe", "no more automatic mail"), ("#help", "this list"),
    ),
    "de": (
        ("#offen", "es ist noch nicht gelöst"), ("#geschlossen", "es ist gelöst, danke"),
        ("#dringend GRUND", "es ist dringend, und warum"), ("#kopie +ADRESSE", "diese Person bekommt die Antworten auch"),
        ("#abmelden", "keine automatischen Mails mehr"), ("#hilfe", "diese Liste"),
    ),
}
