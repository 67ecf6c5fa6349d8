"""How mail programs announce quoted and forwarded text, in the languages they speak: tables of core/quote.py.

To teach a language, add its words to each table. Every pattern is matched against one short
piece of text (a line, or a header of a few lines), anchored at its beginning.
"""

from __future__ import annotations

import re
from typing import Final

# --- "On Tue, Anna <a@b> wrote:" ---------------------------------------------------------------

# It begins with one of these …
HEADER_STARTS: Final = re.compile(
    r"(?:on|in message|am|von|le|el|op|il|em|den|dne|dňa|dnia|w dniu|w|på|în|la|vào|pada|tanggal|el día|dana|a|za|u|dia|data|ob|"
    r"tor|ons|man|tir|fre|lør|søn|mån|tis|lör|sön|ma|ti|ke|to|pe|su|on behalf of|κατά|στις|на|в|у|од|"
    r"בתאריך|ב|في|بتاريخ|در|ni|mnamo|la data de|tarihinde)\b|在|於|于", re.IGNORECASE
)
# … has one of these verbs near its end …
HEADER_VERBS: Final = re.compile(
    r"\b(?:wrote|writes|schrieb(?:en)?|geschrieben|a (?:é|e\u0301)crit|escribió|ha escrito|escreveu|skrev|"
    r"har skrevet|"
    r"schreef|heeft geschreven|geschreven|ha scritto|scrive|ha inviato|napisał(?:\(a\)|a)?|pisze|"
    r"napsal(?:a|\(a\))?|napísal(?:a|\(a\))?|kirjoitti|skrifaði|kirjutas|rakstīja|rašė|írta|ezt írta|a scris|"
    r"đã viết|menulis|je napisa[ol]a?|je naps[ao]l|yazdı|şunları yazdı|έγραψε|va escriure|ha escrit|idatzi zuen|"
    r"shkroi|"
    r"пише[тш]?|писал(?:а|\(а\))?|написала?|написал\(а\)|написав(?:ла)?|пользователь|користувач|написа|написао|"
    r"כתב(?:ה)?|כתב/ה|كتب(?:ت)?|نوشت)\b|写道|寫道|写到|写了|来信|のメール|書きました|さんは書き|작성|님이|ने लिखा|เขียนว่า|เขียน",
    re.IGNORECASE,
)
# … and ends so.
HEADER_END: Final = re.compile(r"[:：][*_\s]{0,8}$")
# What makes it more than a sentence that ends with a colon.
HEADER_PROOF: Final = re.compile(r"[@<]|\d{1,2}[:.h]\d\d|\d{4}|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}", re.IGNORECASE)
_DAY = r"\b\d{1,2}[./-]\s?\d{1,2}[./-]\s?\d{2,4}|\b(?:19|20)\d\d\b|\d{4}[-/.年년]"
HEADER_DAY: Final = re.compile(_DAY)
HEADER_DATE: Final = re.compile(rf"\b\d{{1,2}}[:.h時时시]\s?\d\d|{_DAY}", re.IGNORECASE)
# Others write no verb, or one that we do not know: a date, "<a@b>", at most a few words, a colon.
HEADER_ADDRESS: Final = re.compile(
    r"<\s?[^<>\s]{1,100}@[^<>\s]{1,255}>[\"»\s]*(?:(?:[^\W\d]+[ ]?){0,3}|[^<>@]{0,60}\d[:.h]\d\d[^<>@:]{0,12})"
    r"\s*[:：][*_\s]*$", re.IGNORECASE)
# Some web mailers say it in front.
HEADER_QUOTING: Final = re.compile(
    r"(?:quoting|quotation from|zitat von|citando a?|citation de|citat från|цитирую|cytowanie|citerend)\s.{2,120}[:：]$",
    re.IGNORECASE)
BARE_HEADER: Final = re.compile(
    r"[*_\s]*(?:\w+[,.]? )?\d[^<>]{5,160}<\s*(?:mailto:)?[^<>\s]+@[^<>\s]+\s*>\s*[:：]\s*", re.IGNORECASE
)
# Lotus Notes: "-----Anna Ek/ACME wrote: -----"
HEADER_DASHED: Final = re.compile(
    r"-{3,}\s*\S[^<>]{0,80}(?:<[^<>]{3,100}>)?\s+(?:wrote|schrieb|a écrit|escribió|ha scritto|"
    r"skrev|schreef|escreveu|kirjoitti|pisze|napsal|írta)\s?:\s*-{3,}\s*$", re.IGNORECASE,
)

# --- "-----Original Message-----" --------------------------------------------------------------

