"""What robots write into subjects and addresses: the word tables of core/classify.py.

``AWAY`` begins the subjects of absence notices in the languages that mail servers speak; it counts
only beside another sign, because people write "Out of office next week" too. ``STRICT_AWAY`` are the
prefixes that Exchange, Notes and GroupWise put before the subject they answer: with their colon,
nobody types them.
"""

from __future__ import annotations

import re
from typing import Final

STRICT_AWAY: Final = re.compile(
    r"(?:automatic reply|out of office autoreply|out of office reply|automatische antwort|abwesenheitsnotiz|"
    r"réponse automatique|"
    r"respuesta automática|resposta automática|risposta automatica|automatisch antwoord|"
    r"automatische reactie|autosvar|"
    r"automatisk svar|automatiskt svar|automaattinen vastaus|odpowiedź automatyczna|automatická odpověď|"
    r"automatická odpoveď|"
    r"automatikus válasz|răspuns automat|автоматический ответ|автоматична відповідь|автоматичен отговор|"
    r"αυτόματη απάντηση|"
    r"otomatik yanıt|automatski odgovor|samodejni odgovor|automaatvastus|automātiskā atbilde|"
    r"automatinis atsakymas|"
    r"自动答复|自動回覆|自動応答|자동 회신|תשובה אוטומטית|الرد التلقائي|ตอบกลับอัตโนมัติ|trả lời tự động|"
    r"balasan otomatis"
    r")\s*[:：]",
    re.IGNORECASE,
)
AWAY: Final = re.compile(
    r"(?:\[?auto(?:matic|mated)?[- ]?(?:reply|response)\]?|auto:|autoreply|"
    r"(?!.{0,40}\bre:)[^:]{1,80}? is out of the office|"
    r"out of (?:the )?office|"
    r"out-of-office|ooo\b|on vacation|on leave|"
    r"away from (?:my|the) (?:mail|e-mail|office|desk)|vacation|i am (?:away|out|on)|i'm (?:away|out|on)|"
    r"abwesenheit|abwesend|nicht im (?:büro|haus)|im urlaub|urlaub|ich bin (?:nicht|im|derzeit|zur zeit)|"
    r"automatische|"
    r"réponse automatique|absen(?:ce|t)|en congés?|message d.absence|"
    r"respuesta automática|fuera de (?:la )?oficina|ausen(?:cia|te)|de vacaciones|"
    r"resposta automática|fora do escritório|ausência|de férias|risposta automatica|fuori (?:sede|ufficio)|"
    r"assen(?:za|te)|in ferie|"
    r"automatisch|afwezig|niet aanwezig|op vakantie|buiten kantoor|autosvar|automatiskt? svar|frånvaro|"
    r"fravær|ikke til stede|"
    r"på semester|på ferie|automaattinen|poissa|lomalla|autoreply|odpowiedź automatyczna|nieobecn|"
    r"poza biurem|urlop|"
    r"automatická odpov|mimo kancelář|nepřítomn|neprítomn|dovolená|automatikus válasz|házon kívül|szabadság|"
    r"răspuns automat|"
    r"absen[țt]ă|în concediu|автоматический ответ|автоответ|нет на месте|в отпуске|автоматична відповідь|"
    r"у відпустці|"
    r"автоматичен отговор|отсъств|αυτόματη απάντηση|εκτός γραφείου|otomatik (?:yanıt|cevap)|ofis dışında|"
    r"izindeyim|"
    r"automatski odgovor|odsutan|samodejni odgovor|odsoten|automaatvastus|automātisk|automatinis|自动(?:答复|"
    r"回复)|自動(?:回覆|応答|返信)|"
    r"不在(?:通知|のお知らせ)|休暇|外出中|자동 ?(?:회신|응답)|부재중|תשובה אוטומטית|מחוץ למשרד|"
    r"الرد التلقائي|خارج المكتب|"
    r"ตอบกลับอัตโนมัติ|trả lời tự động|vắng mặt|balasan otomatis|di luar kantor)",
    re.IGNORECASE,
)
FAILURE: Final = re.compile(
    r"(?:\[?(?:failed mail|undeliver(?:able|ed)|mail delivery|delivery (?:status|failure|notification|"
    r"problem|"
    r"has failed|report|to the following)|"
    r"returned mail|failure notice|failure delivery|mail system error|message (?:delivery|could not|"
    r"not delivered|undeliverable)|"
    r"non[- ]?delivery|not delivered|warning: (?:message|could not)|unzustellbar|nicht zustellbar|zustellung|"
    r"(?:échec|non remis|non distribuable)|no se puede entregar|no entregado|mensagem não|não entregue|"
    r"mancato recapito|"
    r"niet te bezorgen|onbestelbaar|nie można dostarczyć|kan inte levereras|olevererbart|kunne ikke leveres|"
    r"недоставлен|"
    r"не удалось доставить|投递失败|退信|配信不能|配信に失敗|mail (?:could not|error|failure|failed)|mail system error|"
    r"delivery (?:incomplete|final failure)|returned to sender|loop alert|permanent delivery|non remis|rejected mail|"
    r"message (?:status - undeliverable|undelivered|delayed|you sent blocked|blocked)|unable to deliver|could not deliver|"
    r"delayed mail|warning: message|error sending|メールエラー|ваше сообщение не доставлено|邮件传输失败|系统退信|"
    r"email (?:delivery (?:failure|error)|could not)|undelivery|(?:mail|message) not delivered|"
    r"fehler bei der zustellung|nicht zugestellt|(?:falha|fallo) (?:na|en la) entrega|problema de entrega))",
    re.IGNORECASE,
)
# Somebody else's mail, handed on by a person.
FORWARDED: Final = re.compile(r"\s*(?:fwd?|wg|tr|rv|enc|i|doorst|vs|vb|pd|fs|转发|轉寄|転送)\s*[:：]", re.IGNORECASE)
DAEMON: Final = re.compile(
    r"(?:mailer[-_.]?daemon|mail[-_.]?daemon|mail\.delivery\.system|maildelivery|mdaemon|"
    r"mail[-_.]?delivery[-_.]?(?:sub)?system|microsoftexchange[0-9a-f]{32})",
    re.IGNORECASE,
)
# A local part, or a piece of it between separators.
NO_REPLY: Final = re.compile(
    r"(?:.*[-_.+])?(?:no[-_.]?reply|do[-_.]?not[-_.]?reply|noreplies|no[-_.]?responder|nicht[-_.]?antworten|"
    r"keine[-_.]?antwort|"
    r"ne[-_.]?pas[-_.]?repondre)(?:[-_.+0-9].*)?",
    re.IGNORECASE,
)
ROBOT: Final = re.compile(r"(?:postmaster|bounces?|auto[-_.]?(?:reply|responder|mailer|confirm)|daemon|root|"
    r"cron|nobody)", re.IGNORECASE)
