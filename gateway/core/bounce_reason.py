"""What a mail server meant: the status code in its words (RFC 3463), and the reason in ours.

Servers of forty years say the same dozen things in a hundred ways, and half of them give a code that
says less than their words ("5.0.0 … 550 5.1.1 user unknown"). So the code that stands beside the SMTP
reply counts most, and the words decide only where no code says anything.

Limits: words are English, German, French, Spanish, Portuguese, Italian and Japanese; in any other
language the code alone speaks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

READ: Final = 2_000     # characters of one diagnostic in which anything is looked for
# RFC 3463 §2. No part of an IP address, a version or a date: nothing numeric may touch it.
_STATUS: Final = re.compile(r"(?<![\w.\-/])#?([245]\.\d{1,3}\.\d{1,3})(?!\d|\.\d|[-/]\d)")
# RFC 2034 §4: it stands behind the reply code. qmail and Exchange put a mark between the two.
_REPLY_STATUS: Final = re.compile(r"(?<![\w.])([245]\d\d)[ \t\-:'\"#(\[]{1,4}([245]\.\d{1,3}\.\d{1,3})(?!\d|\.\d)")
# Nor a port, a size or a piece of an id: a reply code begins a line, or follows the word that announces one.
_REPLY: Final = re.compile(
    r"(?:^|[:;>(\[\"'<]|\bsaid|\breply|\bcode|\berror|\bsmtp|\breason)[ \t:>]{0,4}([245]\d\d)(?=[ \-:,;)\]'\"]|$)",
    re.IGNORECASE | re.MULTILINE,
)
# "I gave up": it says when, and hides why (RFC 3463 X.4.7).
_WRAPPERS: Final = ("4.4.7", "5.4.7")


@dataclass(frozen=True, slots=True)
class Meaning:
    """One thing a server can mean. ``detail`` is subject.detail of RFC 3463; ``codes`` also mean it."""

    reason: str                 # the key of the templates, and words for a person
    detail: str
    codes: tuple[str, ...]
    words: re.Pattern[str]


def _row(reason: str, detail: str, codes: str, *words: str) -> Meaning:
    return Meaning(reason, detail, (detail, *codes.split()), re.compile("|".join(words), re.IGNORECASE))


# The first row whose words are found counts: from the particular to the general.
MEANINGS: Final[tuple[Meaning, ...]] = (
    _row("the mailbox is full", "2.2", "",
         r"(?:mail ?box|mailfolder|inbox|account|storage|message ?store)[^.\n]{0,30}\b(?:is |was )?(?:full|over)\b",
         r"over ?quota|over (?:the |his |their |its )?(?:disk |storage |mail |maximum |allotted )?quota|quota (?:is )?(?:exceeded|"
         r"full|violation)|exceed\w*[^.\n]{0,40}(?:quota|storage)|quota[^.\n]{0,30}exceed|disk quota|not enough (?:storage )?space|"
         r"insufficient (?:disk )?(?:storage|quota|space in mail)|user has too many messages|too much mail data|"
         r"postfach (?:ist )?(?:voll|überfüllt)|boîte (?:aux lettres )?(?:est )?pleine|buz[oó]n (?:est[aá] )?lleno|"
         r"caixa (?:postal |de correio )?(?:est[aá] )?cheia|casella (?:è )?piena|一杯"),
    _row("the server of the recipient is full", "3.1", "",
         r"(?:insufficient|no|not enough) (?:system |disk )(?:storage|space|resources)|no space left|file ?system (?:is )?full|"
         r"insufficient system resources|queue file write error"),
    _row("the mail is too large", "3.4", "2.3",
         r"(?:message|mail|size|length|header)[^.\n]{0,40}(?:too (?:large|big|long)|exceed\w*[^.\n]{0,30}(?:limit|size|maximum|"
         r"length))|(?:size|length) limit exceeded|exceed\w*[^.\n]{0,30}(?:message size|size limit|maximum size)|too large|"
         r"nachricht (?:ist )?zu gro[sß]"),
    _row("our mail could not be authenticated", "7.26", "7.20 7.21 7.22 7.23 7.24 7.29 7.30 7.509 7.515",
         r"\bdmarc\b|\bspf\b|\bdkim\b|sender policy framework|domainkeys|unauthenticated (?:email|mail|message|sender)|"
         r"authentication check"),
    _row("our mail server has no proper name in the DNS", "7.25", "",
         r"reverse (?:dns|lookup|hostname)|\bptr\b|\brdns\b|no (?:valid )?hostname|find your (?:reverse )?hostname|"
         r"ip (?:address )?(?:does not|doesn't|not) resolve|unverifiable sending ip"),
    _row("it was found to hold a virus or a forbidden file", "7.0", "",
         r"\bvirus|infected|malware|\btrojan|(?:banned|forbidden|prohibited|blocked|disallowed) (?:file|attachment|content|"
         r"extension)|attachment[^.\n]{0,30}(?:not (?:allowed|permitted|accepted)|blocked)|with attachments"),
    _row("too many mails from us in a short time", "7.28", "5.3 4.5 3.2",
         r"too many (?:messages|mails|emails|connections|concurrent|recipients|errors|sessions)|rate[ -]?limit|throttl|"
         r"(?:daily|hourly|sending|relay|message)[^.\n]{0,20}(?:limit|quota)[^.\n]{0,20}(?:exceed|reach)|reached your[^.\n]{0,30}quota|"
         r"slow down|temporarily deferred|unusual (?:rate|volume)|high (?:rate|volume)|speeding"),
    _row("it was taken for spam", "7.1", "7.350 7.351",
         r"\bspam|\bjunk|unsolicited|\buce\b|\bube\b|\bbulk\b(?! mailbox)|content (?:was |is )?(?:rejected|denied|filter)|"
         r"rejected by (?:the )?(?:content|filter)|(?:banned|offensive) (?:text|words|material)|"
         r"potentially (?:offensive|harmful|dangerous)|迷惑メール"),
    _row("our mail server is blocked there", "7.1", "7.606 7.511",
         r"black ?list|block ?list|\brbl\b|dnsbl|spamhaus|spamcop|barracuda(?:central)?|\bsorbs\b|proofpoint|sender ?base|reputation|"
         r"(?:ip|host|server|client|address|sender|domain|network|connection)[^.\n]{0,40}(?:is |was |been |has been |are )(?:temporarily |"
         r"currently )?(?:blocked|banned|blacklisted|listed|denied)|blocked (?:for|by|using|due)|banned sending|"
         r"not accepting connections|access denied\.{3}|service (?:refused|refuse\b)|bad (?:sender|ip)"),
    _row("it was not allowed to be relayed", "7.1", "",
         r"relay(?:ing)? (?:access )?(?:is )?(?:denied|not|prohibited|through)|(?:unable|not (?:permitted|allowed|authorized|configured)) to "
         r"relay|relaying mail|(?:we do|does) not relay|not (?:a|our) (?:valid )?(?:relay|gateway user)|"
         r"rcpthosts|smtp authentication|authentication (?:is )?required|please authenticate|must (?:authenticate|issue a starttls)"),
    _row("the mailbox has moved", "1.6", "",
         r"(?:has|have) moved|moved to|no longer (?:at|with) (?:this|us)|new (?:e-?mail )?address is|address has changed"),
    _row("the mailbox is disabled", "2.1", "7.13",
         r"(?:account|mailbox|user|address|recipient|e-?mail)[^.\n]{0,40}(?:is |has been |was |been |temporarily |currently )*(?:disabled|"
         r"suspended|locked|deactivated|inactive|discontinued|closed|terminated|expired|frozen|not active|on hold)|(?:disabled|inactive|"
         r"suspended|closed) (?:user|account|mailbox|recipient)"),
    _row("the domain of the address does not exist", "1.2", "4.4 1.10",
         r"(?:host|domain|mail ?server)(?: name)?[^.\n]{0,60}(?:unknown|not found|does(?: not|n't) exist|no such|cannot be found|lookup fail)|"
         r"unknown (?:host|domain)|unrouteable (?:mail )?domain|no such (?:host|domain)|bad destination (?:system|domain|host)|"
         r"host or domain name not found|name or service not known|couldn'?t find any host|dns (?:lookup )?(?:failure|error)|"
         r"\bno (?:mx|mail exchanger|a) |null mx|find a mail exchanger|all relevant mx records|nameserver error|"
         r"names? service error|no route to host|illegal host"),
    _row("the sender address was refused", "1.8", "1.7",
         r"sender (?:address |domain )?(?:rejected|refused|denied|unknown|invalid|not)|(?:invalid|bad|unknown) sender|"
         r"domain of sender|from:? (?:address|domain)[^.\n]{0,30}(?:invalid|reject|refus)|sender was rejected|"
         r"your (?:e-?mail |mail )?address|sender verify failed|not pre-approved|does not like (?:sender|your)"),
    _row("the mailbox does not exist", "1.1", "1.0 1.351 1.9 1.10",
         r"(?:user|recipient|mailbox|address|account|addressee|customer|alias|name|id|userid|person|local ?part|subscriber)[^.\n]{0,70}"
         r"(?:unknown|not found|(?:does|do|did)(?: not|n't) exist|not exist|no such|invalid|not (?:a )?(?:valid|known|listed|recognized|"
         r"recognised|available|registered|here|active|local)|unavailable|undeliverable|rejected|illegal|matches|doesn'?t have)",
         r"(?:unknown|no such|invalid|illegal|nonexistent|non-existent|bad|unrouteable|undeliverable|not a valid|not known|no valid|"
         r"unidentified|wrong)[^.\n]{0,20}(?:user|recipient|mailbox|address|account|person|local|alias|name|e-?mail|delivery userid|destination|"
         r"final)",
         r"no mailbox|(?:mailbox|account|user)[^.\n]{0,20}by that name|not (?:listed|found) in|doesn'?t have an? |not our customer|"
         r"no longer (?:available|valid|exists|active|in use|works|accept)|does not like recipient|invalid address|not our user|"
         r"unbekannt|existiert nicht|n'existe pas|inconnue?\b|no existe|desconocid|não existe|inexistente|desconhecid|non esiste|"
         r"sconosciut|存在しない|見つからない|ありません"),
    _row("the address is malformed", "1.3", "", r"malformed|syntax|bad address|(?:incorrectly|badly) (?:constructed|formed)|無効"),
    _row("the mail goes round in a loop", "4.6", "", r"\bloop|too many hops|hop count|maximum hop|too many received"),
    _row("the server could not be reached in time", "4.7", "",
         r"timed? ?out|time-?out|expired?\b|too long|retry (?:time|limit)|retries|not (?:been )?(?:collected|delivered) (?:after|within)|"
         r"giving up|will be retried|still being retried|delayed|deferred|delivery time|unable to deliver in|queue"),
    _row("the server could not be reached", "4.1", "4.2 4.3 4.0 4.4",
         r"connection (?:to|was|is|has|refused|reset|lost|dropped|failed|closed)|(?:could|can|was|un)\w*(?: not|n't)? ?(?:able to )?"
         r"(?:connect|establish|reach|contact)|not respond|network|unreachable|no answer|socket error|lost connection|greeting|"
         r"tls|handshake|ssl"),
    _row("the mail itself is not acceptable there", "6.0", "6.1 6.2 6.3 6.5 6.7 6.9",
         r"(?:header|mime|encoding|line|format|rfc ?\d{3,4}|8-?bit|message)[^.\n]{0,40}(?:invalid|error|illegal|not (?:allowed|supported|"
         r"compliant)|malformed|missing|bare)"),
    _row("the server refuses it by its own rules", "7.1", "7.0 7.9 2.0 4.1",
         r"polic|prohibited|not (?:permitted|allowed|authori[sz]ed|accept)|denied|rejected|refused|restricted|blocked|forbidden|"
         r"violation|declined|disallowed"),
    _row("the server of the recipient has a fault", "3.0", "3.5 3.2 5.0 5.1 5.2 5.4",
         r"system error|internal error|server error|configuration|program|mailer error|local error|service unavailable|"
         r"(?:temporary|temporarily)|software|unexpected|fault|command (?:output|died)|exit|try again|ldap|database|resources"),
)
UNSAID: Final = "the server gives no reason"
REASONS: Final = (*(meaning.reason for meaning in MEANINGS), UNSAID)


def explicit(words: str) -> str:
    """The status that is written in ``words``, '' if there is none. Beside a reply code it counts most."""
    words = words[:READ]
    found = [each[2] for each in _REPLY_STATUS.finditer(words)]
    found += [each[1] for each in _STATUS.finditer(words)]
    plain = [each for each in found if not each.startswith("2")]
    inner = [each for each in plain if each not in _WRAPPERS]
    return next(iter(inner or plain), "")


def beside_reply(words: str) -> str:
    """The status behind the SMTP reply code with which ``words`` begin, '' if they begin otherwise."""
    found = _REPLY_STATUS.match(words.lstrip())
    return found[2] if found and found[1][0] == found[2][0] else ""


def reply_code(words: str) -> str:
    """The SMTP reply code of a failure in ``words``, or ''."""
    return next((each[1] for each in _REPLY.finditer(words[:READ]) if each[1][0] != "2"), "")


def meaning(status: str, words: str) -> Meaning | None:
    """What was meant: by a code that means one thing only, else by the words, else by any code."""
    _, _, detail = status.partition(".")
    said = next((each for each in MEANINGS if each.words.search(words[:READ])), None)
    coded = next((each for each in MEANINGS if detail in each.codes), None)
    certain = coded is not None and detail == coded.detail and detail not in ("7.1", "7.0", "3.0", "4.7", "6.0")
    return coded if certain else said or coded


def reason_of(status: str, words: str) -> str:
    """Why a mail did not arrive, in the words of ``REASONS``; ``UNSAID`` if nothing tells."""
    found = meaning(status, words)
    return found.reason if found is not None else UNSAID


def derived(words: str, *, lasting: bool) -> str:
    """A status for words without one: the class by the reply code (RFC 5321 §4.2.1), else by ``lasting``;
    subject and detail by what the words mean, 0.0 if that is unknown."""
    code = reply_code(words)
    found = meaning("", words)
    kind = code[:1] or ("5" if lasting else "4")
    if not code and found is not None and found.detail in ("4.7", "4.1"):
        kind = "4"              # RFC 3463 §3.5: what could not be reached today may be reached tomorrow
    return f"{kind}.{found.detail if found is not None else '0.0'}"


def generic(status: str) -> bool:
    """X.0.0 says no more than that it failed."""
    return status in ("", "4.0.0", "5.0.0")
