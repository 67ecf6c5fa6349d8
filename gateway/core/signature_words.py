"""How people and their programs end a mail, in the languages they speak: tables of core/signature.py.

To teach a language, add its words to each table. Every pattern is matched against one line or one
paragraph of bounded length.
"""

from __future__ import annotations

import re
from typing import Final

# RFC 3676 §4.3 has "-- "; clients trim the blank, and some write a longer dash.
SIGNATURE: Final = re.compile(r"\s{0,3}(?:--|—|––|__)\s*$")
LIST_RULE: Final = re.compile(r"_{20,}")
# A line that only divides, and Streak's invisible mark (U+1427).
_DASH = "-_=*~#+─—–"
DIVIDER: Final = re.compile(
    rf"\s*(?:[{_DASH}•·. ]*[{_DASH}]{{2,}}[{_DASH}•·. ]*|(?:[{_DASH}] ){{4,}}[{_DASH}]|ᐧ|—)\s*$")

# What phones and web mailers put under a mail. A line of its own, at most so long.
MOST_MOBILE: Final = 120
_DEVICE = (
    r"(?:my|the|an?|mail|outlook|yahoo|proton|gmail|samsung|mobile|iphone|ipad|ipod|android|zoho|windows|blackberry|"
    r"front|superhuman|spark|sparrow|airmail|mailbox|huawei|xiaomi|sony|nokia|htc|lg|motorola|pixel|galaxy|nine|"
    r"aqua ?mail|blue ?mail|k-9|thunderbird|edison|tutanota|fastmail|hey|newton|canary|polymail|mimestream|verizon|"
    r"at&t|t-mobile)"
)
MOBILE: Final = re.compile(
    r"[*_(<\[\s]*(?:"
    rf"sent (?:from|via|with|using|on|by) {_DEVICE}\b(?:[\s(<\[][^,;!?]{{0,90}}|'s .{{1,40}})?|"
    rf"sent from \S{{1,12}} mobile|"
    rf"sent via the .{{1,60}} smartphone|"
    r"get (?:outlook|bluemail|aqua ?mail|spark|newton|the .{1,20} app|typeapp) for .{1,80}|"
    r"typed on .{1,20} phone.{0,30}|"
    r"(?:diese nachricht wurde )?(?:von|mit|aus) (?:meinem|meiner|dem|der) .{1,60} (?:gesendet|verschickt|"
    r"geschrieben)|"
    r"diese nachricht wurde (?:von|mit) .{1,60} gesendet|"
    r"gesendet (?:mit|von|über|aus) .{1,90}|von .{1,40} gesendet|holen sie sich outlook .{1,60}|"
    r"outlook für .{1,20} (?:beziehen|herunterladen).{0,40}|"
    r"(?:envoyée?|expédiée?|transmis) (?:de|depuis|à partir d|avec|via) ?.{1,60}|"
    r"télécharge[rz] outlook .{1,60}|obten(?:ez|ir) outlook .{1,60}|provenance\s?: .{1,60}|"
    r"enviad[oa] (?:desde|do|da|de|a partir d[oe]|com|con|por|pelo|via) .{1,60}|obten(?:er|ha) outlook .{1,60}|"
    r"obter (?:o )?outlook .{1,60}|baixar o outlook .{1,60}|enviat (?:des|amb) .{1,60}|bidalia .{1,40}|"
    r"inviato d(?:a|al|all|alla|allo).{1,60}|(?:scarica|ottieni) outlook .{1,60}|"
    r"(?:verzonden|verstuurd|gestuurd) (?:vanaf|met|van|via|vanuit) .{1,60}|outlook voor .{1,20} downloaden.{0,40}|"
    r"(?:download|haal) outlook voor .{1,60}|wysłan[aeoy]m? (?:z|ze|przy|za) .{1,60}|"
    r"pobierz (?:program |aplikację )?outlook.{1,60}|"
    r"skickat (?:från|med|via) .{1,60}|(?:hämta|skaffa) outlook .{1,60}|"
    r"sendt (?:fra|med|via) .{1,60}|(?:hent|få|skaff deg) outlook .{1,60}|lähetetty .{1,60}|hanki outlook .{1,60}|"
    r"sent úr .{1,40}|saadetud minu .{1,40}|nosūtīts no .{1,40}|(?:iš)?siųsta iš .{1,40}|"
    r"odesláno (?:z|ze|pomocí) .{1,60}|odoslané (?:z|zo|pomocou) .{1,60}|poslan[oa] (?:z|s|sa|iz) .{1,60}|"
    r"poslato (?:sa|iz|s) .{1,60}|"
    r"získat outlook .{1,60}|(?:elküldve|küldve) (?:az?|innen) .{1,60}|.{1,30}(?:ról|ről|ból|ből|omról|emről|"
    r"mról) küldve|trimis (?:de pe|din|de la|cu|prin) .{1,60}|"
    r"отправлено (?:из|с|со|через) .{1,60}|надіслано (?:з|із|через) .{1,60}|відправлено (?:з|із) .{1,60}|"
    r"изпратено от .{1,60}|послато са .{1,60}|"
    r"(?:στάλθηκε|εστάλη) από .{1,60}|.{1,40}'?(?:ımdan|imden|umdan|ümden|dan|den|tan|ten) gönderildi|"
    r"dikirim dari .{1,60}|"
    r"(?:đã )?(?:được )?gửi từ .{1,60}|ส่งจาก.{1,60}|נשלח (?:מ|באמצעות).{1,60}|(?:تم الإرسال|أُ?رسلت|"
    r"مرسل) من .{1,60}|ارسال شده از .{1,60}|"
    r".{1,40}\s?(?:から送信|からの送信|で送信)(?:されました)?|.{0,20}(?:发自|發自|來自|来自)\s?(?:我的|.{1,10}的)\s?.{1,40}|(?:发自|發自)\s?.{1,30}|"
    r"从我的.{1,30}(?:发送|发出)|從我的.{1,30}(?:傳送|寄出)|(?:나의|내|제) .{1,30}에서 (?:보냄|보냈습니다)|.{1,30}에서 보냄"
    r")[\s.)*_>\]]*$",
    re.IGNORECASE,
)
# A name below a dash or a slash of its own: "-Anna Ek", "/Anna".
SIGNED: Final = re.compile(r"\s{0,3}[-/](?=[^\W\d_])(?:[^\W\d_][\w.'’-]{0,24}[ ]?){1,3}\s*$")