_ORIGINAL = (
    r"original (?:message|mail|email)|original[- ]nachricht|original[- ]?mail|"
    r"ursprüngliche (?:nachricht|mail|e-mail)|message d.origine|message original|courriel original|"
    r"e?-?mail d.origine|"
    r"mensaje original|mensagem original|messaggio originale|missatge original|mensaxe orixinal|jatorrizko mezua|"
    r"oorspronkelijk(?:e)? bericht|origineel bericht|original(?:t)? meddelande|ursprungligt meddelande|"
    r"oprindelig (?:meddelelse|besked)|opprinnelig melding|opphavleg melding|upprunaleg skilaboð|"
    r"oryginalna wiadomość|wiadomość oryginalna|alkuperäinen viesti|algne (?:kiri|teade)|sākotnējais ziņojums|"
    r"originalus (?:laiškas|pranešimas)|původní (?:zpráva|e-mail)|pôvodná správa|izvirno sporočilo|izvorna poruka|"
    r"originalna poruka|eredeti üzenet|mesaj(?:ul)? (?:original|inițial)|mesazhi origjinal|αρχικό μήνυμα|"
    r"orijinal (?:ileti|mesaj)|"
    r"özgün ileti|исходное сообщение|первоначальное сообщение|вихідне повідомлення|оригінальне повідомлення|"
    r"оригинално съобщение|изворна порука|оригинална порука|הודעה מקורית|الرسالة الأصلية|پیام اصلی|मूल संदेश|"
    r"ข้อความต้นฉบับ|"
    r"thư gốc|tin nhắn gốc|pesan asli|mesej asal|原始邮件|原始郵件|原邮件|原始訊息|元のメッセージ|オリジナルメッセージ|"
    r"원본 (?:메시지|메일)|reply message|reply to message"
)
_FORWARDED = (
    r"forwarded message|forwarded by .{1,80}|weitergeleitete (?:nachricht|mail|e-mail)|weitergeleitet von .{1,80}|"
    r"message transf[ée]r[ée]|courriel transf[ée]r[ée]|"
    r"mensaje reenviado|missatge reenviat|messaggio inoltrato|doorgestuurd bericht|vidarebefordrat (?:meddelande|"
    r"mejl)|"
    r"mensagem (?:encaminhada|reencaminhada)|wiadomość przekazana|przekazana wiadomość|przesłana wiadomość|"
    r"videresendt (?:besked|melding|meddelelse)|välitetty viesti|edelleenlähetetty viesti|přeposlaná zpráva|"
    r"preposlaná správa|"
    r"továbbított üzenet|mesaj redirecționat|mesaj redirectionat|προωθημένο μήνυμα|yönlendirilen (?:ileti|mesaj)|"
    r"iletilen mesaj|пересылаемое сообщение|пересланное сообщение|переслане повідомлення|препратено съобщение|"
    r"прослеђена порука|proslijeđena poruka|posredovano sporočilo|persiųstas laiškas|edastatud kiri|"
    r"הודעה שהועברה|رسالة مُ?عاد توجيهها|رسالة محولة|thư được chuyển tiếp|tin nhắn đã chuyển tiếp|pesan terusan|"
    r"pesan yang diteruskan|"
    r"ข้อความที่ส่งต่อ|转发的邮件|转发邮件|轉寄郵件|轉寄的郵件|转发邮件信息|転送(?:された)?メッセージ|전달된 (?:메일|메시지)"
)
SEPARATOR: Final = re.compile(
    rf"[>\s]*(?:[-_=*]{{2,}}\s*)?(?:{_ORIGINAL}|{_FORWARDED})\s*:?\s*[-_=*]{{2,}}\s*$", re.IGNORECASE,
)
FORWARD: Final = re.compile(
    r"[>\s]*(?:begin forwarded message|anfang der weitergeleiteten (?:nachricht|e-mail)|"
    r"début du (?:message|courriel|mail) (?:réexpédié|transféré)|inicio del mensaje reenviado|"
    r"inici del missatge reenviat|inizio (?:del )?messaggio inoltrato|begin doorgestuurd bericht|"
    r"vidarebefordrat brev|"
    r"start på vidarebefordrat (?:meddelande|mejl)|videresendt besked|start på videresendt (?:besked|melding)|"
    r"videresendt melding|início da mensagem (?:reenviada|encaminhada|reencaminhada)|"
    r"początek przekaz(?:yw)?anej wiadomości|välitetty viesti alkaa|začátek přeposílané zprávy|"
    r"začiatok preposlanej správy|"
    r"továbbított (?:üzenet|levél) kezdete|începutul mesajului redirecționat|αρχή προωθημένου μηνύματος|"
    r"yönlendirilen ileti(?:nin)? başlangıcı|начало (?:пересылаемого|переадресованного) сообщения|"
    r"початок (?:листа, що пересилається|переадресованого повідомлення)|"
    r"початак прослеђене поруке|početak proslijeđene poruke|תחילת ההודעה שהועברה|تم إعادة توجيه الرسالة|"
    r"بدء الرسالة المعاد توجيهها|"
    r"bắt đầu thư được chuyển tiếp|mulai pesan terusan|以下是转发的邮件|以下為轉寄的(?:郵件|訊息)|开始转发的邮件|転送されたメッセージ|"
    r"전달된 메시지 시작)\s*[:：]?\s*$|"
    rf"[>\s]*(?:{_FORWARDED})\s*[:：]\s*$",
    re.IGNORECASE,
)
FORWARDED: Final = re.compile(rf"[>\s]*(?:[-_=*]{{2,}}\s*)?(?:{_FORWARDED})\s*:?\s*[-_=*]{{2,}}\s*$", re.IGNORECASE)
# What other desks and lists write between an answer and what it answers.
MARKER: Final = re.compile(
    r"[>\s]*[-–—=#*_+ ]{0,40}(?:please )?(?:"
    r"(?:type|write|enter|add|put) your (?:reply|response|answer|comment)s? above (?:this|the) line|"
    r"(?:reply|respond|write|type|answer) above (?:this|the) line|reply above\. do not remove this line|"
    r"to (?:reply|respond), (?:type|write|enter) above this line|"
    r"(?:bitte )?(?:schreiben|geben) sie ihre antwort (?:über|oberhalb) (?:dieser|diese) (?:linie|zeile)(?: ein)?|"
    r"bitte (?:antworten sie )?(?:über|oberhalb) dieser (?:linie|zeile)(?: antworten)?|"
    r"(?:veuillez )?(?:saisir|écrire|répondre|entrez|saisissez|écrivez)(?: votre réponse)? au-dessus de cette ligne|"
    r"(?:por favor,? )?(?:escriba|introduzca|escribe|responda)(?: su|"
    r" tu)?(?: respuesta)? (?:por )?encima de esta línea|"
    r"(?:por favor,? )?(?:digite|escreva|responda)(?: a)?(?: sua)?(?: resposta)? acima desta linha|"
    r"(?:per favore,? )?(?:scrivi|inserisci|digita|rispondi)(?: la tua risposta)? sopra (?:questa|la) (?:riga|linea)|"
    r"(?:typ|schrijf|plaats)(?: (?:uw|je|hier))? (?:antwoord|reactie) boven deze (?:regel|lijn)|"
    r"skriv (?:ditt svar|dit svar|svaret ditt) (?:ovanför|over) denn[ae] (?:rad(?:en)?|linje)|"
    r"(?:proszę )?(?:wpisz|napisz) (?:swoją )?odpowiedź (?:nad|powyżej) t(?:ą|ej) lini[ąi]|"
    r"(?:пожалуйста, )?(?:пишите|введите)(?: ваш)? ответ (?:выше|над) эт(?:ой строки|ой линией))"
    r"[.!\s]*[-–—=#*_+ ]{0,40}$|"
    r"[*_#\s]*previous (?:replies|messages|conversation)[*_\s:]*$|"
    r"[>\s]*original message processed by .{1,60}$",
    re.IGNORECASE,
)

