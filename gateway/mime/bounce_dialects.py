"""How mail servers say in plain words that a mail did not arrive: the tables of mime/bounce_text.py.

A dialect is known by its opening phrases. They are compared in lower case with every run of blanks as one,
near the top of the text and outside of quotations, and are long enough that nobody begins a letter
with them. Where recipients and reasons stand is common to nearly all dialects; the exceptions are flags.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Dialect:
    """``waits`` says that the mail is only late; ``bare`` that recipients may stand without their domain;
    ``loose`` that shops, parcel services and people on leave write such words too."""

    name: str
    openings: tuple[str, ...]
    waits: bool = False
    bare: bool = False
    loose: bool = False


# Late before lost, since the first match counts and some servers begin both in the same words.
DIALECTS: Final[tuple[Dialect, ...]] = (
    Dialect("Exim", (
        "has not yet been delivered to all", "has not yet been delivered to one or more", "has not yet been delivered because",
        "address to which the message has not yet been delivered", "addresses to which the message has not yet been delivered",
        "message has not yet been delivered to the following", "a message that you sent has not yet been delivered",
    ), waits=True),
    Dialect("delay", (
        "this is a warning message only", "this is a warning only", "you do not need to resend your message",
        "recipient has been delayed", "recipients has been delayed", "recipients have been delayed", "delivery is delayed to",
        "delivery to these recipients or distribution lists is delayed",
        "could not be delivered for the last",
        "there was a temporary problem delivering your message", "this is just a warning",
        "could not be delivered for more than", "still trying to deliver your message", "delivery attempts will continue",
        "addresses had transient non-fatal errors", "the queue will keep attempting", "will be retried for",
        "temporary non-fatal errors",
        "the delivery of the following message has been delayed", "still being attempted",
        "attempts to deliver the message will continue", "this is an informative message sent by",
        "has not been delivered yet to", "not been delivered to the following recipients yet",
        "we will continue to try to deliver",
    ), waits=True),
    Dialect("qmail", (
        "this is the qmail-send program", "hi. this is the ", "this is the deliver program at", "this is the mail delivery agent at",
        "i'm afraid i wasn't able to deliver your message", "i wasn't able to deliver your message",
        "i was not able to deliver your message", "i was unable to deliver your message",
        "unfortunately, we were not able to deliver your message to the following address",
        "your mail message to the following address(es) could not be delivered", "this is the machine generated message from mail service",
        "sorry, unable to deliver your message to",
        "su mensaje no pudo ser entregado",
        "your message could not be delivered. <", "permanent error; i've given up", "qmail-send program",
        "we are unable to deliver the message from", "message could not be delivered to mobile",
        "i'm sorry to have to inform you that the message returned", "邮件无法发送到您指定的地址中",
    )),
    Dialect("Postfix", (
        "i'm sorry to have to inform you that your message could not", "i'm sorry to have to inform you that the message",
        "this is the postfix program at host", "this is the mail system at host", "postfix smtp server: errors from",
        "could not be delivered to one or more destinations", "could not be delivered to one or more recipients",
    )),
    Dialect("Exim", (
        "a message that you sent could not be delivered", "a message that you have sent could not be delivered",
        "a message that you sent was rejected", "a message that you sent contained", "a message that you sent using the",
        "this message was created automatically by mail delivery software", "this message was created automatically by the mail",
        "recipient addresses that were incorrectly constructed", "the following address(es) failed", "the following addresses failed",
        "the following address failed", "ваше письмо не может быть доставлено",
        "сообщение создано автоматически сервером mail.ru", "the following message, addressed to",
        "this is an automated message created by mail delivery software", "was created automatically by mail delivery",
    )),
    Dialect("sendmail", (
        "transcript of session follows", "had permanent fatal errors", "had permanent delivery errors", "had delivery errors",
        "had delivery problems", "had fatal errors", "unsent message follows", "the original message was received at",
        "addresses had permanent", "addresses had transient", "error detail (phquery", "message not delivered to the following",
        "----- transcript of session", "this warning message is issued", "returned message follows",
        "delivery to the following recipients was aborted", "following recipients did not receive",
    )),
    Dialect("Exchange", (
        "did not reach the following recipient", "did not reach some or all of the intended recipients",
        "the following recipient(s) could not be reached", "the following recipient(s) cannot be reached",
        "delivery has failed to these recipients", "delivery to the following recipients failed",
        "delivery to the following recipients or distribution lists", "your message wasn't delivered to",
        "couldn't be delivered to the recipients",
        "diagnostic information for administrators", "the message could not be delivered to",
        "the e-mail account does not exist at the organization", "your message did not reach", "error type: smtp",
        "the following organization rejected your message", "the following recipients could not be reached",
        "fehler bei der nachrichtenzustellung", "ihre nachricht hat einige oder alle",
        "folgende(r) empfänger konnte", "die folgenden empfänger",
        "échec de la remise", "votre message n'a pas pu", "la remise a échoué",
        "n'a pas pu être remis", "n'a pas pu etre", "le message n'a pas pu", "impossible de remettre", "destinataire(s) suivant",
        "no se pudo entregar", "error en la entrega", "el mensaje no se entregó", "no se ha podido entregar",
        "no ha podido ser entregado", "falha na entrega", "não foi possível entregar",
        "não pôde ser entregue", "nao pode ser enviada", "impossibile recapitare", "recapito non riuscito",
        "non è stato possibile recapitare", "non è stato recapitato", "kan niet worden bezorgd", "kon niet worden bezorgd",
        "niet worden afgeleverd", "bezorging is mislukt", "kunde inte levereras", "kunne ikke leveres", "kunne ikke leveret",
        "ei voitu toimittaa", "nie można dostarczyć", "nie może zostać dostarczona", "nie została dostarczona",
        "nelze doručit", "nebyla doručena", "nem sikerült kézbesíteni", "nu a putut fi livrat", "teslim edilemedi",
        "не удалось доставить", "не удается доставить",
        "送信できませんでした", "传递失败", "无法传递", "未能送达", "傳遞失敗", "배달하지 못했습니다", "전송하지 못했습니다",
        "l'adresse de messagerie référencée", "a message could not be delivered to",
    )),
    Dialect("Google", (
        "delivery to the following recipient failed", "technical details of permanent failure", "technical details of temporary failure",
        "google tried to deliver your message",
        "the group you tried to contact", "the response from the remote server was",
        "delivery status notification (failure)",
    )),
    Dialect("Yahoo", (
        "unable to deliver message to the following", "we were unable to deliver your message to the following",
        "sorry, we were unable to deliver your message", "this is an automatically generated message from yahoo",
        "your message to the following recipients could not be delivered", "unable to deliver your message to the following",
    )),
    Dialect("AOL", ("your mail to the following recipients could not be delivered",), bare=True),
    Dialect("Notes", (
        "------- failure reasons", "failure reasons --------", "was not delivered to:",
        "your message was not delivered to", "your message was not delivered",
    )),
    Dialect("GroupWise", (
        "the message that you sent was undeliverable to the following", "was undeliverable to the following",
        "this message was undeliverable due to the following reason", "recipient(s) status",
    )),
    Dialect("MDaemon", (
        "the attached message had permanent fatal delivery errors", "the attached message had permanent",
        "the following addresses did not receive a copy", "the attached message could not be delivered",
        "the following data may contain sections which represent bit",
    )),
    Dialect("IMail", (
        "invalid final delivery userid", "user mailbox exceeds allowed size",
        "delivery failed 20 attempts",
    )),
    Dialect("MailMarshal", (
        "could not be delivered because of", "the following recipients were affected",
        "your message was not delivered to", "the following mail could not be delivered", "unable to deliver message to",
        "message from interscan messaging security", "this is an email from mimecast", "mimecast rejected",
    )),
    Dialect("OpenSMTPD", (
        "this is the mailer-daemon, please do not reply", "an error has occurred while attempting to deliver",
        "a message is delayed for more than", "this is the dragonfly mail agent", "there was an error delivering your mail",
    )),
    Dialect("carriers", (
        "could not be delivered to: <", "as their mailbox is full", "each of the following recipients was rejected",
        "error: invalid user address", "no valid recipients for this mm", "the user(s) account is temporarily over quota",
        "the user(s) account is disabled", "次のあて先へのメッセージは", "メールサーバーとの通信中", "m-filter", "送信に失敗しました",
        "the following recipients did not receive this message", "the user's mailbox is full",
        "メールは送信できません", "エラーのため送信", "配信することができませんでした",
    )),
    Dialect("courier", (
        "this is a delivery status notification from", "the original message was received on",
        "delivery notification: delivery has failed", "your message cannot be delivered to the following",
        "this report relates to a message you sent", "this report relates to your message", "could not be delivered to the following",
        "an error occurred while trying to deliver the mail", "your message cannot be delivered", "unable to find user:",
        "your message could not be delivered",
        "the following message could not be delivered", "message could not be delivered to", "mail could not be delivered",
        "message log follows", "failed addresses follow", "no valid recipients were found for this message",
        "this is an automatically generated delivery status notification", "automatically generated delivery status",
        "the address to which your message was addressed",
        "which your message was addressed", "did not exactly match",
        "there is no user by that name",
        "mail delivery to the following", "we could not deliver your message",

    )),
    Dialect("other servers", (
        "list of failed recipients", "your message was automatically rejected by",
        "i am sending you this message to inform you on the delivery status", "list of the affected recipients",
        "we had trouble delivering your message", "your message could not be sent. ",
        "transcript of the attempts to send the message", "has been blocked by our spam firewall",
        "was blocked by our spam firewall", "could not be delivered as addressed", "is currently undeliverable",
        "unable to deliver message to the following", "receiver not found:", "recipient unknown:",
        "n'a pas été remis à", "wurde nicht zugestellt an", "non è stato consegnato a", "no se entregó a",
        "nie został dostarczony", "this is a bounce message", "your mail could not be delivered to",
        "returned to you because it could not be delivered", "could not be delivered because the following",
        "is being returned to you because", "message could not be delivered to the following",
        "mail was not delivered to the following", "was not delivered to the following",
        "failed to deliver to the following", "following addresses were not delivered",
        "could not deliver the message to the following", "wasn't delivered to anyone because",
        "there was an error delivering", "an error occurred while delivering",
        "cannot be delivered to the following",
    )),
    Dialect("list server", ("duplicated message-id in", )),
    Dialect("Amazon SNS", ('{"notificationtype":"bounce"', '"notificationtype" : "bounce"')),
    Dialect("delay", (
        "zustellung nicht abgeschlossen", "ein vorübergehendes problem", "problème temporaire", "problema temporal",
        "message delayed", "will retry for", "delivery incomplete", "will keep trying",
        "message delivery has been delayed", "delivery has been temporarily", "could not yet be delivered",
        "hasn't been delivered yet", "noch nicht zugestellt werden", "n'a pas encore été",
    ), waits=True, loose=True),
    Dialect("plain words", (
        "failed to deliver to", "was undeliverable", "have delivery notifications", "message could not be delivered",
        "was not able to be delivered", "not able to be delivered", "spam & virus firewall", "your email bounced",
        "message was created automatically by", "konnte nicht zugestellt", "bei der zustellung ihrer nachricht",
        "delivery failed", "was returned to you", "delivery of your message", "your message was blocked",
        "message blocked", "message rejected", "message too large", "address not found", "no such user here",
        "unknown host:", "mail to the following", "your document:", "couldn't be delivered",
        "rejected for the following reason", "he/her is not", "he/she is not", "check your send e-mail address",
        "check your send email address", "this email address is no longer valid", "this account is no longer",
        "the user you are trying to contact", "the email address you sent to", "is not accepting mail",
        "you have tried to send mail to", "message not delivered", "recipient inbox full",
        "the recipient's inbox is full", "the response was:", "was unable to be delivered",
        "your email was rejected", "the message you sent was blocked", "message was not accepted", "mailmarshal",
        "undeliverable message", "unknown user:", "undeliverable to ", "was not delivered because",
        "you are not a member", "loop alert", "message header follows", "message headers follow", "while talking to",
        "your message couldn't be delivered", "wasn't delivered to", "unable to process your message",
        "undeliverable mail", "message undeliverable", "has encountered a delivery problem",
        "encountered a delivery problem", "your message was not delivered", "unrouteable address",
        "konnte nicht zugestellt werden", "no pudo ser entregado", "não foi entregue", "не может быть доставлено",
        "не было доставлено", "无法投递", "投递失败", "配信できません", "配信に失敗", "下記の理由により", "宛先不明",
        "konnte nicht übermittelt werden", "die nachricht konnte nicht", "ihre nachricht wurde nicht",
        "your message to could", "this is the email-engine", "this is the machine generated",
        "sorry, i wasn't able to", "delivery failure report", "session transcript", "generating server:",
        "groups.google.com/support",
    ), loose=True),
)
SNS_COMPLAINT: Final = re.compile(r'\{\s{0,4}"notificationType"\s{0,4}:\s{0,4}"Complaint"')

# Below such a line stands the returned mail; it is compared without the rules and blanks around it.
RETURNED: Final = re.compile(
    r"(?:(?:(?:below|enclosed|attached|attachment|included|here|this|what follows|the following)\b[^,]{0,40}\bis )?(?:a |the )?(?:full |"
    r"partial )?(?:copy|headers?)\b.{0,80}(?:message|mail|headers?|body|line)\b.{0,40}"
    r"|(?:the )?(?:header|headers|text|body|copy|start|beginning|first part) of (?:the |your )?(?:original |returned |undelivered )?"
    r"(?:message|mail)\b.{0,60}"
    r"|(?:the |your )?(?:original|returned|unsent|undelivered|rejected|failed) (?:message|mail)(?: info| headers?| text| body)?"
    r"(?: as received)?(?: is| are| as)?(?: as)?(?: follow(?:s|ing)?| below| enclosed| attached)?"
    r"|message (?:text|headers?|body|content) (?:follows?|below|suppressed)(?:.{0,10})"
    r"|start of returned message|returned message (?:headers?|content)|mensaje original adjunto|ursprüngliche nachricht|"
    r"ниже этой линии.{0,60}|附件中的内容.{0,60}|original message as received.{0,30})",
    re.IGNORECASE,
)
# The first lines of a mail that stands there unannounced.
HEADER_BELOW: Final = re.compile(
    r"^>?[ \t]{0,8}(?:Return-Path|Received|DKIM-Signature|X-Received|Delivered-To|ARC-Seal|X-Originating-IP):[ \t]*\S",
    re.IGNORECASE | re.MULTILINE,
)
# An address in such a line belongs to the sender, the postmaster or the returned mail, never to a recipient.
NOT_A_RECIPIENT: Final = re.compile(
    r"contact|assist|question|support|postmaster@|mailer-daemon@|abuse@|help ?desk|mailto:|https?:|message-?id|\bfrom\b|return-path|"
    r"sender|reply-to|hello|\bdear |bonjour|\bhi |received|\bcc:|visit|please (?:send|forward|reply)|further|"
    r"reporting-mta|your (?:e-?mail )?address|on behalf|\bid:|様",
    re.IGNORECASE,
)
# Words right before an address that make it the recipient.
NAMED: Final = re.compile(
    r"(?:rcpt to ?:|original address:|recipient(?:s| address| name| e-?mail)?(?:\(s\))? ?[:=]|undeliverable +to|unknown user:|"
    r"delivery userid:|unknown host:|addressed to:?|(?:receiver|recipient|user|mailbox) (?:not found|unknown):|allowed size:|attempts:|delivered to(?: mobile)?:?|did not reach the following recipient(?:\(s\))?:|"
    r"deliver(?:ing)? (?:your |the )?(?:mail|message|e-?mail|it) to|was addressed,|unable to find user:|quota violation for|"
    r"local mailbox|dda:smtp=|rfc-822=|message to|mail to|failed for|user unknown:|no such user:?|user not found:|recipient rejected:|"
    r"\buser(?: [\w.]{1,40} \()?|expanded from:|not (?:be )?(?:able to )?deliver(?:ed)? to|[45]\d\d(?:[ -][45]\.\d{1,3}\.\d{1,3})?|rfc822;)"
    r"[ \t]{0,6}(?:mailto:)?[\"'<(\[]{0,3}$",
    re.IGNORECASE,
)