# "Kind regards": only these, and only where a signature block plainly follows, end what is new.
REGARDS: Final = re.compile(
    r"\s*(?:[\w-]+(?: and| &)? ){0,2}regards|"
    r"\s*(?:mit )?(?:(?:freundlichen?|besten?|herzlichen?|lieben?|vielen|schönen?|viele|liebe|beste|"
    r"herzliche) )+(?:grüßen?|grüssen?|gruß|gruss|wünschen?)"
    r"(?: (?:aus|vom|von) [^,]{1,30})?|\s*mfg|\s*(?:bien )?cordialement|"
    r"\s*(?:meilleures )?salutations(?: distinguées)?|"
    r"\s*(?:un )?(?:cordial )?saludos?(?: cordial(?:es)?)?|\s*atentamente|\s*atenciosamente|"
    r"\s*(?:com os )?(?:melhores )?cumprimentos|"
    r"\s*(?:cordiali|distinti|cari) saluti|\s*met vriendelijke groet(?:en)?|\s*(?:vriendelijke )?groet(?:en|jes)?|"
    r"\s*mvg|"
    r"\s*(?:med )?v[äe]nli(?:g|ga|ge) h[äi]ls(?:ning(?:ar)?|en|ener)|\s*mvh|\s*med vennlig hilsen|\s*(?:hilsen|"
    r"hälsningar)|"
    r"\s*ystävällisin terveisin|\s*(?:z )?poważaniem|\s*pozdrawiam|\s*s pozdravem|\s*s pozdravom|"
    r"\s*lep(?:e?) pozdrav|\s*üdvözlettel|"
    r"\s*cu stimă|\s*saygılarımla|\s*με εκτίμηση|\s*с уважением|\s*з повагою|\s*поздрави|\s*敬具|\s*此致",
    re.IGNORECASE,
)
NAME: Final = re.compile(r"(?:[^\W\d_][\w.,&'’-]*\s*){1,5}")
CONTACT: Final = re.compile(
    r"\S@\S|\w @ \w|\bwww\.|https?://|\b(?:tel|phone|fon|telefon|téléphone|teléfono|mobile?|mob|cell|fax|direct|t|m|"
    r"f|p)\b\.?\s?[:+]|"
    r"\+?\d[\d\s()/.-]{7,}\d", re.IGNORECASE)

