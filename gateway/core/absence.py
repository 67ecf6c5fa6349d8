"""Absence notices: how their texts begin in the languages people speak, and when the writer is back.

Words alone prove nothing, since people write "I am away next week" too; core/classify.py counts them
only beside a sign of a machine. A date is taken only where words of returning stand before it and
only one reading is possible: 03/04 is nobody's date.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Final

TOP: Final = 600        # characters in which a notice says what it is
READ: Final = 3_000
_NEXT_YEAR: Final = 400     # days; nobody states a later return
_NOW: Final = r"(?:[\w.,/-]{1,20} ){0,6}"     # "currently", "from today", "vom 1.12. bis zum 7.12."

ABSENT: Final = re.compile(
    r"\bi(?:'m| am|'ll be| will be) " + _NOW + r"(?:out of (?:the |my )?office|away\b|on (?:annual |maternity |parental |sick |paternity )?"
    r"leave|on (?:vacation|holidays?|pto)|not in (?:the |my )?office|unavailable|travell?ing)|\bi have limited access|"
    r"(?:out of|not in) (?:the )?office (?:from|until|till|today|this|with)|\bis (?:currently )?out of (?:the )?office|"
    r"this is an auto(?:matic|mated)? (?:vacation |out.of.office )?(?:reply|response|message)[^.]{0,80}(?:away|office|vacation|leave)|"
    r"\bich bin " + _NOW + r"(?:nicht im (?:büro|haus|dienst|office)|abwesend|im urlaub|außer haus|nicht erreichbar|in elternzeit)|"
    r"\bich befinde mich " + _NOW + r"(?:im urlaub|nicht)|bin ich (?:wieder|nicht|erst)|"
    r"\bje suis " + _NOW + r"(?:absente?|en congés?|en vacances|en déplacement|hors du bureau)|\bje serai " + _NOW + r"(?:absente?|en)|"
    r"\best(?:oy|aré) " + _NOW + r"(?:fuera de (?:la )?oficina|de vacaciones|ausente)|me encuentro " + _NOW + r"(?:fuera|de vacaciones|ausente)|"
    r"\best(?:ou|arei) " + _NOW + r"(?:fora do escritório|de férias|ausente)|encontro-me " + _NOW + r"(?:ausente|de férias|fora)|"
    r"\bs(?:ono|arò) " + _NOW + r"(?:fuori (?:ufficio|sede)|in ferie|assente)|"
    r"\bik ben " + _NOW + r"(?:afwezig|niet aanwezig|op vakantie|niet op kantoor|met verlof|niet bereikbaar)|"
    r"\bjag är " + _NOW + r"(?:på semester|inte på kontoret|ledig|föräldraledig|frånvarande|bortrest)|"
    r"\bjeg er " + _NOW + r"(?:på ferie|ikke på kontoret|fraværende|bortrejst|bortreist|ute av kontoret)|"
    r"\bolen " + _NOW + r"(?:lomalla|poissa|vuosilomalla)|"
    r"\bjestem " + _NOW + r"(?:na urlopie|poza biurem|nieobecn)|przebywam " + _NOW + r"na urlopie|"
    r"\b(?:jsem|budu|som) " + _NOW + r"(?:na dovolen|mimo (?:kancelář|kanceláriu)|nepřítom|neprítom)|"
    r"szabadságon vagyok|nem vagyok az irodában|házon kívül vagyok|\bsunt în concediu|nu sunt la birou|"
    r"(?:нахожусь|буду|я) (?:в отпуске|отсутств)|отсутствую|нет на рабочем месте|(?:перебуваю|я) у відпустці|"
    r"(?:ofis|iş yeri) dışında|izinde(?:yim|y)|yıllık iznimi|απουσιάζω|εκτός γραφείου|отсъствам|"
    r"不在(?:に|と|し|です|の)|休暇(?:を|中|の|に)|(?:我)?(?:正在|目前|现在)?(?:休假|不在办公室|出差|外出)|부재 ?중|휴가 ?중|"
    r"(?:não estou|no estoy) (?:no escritório|en la oficina)",
    re.IGNORECASE,
)
# What a notice promises or advises, and a letter about a holiday does not.
PROMISE: Final = re.compile(
    r"urgent|emergenc|in my absence|during my absence|limited (?:access|e-?mail)|upon my return|(?:when|after|once) i (?:return|get back|am back)|"
    r"will (?:respond|reply|answer|get back)|please contact|dringend|vertret|nach meiner rückkehr|wird nicht weitergeleitet|"
    r"nicht (?:gelesen|weitergeleitet)|en mon absence|à mon retour|en cas d'urgence|en mi ausencia|a mi regreso|urgente|na minha ausência|"
    r"in mia assenza|al mio rientro|bij afwezigheid|dringende|bij spoed|brådskande|haster|kiireell|piln|w sprawach|naléhav|neodkladn|"
    r"sürgős|срочн|терміно|acil|επείγ|緊急|お急ぎ|紧急|긴급",
    re.IGNORECASE,
)
# Words behind which the date of return stands.
_BACK: Final = re.compile(
    r"\b(?:until|till|through|back(?: in (?:the )?office| at work)?(?: again)?(?: on)?|return(?:ing)?(?: (?:to|in) (?:the |my )?(?:office|work))?(?: on)?|"
    r"bis(?: einschließlich| inkl\.?| zum| einschl\.?)?|zurück|wieder|ab dem|jusqu'au|jusqu’au|de retour|retour|hasta|regres\w*|vuelv\w*|volver\w*|"
    r"até|volt\w*|fino al|rientr\w*|tot(?: en met)?|terug|till och med|t\.?o\.?m\.?|tillbaka|åter|til og med|til|tilbage|tilbake|asti|saakka|"
    r"palaan|do(?: dnia)?|wrac\w*|zpět|vrát\w*|до|по|вернусь|выйду)\b[^\d\n]{0,25}",
    re.IGNORECASE,
)
_NAMES: Final = (
    "january jan januar janvier enero janeiro gennaio januari januára ledna stycznia января січня tammikuuta",
    "february feb februar février fevrier febrero fevereiro febbraio februari februára února lutego февраля лютого helmikuuta",
    "march mar märz maerz mars marzo março maart března marca марта березня maaliskuuta",
    "april apr avril abril aprile dubna apríla kwietnia апреля квітня huhtikuuta",
    "may mai mayo maio maggio mei maj května mája maja мая травня toukokuuta",
    "june jun juni juin junio junho giugno června júna czerwca июня червня kesäkuuta",
    "july jul juli juillet julio julho luglio července júla lipca июля липня heinäkuuta",
    "august aug août aout agosto augustus augusti srpna augusta sierpnia августа серпня elokuuta",
    "september sep sept septembre septiembre setembro settembre září septembra września сентября вересня syyskuuta",
    "october oct oktober okt octobre octubre outubro ottobre října októbra października октября жовтня lokakuuta",
    "november nov novembre noviembre novembro listopadu novembra listopada ноября листопада marraskuuta",
    "december dec dezember dez décembre decembre diciembre dezembro dicembre prosince decembra grudnia декабря грудня joulukuuta",
)
_MONTHS: Final = {name: number for number, names in enumerate(_NAMES, 1) for name in names.split()}
_ISO: Final = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)")
_DOTTED: Final = re.compile(r"(\d{1,2})\. ?(\d{1,2})\.(?: ?(\d{4}|\d{2}))?(?!\d)")
_SLASHED: Final = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4}|\d{2})(?!\d)")
_DAY_FIRST: Final = re.compile(r"(\d{1,2})(?:\.|st|nd|rd|th|er|º)?(?: of| de)? ([^\W\d_]{3,12})\.?,?(?: (?:de )?(\d{4}))?", re.IGNORECASE)
_MONTH_FIRST: Final = re.compile(r"([^\W\d_]{3,12})\.? (\d{1,2})(?:st|nd|rd|th)?,?(?: (\d{4}))?", re.IGNORECASE)
_CJK: Final = re.compile(r"(?:(\d{4})年 ?)?(\d{1,2})月 ?(\d{1,2})日.{0,12}(?:まで|以降|から出社|返回|回来|之前|恢复)")


def back_on(text: str, today: date) -> date | None:
    """The day on which the writer says to be back, or up to which to be away; None if it is not certain.

    ``today`` is the day of the mail; a date without a year is the next such day.
    """
    text = " ".join(text[:READ].split())
    found = [_date(text[each.end():each.end() + 40], each[0], today) for each in _BACK.finditer(text)]
    found += [_day(each[1], each[2], each[3], today) for each in _CJK.finditer(text)]
    sure = [each for each in found if each is not None]
    return max(sure) if sure else None


def _date(after: str, before: str, today: date) -> date | None:
    """The date with which ``after`` begins; its month may stand at the end of ``before``."""
    if iso := _ISO.match(after):
        return _day(iso[1], iso[2], iso[3], today)
    if dotted := _DOTTED.match(after):
        return _day(dotted[3], dotted[2], dotted[1], today)
    if slashed := _SLASHED.match(after):
        first, second = int(slashed[1]), int(slashed[2])
        if first != second and first <= 12 and second <= 12:    # March 4th or April 3rd
            return None
        day, month = max(first, second), min(first, second)
        return _day(slashed[3], str(month), str(day), today)
    if (named := _DAY_FIRST.match(after)) and (number := _MONTHS.get(named[2].casefold())):
        return _day(named[3], str(number), named[1], today)
    word = before.rstrip(" .").rpartition(" ")[2]
    if (named := _MONTH_FIRST.match(f"{word} {after}")) and (number := _MONTHS.get(named[1].casefold())):
        return _day(named[3], str(number), named[2], today)
    return None


def _day(year: str | None, month: str, day: str, today: date) -> date | None:
    try:
        if year:
            found = date(int(year) + (2000 if len(year) == 2 else 0), int(month), int(day))
        else:
            found = date(today.year, int(month), int(day))
            if found < today - timedelta(days=7):
                found = date(today.year + 1, int(month), int(day))
    except ValueError:
        return None
    return found if abs((found - today).days) <= _NEXT_YEAR and found >= today - timedelta(days=7) else None