# --- "From: … Sent: … To: …" -------------------------------------------------------------------

# What the fields of a quoted header are called; core/forward.py reads them by their kind.
FIELDS: Final[dict[str, str]] = {
    "from": (
        r"from|von|de|da|van|od|från|fra|lähettäjä|saatja|felad[óo]|от(?: кого)?|від(?: кого)?|od koho|expéditeur|"
        r"remitente|"
        r"remetente|mittente|afzender|avsändare|nadawca|odesílatel|odosielateľ|pošiljatelj|pošiljalac|šalje|"
        r"siuntėjas|nuo|no|"
        r"sūtītājs|kimden|gönderen|από|frá|отправитель|відправник|изпращач|от кого|шаље|dari|từ|người gửi|จาก|"
        r"发件人|发信人|寄件者|寄件人|差出人|送信者|보낸 ?사람|보낸이|מאת|מ|من|از|प्रेषक|mesaj gönderen|expeditor|de la"
    ),
    "date": (
        r"sent(?: on| at)?|date|gesendet(?: am)?|verschickt|datum|envoyé(?: le| à)?|date d.envoi|message du|"
        r"enviado(?: el| em| a)?|"
        r"enviada(?: em| el)?|fecha(?: de envío)?|data(?: d.enviament)?|data e hora|inviato(?: il)?|data invio|"
        r"verzonden(?: op)?|wysłano|wysłane|data wysłania|"
        r"skickat|skickades|sendt|dato|lähetetty|päiväys|päivämäärä|saadetud|kuupäev|odesláno|odoslané|dátum|küldve|"
        r"elküldve|"
        r"datums|nosūtīts|išsiųsta|poslano|poslato|trimis|data trimiterii|ημερομηνία|στάλθηκε|αποστολή|tarih|"
        r"gönderildi|gönderme tarihi|"
        r"отправлено|дата(?: отправки)?|надіслано|изпратено|послато|sent|tanggal|terkirim|dikirim|ngày|đã gửi|vào|"
        r"วันที่|ส่ง|"
        r"发送时间|发送日期|寄件日期|日期|时间|時間|傳送時間|送信日時|日時|送信日|보낸 ?날짜|보낸 ?시간|날짜|נשלח|תאריך|تاريخ(?: الإرسال)?|التاريخ|"
        r"تم الإرسال|تاریخ|ارسال شده|दिनांक|तारीख"
    ),
    "to": (
        r"to|to address|an|à|para|per|a|aan|do|til|till|vastaanottaja|saaja|komu|címzett|prejemnik|prima|za|kam|"
        r"kam\.|către|catre|προς|"
        r"kime|alıcı|кому|до|получатель|одержувач|kepada|đến|tới|người nhận|ถึง|收件人|收件者|宛先|받는 ?사람|받는이|אל|ל|إلى|الى|"
        r"به|प्रति|destinataire|"
        r"destinatario|destinatário|ontvanger|empfänger|odbiorca|mottagare|modtager|mottaker|kada|kellele|"
        r"adresat|gavėjas"
    ),
    "cc": (
        r"cc|kopie|copie(?: à)?|cópia|copia|c\.c\.|kopia|kopi|kopio|dw|koopia|másolat|másolatot kap|kópia|kp|pk|"
        r"копия|копія|"
        r"bilgi|κοιν\.?|κοινοποίηση|tembusan|đồng gửi|สำเนา|抄送|副本|参照|참조|עותק|העתק|نسخة|رونوشت|bcc|blindkopie|cci"
    ),
    "subject": (
        r"subject|betreff|objet|sujet|asunto|assunto|oggetto|onderwerp|temat|ämne|emne|aihe|teema|předmět|predmet|"
        r"tárgy|zadeva|"
        r"tema|tēma|subiect(?:ul)?|θέμα|konu|тема|предмет|относно|subjek|perihal|chủ đề|tiêu đề|หัวเรื่อง|เรื่อง|主题|"
        r"主旨|主題|件名|제목|נושא|הנדון|"
        r"الموضوع|موضوع|विषय|assumpte|gaia|efni|subjekt"
    ),
    "other": (
        r"reply-to|antwort an|répondre à|responder a|rispondi a|antwoord aan|odpowiedz do|importance|priority|"
        r"wichtigkeit|priorität|"
        r"importancia|importância|importanza|priorità|prioriteit|attachments?|anlagen?|anhänge|pièces? jointes?|"
        r"adjuntos|"
        r"anexos|allegati|bijlagen?|załączniki|bilagor|organi[sz]ation|mailed by|signed by"
    ),
}
MOST_LABEL: Final = 60
_ANY = "|".join(FIELDS.values())


def _field(names: str) -> re.Pattern[str]:
    # "From:", "*From:* ", "De : ", "差出人：", "| Von:   |"
    return re.compile(rf"[>|\s]*[*_]*\s*(?:{names})\s?[*_]*\s*[:：]\s?[*_|]*(?:\s|$|(?<=：)|(?=[<\"]))", re.IGNORECASE)


FIELD_FIRST: Final = _field("|".join((FIELDS["from"], FIELDS["date"])))
FIELD: Final = _field(_ANY)
FIELD_OF: Final[dict[str, re.Pattern[str]]] = {kind: _field(names) for kind, names in FIELDS.items()}
# A field in a language that nobody taught us; believed only below a rule that Outlook drew.
FIELD_LIKE: Final = re.compile(r"[*_]*[^\W\d_][^:：\n]{0,24}\s?[*_]*[:：][*_]*\s?\S")
RULE: Final = re.compile(r"[>\s]*[-_=*─—]{5,}\s*$")
