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
from functools import lru_cache
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
_LISTS: Final = re.compile(r"spamhaus|spamcop|barracudacentral", re.IGNORECASE)
# "I gave up": it says when, and hides why (RFC 3463 X.4.7).
WRAPPERS: Final = ("4.4.7", "5.4.7")


@dataclass(frozen=True, slots=True)
class Meaning:
    """One thing a server can mean. ``detail`` is subject.detail of RFC 3463.

    ``words`` are for text in lower case, and tried only if one of ``hints`` is in it: most rows cost nothing.
    """

    reason: str                 # the key of the templates, and words for a person
    detail: str
    hints: tuple[str, ...]
    words: re.Pattern[str]

    def found_in(self, plain: str) -> bool:
        return any(hint in plain for hint in self.hints) and self.words.search(plain) is not None


def _row(reason: str, detail: str, hints: str, *words: str) -> Meaning:
    return Meaning(reason, detail, tuple(hints.split()), re.compile("|".join(words)))


FULL: Final = "the mailbox is full"
NOBODY: Final = "the mailbox does not exist"
NO_DOMAIN: Final = "the domain of the address does not exist"
DISABLED: Final = "the mailbox is disabled"
TOO_LARGE: Final = "the mail is too large"
NOT_PROVEN: Final = "our mail could not be authenticated"
FAULT: Final = "the server of the recipient has a fault"
RULES: Final = "the server refuses it by its own rules"
TOO_MANY: Final = "too many mails from us in a short time"
UNREACHED: Final = "the server could not be reached"
TOO_LATE: Final = "the server could not be reached in time"
UNFIT: Final = "the mail itself is not acceptable there"
NAMELESS: Final = "our mail server has no proper name in the DNS"
UNSAID: Final = "the server gives no reason"
# The first row whose words are found counts: from the particular to the general.
MEANINGS: Final[tuple[Meaning, ...]] = (
    _row(FULL, "2.2",
         "full over quota exceed space storage too voll pleine lleno cheia piena 一杯",
         r"(?:mail ?box|mailfolder|inbox|account|message ?store|storage)[^.\n]{0,30}\b(?:is |was )?(?:full|over)\b|quota[^.\n]{0,30}exceed|"
         r"over ?quota|over (?:the |his |their |its )?(?:disk |storage |mail |maximum |allotted )?quota|quota (?:full|violation)|"
         r"exceed\w*[^.\n]{0,40}(?:\bquota|storage|disk|space|allowed size)|disk quota|not enough (?:storage )?space|"
         r"insufficient (?:disk )?(?:storage|quota|space in mail)|user has too many messages|too much mail data|"
         r"postfach (?:ist )?(?:voll|überfüllt)|boîte (?:aux lettres )?(?:est )?pleine|buz[oó]n (?:est[aá] )?lleno|"
         r"caixa (?:postal |de correio )?(?:est[aá] )?cheia|casella (?:è )?piena|一杯"),
    _row("the server of the recipient is full", "3.1",
         "storage space resources system queue",
         r"(?:insufficient|no|not enough) (?:system |disk )(?:storage|space|resources)|no space left|file ?system (?:is )?full|"
         r"queue file write error"),
    _row(TOO_LARGE, "3.4",
         "large big long exceed size gro",
         r"(?:message|mail|size|length|header)(?:(?!queue)[^.\n]){0,40}(?:too (?:large|big|long)|exceed\w*[^.\n]{0,30}(?:limit|size|maximum|"
         r"length))|(?:size|length) limit exceeded|exceed\w*[^.\n]{0,30}(?:message size|size limit|maximum size)|too large|"
         r"nachricht (?:ist )?zu gro[sß]"),
    _row(NAMELESS, "7.25",
         "reverse ptr rdns hostname resolve unverifiable",
         r"reverse (?:dns|lookup|hostname)|\bptr\b|\brdns\b|no (?:valid )?hostname|find your (?:reverse )?hostname|"
         r"ip (?:address )?(?:does not|doesn't|not) resolve|unverifiable sending ip"),
    _row(NOT_PROVEN, "7.26",
         "dmarc spf dkim sender domainkeys authenticat",
         r"\bdmarc\b|\bspf\b|\bdkim\b|sender policy framework|domainkeys|unauthenticated (?:email|mail|message|sender)|"
         r"authentication (?:check|information)"),
    _row(TOO_MANY, "7.28",
         "many limit throttl reached slow deferred rate volume quota",
         r"too many (?:messages|mails|emails|connections|concurrent|recipients|errors|sessions)|(?:rate|frequency)[ -]?limit|throttl|"
         r"(?:daily|hourly|sending|relay|message)[^.\n]{0,20}(?:limit|quota)[^.\n]{0,20}(?:exceed|reach)|reached your[^.\n]{0,30}quota|"
         r"slow down|temporarily deferred|(?:unusual|unexpected) (?:rate|volume)|high (?:rate|volume)|receiving mail at a rate"),
    _row("it was found to hold a virus or a forbidden file", "7.1",
         "virus infected malware trojan file attachment extension",
         r"\bvirus|infected|malware|\btrojan|(?:banned|forbidden|prohibited|blocked|disallowed) (?:file|attachment|extension)|"
         r"attachment[^.\n]{0,30}(?:not (?:allowed|permitted|accepted)|blocked)|with attachments"),
    _row("it was taken for spam", "7.1",
         "spam junk unsolicited uce ube bulk content filter banned offensive harmful dangerous 迷惑",
         r"spam(?!haus|cop)|\bjunk|unsolicited|\buce\b|\bube\b|\bbulk\b|content (?:was |is )?(?:reject|denied|filter)|"
         r"rejected by (?:the )?(?:content|filter)|(?:banned|offensive) (?:text|words|material)|"
         r"potentially (?:offensive|harmful|dangerous)|迷惑メール"),
    _row("our mail server is blocked there", "7.1",
         "list block rbl dnsbl spam sorbs proofpoint sender reputation banned denied connections access refuse barracuda",
         r"black ?list|block ?list|\brbl\b|dnsbl|spamhaus|spamcop|barracudacentral|\bsorbs\b|proofpoint|sender ?base|reputation|"
         r"(?:ip|host|server|client|address|sender|domain|network|connection)[^.\n]{0,40}(?:is |was |been |has been |are )(?:temporarily |"
         r"currently )?(?:blocked|banned|listed|denied)|blocked (?:for|by|using|due|ip)|banned sending|"
         r"not accepting connections|access denied\.{3}|service refused|service refuse\b"),
    _row("it was not allowed to be relayed", "7.1",
         "relay gateway rcpthosts authenticat smtp",
         r"relay(?:ing)? (?:access )?(?:is )?(?:denied|not|prohibited|through)|(?:unable|not (?:permitted|allowed|authorized|configured)) to "
         r"relay|relaying mail|(?:we do|does) not relay|not (?:a|our) (?:valid )?(?:relay|gateway user)|"
         r"rcpthosts|smtp authentication|authentication (?:is )?required|please authenticate|use the smtp server of your"),
    _row("the mailbox has moved", "1.6",
         "moved address",
         r"(?:has|have) moved|moved to|new (?:e-?mail )?address is|address has changed"),
    _row(DISABLED, "2.1",
         "disabled suspended locked deactivated inactive discontinued closed terminated expired frozen active hold",
         r"(?:account|mailbox|user|address|recipient|e-?mail)(?:(?!rejected)[^.\n]){0,40}\b(?:disabled|suspended|locked|deactivated|inactive|"
         r"discontinued|closed|terminated|expired|frozen|not active|on hold)|(?:disabled|inactive|suspended|closed|deactivated) "
         r"(?:user|account|mailbox|recipient)|rejected: (?:on hold|.{0,40}(?:disabled|locked|suspended))"),
    _row(NO_DOMAIN, "1.2",
         "host domain server name dns mx mail no exist",
         r"(?:host|domain|mail ?server)(?: name)?[^.\n]{0,60}(?:unknown|not found|does(?: not|n't) exist|no such|cannot be found|lookup fail)|"
         r"unknown (?:host|domain)|unrouteable (?:mail )?domain|no such (?:host|domain)|bad destination (?:system|domain|host)|"
         r"name or service not known|couldn'?t find any host|dns (?:lookup )?(?:failure|error)|\b[\w-]{1,63}\.[a-z]{2,10} does not exist|"
         r"\bno (?:mx|mail exchanger|a) |null mx|find a mail exchanger|all relevant mx records|nameserver error|"
         r"names? service error|illegal host"),
    _row("the sender address was refused", "1.8",
         "sender from verif like name approved",
         r"sender (?:address |domain )?(?:rejected|refused|denied|unknown|invalid|not)|(?:invalid|bad|unknown) sender|"
         r"domain of sender|from:? (?:address|domain)[^.\n]{0,30}(?:invalid|reject|refus)|sender was rejected|"
         r"sender verify failed|not pre-approved|does not like (?:sender|your)|address is not verified|my name was rejected"),
    _row(FAULT, "3.0", "error command program",
         r"(?:system|internal|server|configuration|mailer|local) error|command (?:output|died)|program fail"),
    _row(NOBODY, "1.1",
         "user recipient mailbox address account customer name id person part subscriber group it unknown no exist invalid illegal bad wrong not istnieje 見つか unbekannt existiert inconnu existe desconocid desconhecid inexistente esiste sconosciut 存在",
         r"(?:user|recipient|mailbox|address|account|addressee|customer|alias|name|\bid|userid|person|local ?part|subscriber|group|\bit)"
         r"[^.\n]{0,70}(?:unknown|not found|(?:does|do|did|may)(?: not|n't) exist|not exist|no such|invalid|not (?:an? )?(?:valid|known|listed|"
         r"recognized|recognised|available|registered|here|active|local)|unavailable|undeliverable|illegal|matches|doesn'?t have)",
         r"(?:unknown|no such|invalid|illegal|nonexistent|non-existent|\bbad|unrouteable|undeliverable|not a valid|not known|no valid|"
         r"unidentified|wrong)[^.\n]{0,20}(?:user|recipient|mailbox|address|account|person|local|alias|name|e-?mail|delivery userid|"
         r"destination|final)",
         r"no mailbox|(?:mailbox|account|user)[^.\n]{0,20}by that name|not (?:listed|found) in|doesn'?t have an? |not our customer|"
         r"no longer (?:available|valid|exists|active|in use|works|accept|on|at|with)|does not like recipient|not our user|"
         r"(?:recipient|user|mailbox)(?: address)? rejected|nie istnieje|見つかりません|"
         r"unbekannt|existiert nicht|n'existe pas|inconnue?\b|no existe|desconocid|não existe|inexistente|desconhecid|non esiste|"
         r"sconosciut|存在しない|見つからない"),
    _row("the address is malformed", "1.3", "malformed syntax bad constructed formed 無効",
         r"malformed|syntax|bad address|(?:incorrectly|badly) (?:constructed|formed)|無効"),
    _row("the mail goes round in a loop", "4.6", "loop hop received duplicated",
         r"\bloop|too many hops|hop count|maximum hop|too many received|duplicated message-id"),
    _row(TOO_LATE, "4.7",
         "time expired long retr not giving delay deferred deliver",
         r"timed? ?out|time-?out|expired?\b|too long|retry (?:time|limit)|retries|not (?:been )?(?:collected|delivered) (?:after|within)|"
         r"giving up|will be retried|still being retried|delayed|deferred|delivery time|unable to deliver in"),
    _row(UNREACHED, "4.1",
         "connect establish reach contact respond network answer socket greeting tls handshake route accept",
         r"connection (?:to|was|is|has|refused|reset|lost|dropped|failed|closed)|(?:could|can|was|un|did)\w*(?: not|n't)? ?(?:able to )?"
         r"(?:connect|establish|reach|contact|accept our)|not respond|network|unreachable|no answer|socket error|lost connection|greeting|"
         r"\btls\b|handshake|no route to host"),
    _row(UNFIT, "6.0",
         "header mime encoding line format rfc bit message",
         r"(?:header|mime|encoding|line|format|rfc ?\d{3,4}|8-?bit|message)[^.\n]{0,40}(?:invalid|error|illegal|not (?:supported|"
         r"compliant)|malformed|missing|bare)"),
    _row(RULES, "7.1",
         "polic prohibited not denied rejected refused restricted blocked forbidden violation declined disallowed filtered",
         r"polic|prohibited|not (?:permitted|allowed|authori[sz]ed|accept)|denied|rejected|refused|restricted|blocked|forbidden|"
         r"violation|declined|disallowed|filtered"),
    _row(FAULT, "3.0",
         "configuration service temporar unexpected fault again ldap database resources load",
         r"configuration|service (?:currently |temporarily )?(?:un|not )available|temporar|unexpected|fault|try again|ldap|database|"
         r"resources|could not load"),
)
# Codes that mean one thing, whatever words stand beside them …
_CERTAIN: Final = {"2.2": FULL, "1.2": NO_DOMAIN, "3.4": TOO_LARGE, "2.3": TOO_LARGE, "7.25": NAMELESS, "7.26": NOT_PROVEN}
# … and those that count where no words do: sendmail makes many of them out of the reply code alone.
_OTHERWISE: Final = {
    "1.1": NOBODY, "1.0": NOBODY, "1.10": NOBODY, "1.351": NOBODY, "1.3": "the address is malformed", "1.6": "the mailbox has moved",
    "1.7": "the sender address was refused", "1.8": "the sender address was refused", "2.1": DISABLED, "7.13": DISABLED,
    "3.0": FAULT, "3.1": "the server of the recipient is full", "3.2": FAULT, "3.5": FAULT, "4.1": UNREACHED, "4.2": UNREACHED,
    "4.3": UNREACHED, "4.4": NO_DOMAIN, "4.5": TOO_MANY, "4.6": "the mail goes round in a loop", "4.7": TOO_LATE, "5.3": TOO_MANY,
    "6.0": UNFIT, "6.1": UNFIT, "6.2": UNFIT, "6.3": UNFIT, "6.5": UNFIT, "6.7": UNFIT, "7.0": RULES, "7.1": RULES, "7.9": RULES,
    "7.20": NOT_PROVEN, "7.23": NOT_PROVEN, "7.28": TOO_MANY, "7.509": NOT_PROVEN,
}
REASONS: Final = (*dict.fromkeys(meaning.reason for meaning in MEANINGS), UNSAID)


