"""How mail clients announce quoted text, in the languages they speak: the tables of core/quote.py.

To teach a language, add its words to each table. Every pattern is matched against one short
piece of text (a line, or a header of up to four lines), anchored at its beginning.
"""

from __future__ import annotations

import re
from typing import Final

# "On Tue, Anna <a@b> wrote:" begins with one of these …
HEADER_STARTS: Final = re.compile(
    r"(?:on|am|le|el|op|il|em|den|dne|dnia|w dniu|på|tor|ons|man|tir|fre|lør|søn|în|vào|pada|el día|dana|a|"
    r"za|u|בתאריך|ב|в|у|on behalf of)\b", re.IGNORECASE
)
# … has one of these verbs near its end …
HEADER_VERBS: Final = re.compile(
    r"\b(?:wrote|writes|schrieb(?:en)?|geschrieben|a écrit|escribió|escreveu|skrev|schreef|heeft geschreven|"
    r"geschreven|"
    r"ha scritto|scrive|napisał(?:\(a\)|a)?|pisze|napsala?|napísala?|kirjoitti|írta|ezt írta|a scris|"
    r"đã viết|menulis|"
    r"je napisa[ol]|yazdı|έγραψε|пише[тш]?|писал(?:а|\(а\))?|написала?|написав|כתב(?:ה)?|كتب)\b|写道|寫道|"
    r"写到|"
    r"のメール|書きました|작성",
    re.IGNORECASE,
)
# … and ends so.
HEADER_END: Final = re.compile(r"[:：][*_\s]{0,8}$")
# Others write no verb: "2025-11-24 16:32 GMT+01:00 Anna <a@b>:"
BARE_HEADER: Final = re.compile(
    r"[*_\s]*(?:\w+[,.]? )?\d[^<>]{5,160}<\s*(?:mailto:)?[^<>\s]+@[^<>\s]+\s*>\s*[:：]\s*", re.IGNORECASE
)
# What makes it more than a sentence that ends with a colon.
HEADER_PROOF: Final = re.compile(r"[@<]|\d{1,2}[:.h]\d\d|\d{4}|"
    r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}", re.IGNORECASE)

# "-----Original Message-----"
SEPARATOR: Final = re.compile(
    r"[>\s]*(?:[-_=*]{2,}\s*)?(?:"
    r"original message|original[- ]nachricht|ursprüngliche (?:nachricht|mail|e-mail)|message d.origine|"
    r"message original|"
    r"mensaje original|mensagem original|messaggio originale|oorspronkelijk bericht|"
    r"original(?:t)? meddelande|"
    r"ursprungligt meddelande|oprindelig meddelelse|opprinnelig melding|(?:oryginalna wiadomość|"
    r"wiadomość oryginalna)|"
    r"alkuperäinen viesti|původní zpráva|eredeti üzenet|mesaj original|исходное сообщение|"
    r"пересылаемое сообщение|"
    r"原始邮件|原始郵件|元のメッセージ|원본 메시지|reply message|reply to message|"
    r"forwarded message|weitergeleitete nachricht|message transféré|mensaje reenviado|messaggio inoltrato|"
    r"doorgestuurd bericht|vidarebefordrat (?:meddelande|mejl)|mensagem encaminhada|wiadomość przekazana"
    r")\s*:?\s*[-_=*]{2,}\s*$",
    re.IGNORECASE,
)
FORWARD: Final = re.compile(
    r"[>\s]*(?:begin forwarded message|anfang der weitergeleiteten (?:nachricht|e-mail)|"
    r"début du message (?:réexpédié|transféré)|"
    r"inicio del mensaje reenviado|inizio messaggio inoltrato|begin doorgestuurd bericht|"
    r"vidarebefordrat brev|"
    r"videresendt besked|início da mensagem (?:reenviada|encaminhada)|"
    r"początek przekazywanej wiadomości)\s*:?\s*$",
    re.IGNORECASE,
)
# Three of these in a row make a block; the first is the sender's line, or the date's.
_FROM = (r"from|von|de|da|van|od|från|fra|lähettäjä|felad[óo]|от(?: кого)?|від|expéditeur|kimden|发件人|寄件者|"
    r"差出人|보낸 사람|מאת")