# Exchange and Notes before they spoke RFC 8098: the subject's prefix and the sentence go together.
READ_PREFIX: Final = re.compile(
    r"(?:read|gelesen|lu|leído|letto|lida|lido|gelezen|läst|læst|lest|luettu|przeczytano|přečteno|прочитано|прочтено|開封済み|已读|已讀|읽음|"
    r"return receipt|lesebestätigung|empfangsbestätigung)\s*[:：]",
    re.IGNORECASE,
)
READ_WORDS: Final = re.compile(
    r"was read on|was displayed on|was received by|wurde (?:am .{1,40} )?(?:gelesen|angezeigt)|a été (?:lu|affiché)|(?:ha sido|fue) leído|"
    r"è stato letto|foi lida|is gelezen|lästes|blev læst|ble lest|została? (?:przeczytan|wyświetlon)|было прочитано|開封|已(?:被)?(?:阅读|讀取)|"
    r"no guarantee that the message has been read",
    re.IGNORECASE,
)
# Hotmail's feedback loop has a form of its own (its parts are those of a plain forward), and had others.
COMPLAINT: Final = re.compile(r"\s*(?:complaint about message from|e-?mail feedback report for ip|abuse report for ip) \[?\d{1,3}(?:\.\d{1,3}){3}", re.IGNORECASE)
# A filter that asks senders to sign in first dresses its question up as a failure.
CHALLENGE: Final = re.compile(r"not pre-approved|boxbe|spam ?arrest|challenge[- ]response|awaiting your confirmation", re.IGNORECASE)