# What lawyers and scanners append. A paragraph with words of two of these groups is a disclaimer. Plain pieces
# of words in lower case, not patterns: they are looked for in every last paragraph.
LEGAL: Final[tuple[tuple[str, ...], ...]] = tuple(tuple(group.split("|")) for group in (
    ("confidential|vertraulich|confidentiel|confidencia|riservat|vertrouwelijk|konfident|fortrolig|poufn|luottamuksell|"
    "конфиденциальн|конфіденційн|bizalmas|důvěrn|dôvern|gizlilik|機密|机密|保密"),
    "privileged|privilegi|private and |privacy|personal opinions|views expressed|views or opinions",
    ("intended solely|intended only|intended exclusively|intended for|intended recipient|sole use of|for the use of|"
    "addressee|whom they are addressed|whom it is addressed|bestimmte empfänger|bestimmten empfänger|"
    "bestimmte adressat|bestimmten adressat|ausschließlich für|richtige empfänger|richtiger adressat|"
    "richtige adressat|destinataire|destinatari|geadresseerde|bestemd voor|avsedd för|avsedd endast för|tiltænkt|"
    "beregnet for|beregnet kun for|adresat|vastaanottaja|получател|одержувач|címzett"),
    ("in error|irrtümlich|versehentlich|par erreur|por error|per errore|por engano|per abuis|ten onrechte|av misstag|"
    "ved en feil|ved en fejl|omyłkow|przez pomyłkę|по ошибке|помилково|tévedés|omylem"),
    ("notify the|notify us|notifying the|return it to|delete it|delete this|delete the|inform the sender|inform us|"
    "vernichten sie|löschen sie|informieren sie|verständigen sie|détruire|supprimer|avertir l|borre|elimin|notifique|"
    "notificar|cancell|verwijder|apague|удалите|usunąć|radera|slette|vymaž|видаліть"),
    ("unauthorised|unauthorized|prohibited|unlawful|disclosure|disclosed|disseminat|copying|unbefugt|nicht gestattet|"
    "interdit|prohibid|vietat|proibid|verboden|zabronion|förbjud|forbudt|запрещен|заборонен|unerlaubt"),
    "virus|scanned|swept|virenfrei|malware|messagelabs|mimecast",
    "monitored|monitor all|monitor the|be logged|recorded for",
    "data protection|freedom of information act|datenschutz|protection des données|rgpd|gdpr|dsgvo",
    ("liability|liable|responsibility to carry out|keine haftung|responsabilit|aansprakelijk|odpowiedzialno|no contract|"
    "legally binding|rechtsverbindlich"),
    ("this email|this e-mail|this message|this transmission|this communication|diese e-mail|diese email|"
    "diese nachricht|ce message|ce courriel|ce mail|este mensaje|este correo|este e-mail|questa e-mail|"
    "questo messaggio|questa comunicazione|esta mensagem|esta comunica|dit bericht|dit e-mailbericht|deze e-mail|"
    "deze boodschap|detta meddelande|detta e-postmeddelande|denne e-mail|denne e-post|ta wiadomość|tento e-mail|"
    "данное сообщение|данное письмо|tämä viesti|tämä sähköposti"),
))
# One of these makes a paragraph a footer by itself.
FOOTER: Final = re.compile(
    r"\s*(?:to (?:unsubscribe|stop receiving|manage your (?:subscription|notification)|opt out)|"
    r"you (?:are receiving|received|'re receiving|have received) this (?:message|e?-?mail|because|notification)|"
    r"you are (?:currently )?subscribed|"
    r"unsubscribe(?: from| here|:|\s*$)|click here to unsubscribe|reply to this email directly|"
    r"(?:um sich )?(?:abzumelden|vom newsletter abmelden)|se désinscrire|pour vous désinscrire|darse de baja|"
    r"per cancellarti|"
    r"this (?:\S{1,40} )?(?:e-?mail|mail|list|message) is (?:sponsored|brought to you) by|"
    r"please consider (?:the|your) (?:environment|environmental)|(?:save a tree|go green)|before printing|"
    r"bitte (?:denken|prüfen) sie .{0,40}(?:ausdruck|umwelt)|pensez à l.environnement|avant d.imprimer|"
    r"virus-free\.|this e?-?mail (?:has been|was) (?:checked|scanned|swept)|no virus found|checked by avg|"
    r"diese e-?mail wurde (?:von|auf) .{0,60}viren|virenfrei\.|l'absence de virus|"
    r"este correo electrónico ha sido comprobado|libre de virus|"
    r"the original of this e?-?mail was scanned|communications via the|disclaimer\b|[- ]{2,}disclaimer|"
    r"confidentiality (?:notice|note)|legal (?:notice|disclaimer)\b|important notice\b)",
    re.IGNORECASE,
)