_REST = (
    r"sent|date|to|cc|subject|reply-to|gesendet|datum|an|kopie|betreff|antwort an|envoyé(?: le)?|"
    r"date d.envoi|à|objet|enviado(?: el| em)?|"
    r"enviada(?: em)?|fecha|data|para|asunto|assunto|inviato|a|per|oggetto|verzonden|aan|onderwerp|wysłano|"
    r"wysłane|do|dw|temat|"
    r"skickat|skickades|till|kopia|ämne|sendt|til|kopi|emne|lähetetty|päiväys|vastaanottaja|kopio|aihe|"
    r"odesláno|komu|předmět|"
    r"отправлено|дата|кому|копия|тема|надіслано|发送时间|收件人|抄送|主题|日期|送信日時|宛先|件名|"
    r"보낸 날짜|받는 사람|제목|"
    r"to address|importance|priority|attachments|anlagen"
)
FIELD_FIRST: Final = re.compile(rf"[>\s]*[*_]*\s*(?:{_FROM}|date|datum|sent|data|"
    rf"fecha)\s*[*_]*\s*[:：][*_]*(?:\s|$)", re.IGNORECASE)
FIELD: Final = re.compile(rf"[>\s]*[*_]*\s*(?:{_FROM}|{_REST})\s*[*_]*\s*[:：][*_]*(?:\s|$)", re.IGNORECASE)
RULE: Final = re.compile(r"[>\s]*[-_=*─—]{5,}\s*$")

# What phones and web mailers put under a mail. A line of its own, at most so long.
MOST_MOBILE: Final = 100
MOBILE: Final = re.compile(
    r"[*_(\s]*(?:sent (?:from|via|with|using) (?:my|the|an?|mail|outlook|yahoo|proton|gmail|samsung|mobile|"
    r"iphone|ipad|android|zoho|"
    r"windows|blackberry|front|superhuman|spark|airmail)\b(?:[\s(<\[][^,;!?]{0,70})?|get outlook for .{1,60}|"
    r"(?:diese nachricht wurde )?(?:von|mit) (?:meinem|meiner|dem|der) .{1,60} (?:gesendet|verschickt|"
    r"geschrieben)|"
    r"gesendet (?:mit|von|über|aus) .{1,60}|von .{1,40} gesendet|holen sie sich outlook .{1,40}|"
    r"outlook für .{1,20} beziehen|"
    r"(?:envoyé|envoyée) (?:de|depuis|à partir d|avec) ?.{1,60}|télécharger outlook .{1,40}|"
    r"obtenez outlook .{1,40}|"
    r"enviado (?:desde|do|de|a partir d[oe]|com|con) .{1,60}|obtener outlook .{1,40}|obter o outlook .{1,40}|"
    r"inviato d(?:a|al|all).{1,60}|scarica outlook .{1,40}|(?:verzonden|verstuurd) (?:vanaf|met|van|"
    r"via) .{1,60}|"
    r"outlook voor .{1,20} downloaden|wysłan[eoy] z .{1,60}|pobierz outlook.{1,40}|skickat från .{1,60}|"
    r"hämta outlook .{1,40}|"
    r"sendt fra .{1,60}|hent outlook .{1,40}|lähetetty .{1,60}|hanki outlook .{1,40}|odesláno z .{1,60}|"
    r"отправлено (?:из|с) .{1,60}|"
    r"надіслано з .{1,60}|trimis de pe .{1,60}|iphone 'den gönderildi|.{1,20}から送信|.{0,20}发自我的.{1,40}|"
    r"나의 .{1,30}에서 보냄)"
    r"[\s.)*_>\]]*$",
    re.IGNORECASE,
)
LIST_RULE: Final = re.compile(r"_{20,}")
SIGNATURE: Final = re.compile(r"\s{0,3}(?:--|—|––|"
    r"__)\s*$")     # RFC 3676 §4.3 has "-- ", clients trim the blank