def explicit(words: str) -> str:
    """The status that is written in ``words``, '' if there is none. Beside a reply code it counts most."""
    words = words[:READ]
    found = [each[2] for each in _REPLY_STATUS.finditer(words)]
    found += [each[1] for each in _STATUS.finditer(words)]
    plain = [each for each in found if not each.startswith("2")]
    inner = [each for each in plain if each not in WRAPPERS]
    return next(iter(inner or plain), "")


def beside_reply(words: str) -> str:
    """The status behind the SMTP reply code with which ``words`` begin, '' if they begin otherwise."""
    found = _REPLY_STATUS.match(words.lstrip())
    return found[2] if found and found[1][0] == found[2][0] and found[2] not in WRAPPERS else ""


def reply_code(words: str) -> str:
    """The SMTP reply code of a failure in ``words``, or ''."""
    return next((each[1] for each in _REPLY.finditer(words[:READ]) if each[1][0] != "2"), "")


@lru_cache(maxsize=32)      # a status, a reason and a diagnostic are asked of the same words one after another
def meaning(words: str) -> Meaning | None:
    """What the words mean, None if none of them is known."""
    text = plain(words)
    return next((each for each in MEANINGS if each.found_in(text)), None)


def reason_of(status: str, words: str) -> str:
    """Why a mail did not arrive, in the words of ``REASONS``; ``UNSAID`` if nothing tells."""
    _, _, detail = status.partition(".")
    if detail in _CERTAIN:
        return _CERTAIN[detail]
    found = meaning(words)
    return found.reason if found is not None else _OTHERWISE.get(detail, UNSAID)


def derived(words: str, *, lasting: bool) -> str:
    """A status for words without one: the class by the reply code (RFC 5321 §4.2.1), else by ``lasting``;
    subject and detail by what the words mean, 0.0 if that is unknown."""
    code = reply_code(words)
    found = meaning(words)
    kind = code[:1] or ("5" if lasting else "4")
    if not code and found is not None and found.reason in (TOO_LATE, UNREACHED):
        kind = "4"              # RFC 3463 §3.5: what could not be reached today may be reached tomorrow
    return f"{kind}.{found.detail if found is not None else '0.0'}"


def plain(words: str) -> str:
    """In lower case, on one line, and without the addresses and links whose parts look like words."""
    return " ".join(
        "it" if "@" in word or ("://" in word and not _LISTS.search(word)) else word for word in words[:READ].casefold().split())


def generic(status: str) -> bool:
    """X.0.0 says no more than that it failed."""
    return status in ("", "4.0.0", "5.0.0")
