"""Bytes to text: what charset labels mean in practice, and what bytes without a true label are.

Standards: WHATWG Encoding (its labels: "iso-8859-1" is windows-1252, "gb2312" is GB 18030), RFC 2231 §5
(language behind a label), RFC 2152 (UTF-7). Codecs come from an allow-list, because Python also
offers zlib, punycode and unicode_escape under charset names. UTF-7 is read only where it is named:
guessing it would turn "a+b-c" into other text. Nothing here raises on any input and all is linear.

Bytes that are not what they claim are tried as UTF-8, which chance hardly makes, then as what the
mail says of its other parts, then as the East Asian or Cyrillic charset whose common letters
they plainly are, then as windows-1252. A guess needs several letters in a row: a wrong one is worse
than a strange letter.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

# Labels are compared without punctuation: ISO_8859-1, iso8859-1 and iso-8859-1 are one.
_CODECS: dict[str, str] = {
    label: codec
    for codec, labels in {
        "utf-8": "utf8 cp65001 unicode11utf8 unicode20utf8 xunicode20utf8 utf8mac utf8mb4 utf8sig",
        "utf-7": "utf7 unicode11utf7 unicode20utf7 csunicode11utf7 xunicode20utf7",
        "utf-16": "utf16 unicode ucs2 iso10646ucs2 csunicode",
        "utf-16-le": "utf16le",
        "utf-16-be": "utf16be unicodefffe",
        "utf-32": "utf32",
        "cp1252": "iso88591 88591 isoir100 iso885911987 csisolatin1 latin1 l1 cp819 ibm819 windows1252 win1252 cp1252 "
                  "xcp1252 ansi iso88591windows 8bit western westerneuropean",
        "iso8859-2": "iso88592 88592 isoir101 iso885921987 csisolatin2 latin2 l2",
        "iso8859-3": "iso88593 isoir109 iso885931988 csisolatin3 latin3 l3",
        "iso8859-4": "iso88594 isoir110 iso885941988 csisolatin4 latin4 l4",
        "iso8859-5": "iso88595 88595 isoir144 iso885951988 csisolatincyrillic cyrillic",
        "iso8859-6": "iso88596 isoir127 iso885961987 csisolatinarabic arabic asmo708 ecma114 iso88596i iso88596e",
        "iso8859-7": "iso88597 88597 isoir126 iso885971987 csisolatingreek greek greek8 elot928 ecma118 suneugreek",
        "iso8859-8": "iso88598 88598 isoir138 iso885981988 csisolatinhebrew hebrew iso88598i iso88598e visual logical",
        "cp1254": "iso88599 88599 isoir148 iso885991989 csisolatin5 latin5 l5 windows1254 win1254 cp1254 xcp1254",
        "iso8859-10": "iso885910 isoir157 iso8859101992 csisolatin6 latin6 l6",
        "cp874": "iso885911 tis620 windows874 cp874 dos874 thai",
        "iso8859-13": "iso885913",
        "iso8859-14": "iso885914 latin8",
        "iso8859-15": "iso885915 885915 csisolatin9 latin9 l9",
        "iso8859-16": "iso885916 latin10",
        "cp1250": "windows1250 win1250 cp1250 xcp1250",
        "cp1251": "windows1251 win1251 cp1251 xcp1251",
        "cp1253": "windows1253 win1253 cp1253 xcp1253",
        "cp1255": "windows1255 win1255 cp1255 xcp1255",
        "cp1256": "windows1256 win1256 cp1256 xcp1256",
        "cp1257": "windows1257 win1257 cp1257 xcp1257",
        "cp1258": "windows1258 win1258 cp1258 xcp1258",
        "cp437": "cp437 ibm437 437 cspc8codepage437",
        "cp850": "cp850 ibm850 850 cspc850multilingual",
        "cp852": "cp852 ibm852 852",
        "cp855": "cp855 ibm855 855",
        "cp857": "cp857 ibm857",
        "cp858": "cp858 ibm858 ibm00858",
        "cp866": "cp866 ibm866 866 csibm866",
        "koi8-r": "koi8r koi8 koi cskoi8r",
        "koi8-u": "koi8u koi8ru",
        "koi8-t": "koi8t",
        "mac_roman": "macintosh mac xmacroman macroman csmacintosh",
        "mac_latin2": "xmacce xmaccentraleurroman maccentraleurope",
        "mac_cyrillic": "xmaccyrillic xmacukrainian",
        "mac_greek": "xmacgreek",
        "mac_turkish": "xmacturkish",
        "gb18030": "gb2312 gb18030 gbk xgbk gb231280 csgb2312 csiso58gb231280 isoir58 chinese simplifiedchinese cp936 "
                   "ms936 936 euccn xeuccn windows936",
        "hz": "hzgb2312 hz",
        "big5hkscs": "big5 big5hkscs xxbig5 cnbig5 csbig5 cp950 windows950 950",
        "euc_jp": "eucjp xeucjp xeuc ujis cseucpkdfmtjapanese",
        "iso2022_jp_ext": "iso2022jp csiso2022jp iso2022jp1 iso2022jp2 iso2022jpms cp50220 cp50221 jis",
        "iso2022_kr": "iso2022kr csiso2022kr",
        "cp932": "shiftjis sjis xsjis csshiftjis mskanji windows31j cp932 ms932 932 cswindows31j",
        "cp949": "euckr xeuckr cseuckr ksc56011987 ksc56011989 ksc5601 csksc56011987 isoir149 korean windows949 cp949 "
                 "ms949 949 uhc",
    }.items()
    for label in labels.split()
}
_ASCII = frozenset({
    "usascii", "ascii", "ansix341968", "ansix341986", "646", "iso646us", "isoir6", "us", "csascii", "cp367", "ibm367",
    "xunknown", "unknown8bit", "unknown", "xunknown8bit", "default", "defaultcharset", "xuserdefined",
    "7bit", "binary", "none", "",
})
_TAKEN_FOR = {
    "iso2022_jp_ext": ("jis", "cp932", "euc_jp"), "cp932": ("euc_jp",), "euc_jp": ("cp932",), "big5hkscs": ("gb18030",),
}
_NOT_LABEL = re.compile(r"[^a-z0-9]+")
_PREFIX = re.compile(r"\A(?:charset|cs|iso|x)+")       # "charset=utf-8", "iso-gb2312", "x-big5"
_JIS_RUN = re.compile(rb"\x1b\$[@B]((?:[^\x1b])*)\x1b\([BJ]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_BEYOND = re.compile("[^\x00-\x7f\ufffd]")
_HIGH = re.compile(rb"[\x80-\xff]")
_SAMPLE = 4_096             # octets that a guess looks at
_LABEL = 64                 # characters of a label that are looked at


@lru_cache(maxsize=256)
def _known(charset: str) -> tuple[str, str | None]:
    """The label as the tables have it, and its codec or None."""
    label = _NOT_LABEL.sub("", charset.split("*", 1)[0].lower())     # RFC 2231 §5: charset*language
    if label not in _CODECS and label not in _ASCII:
        label = _PREFIX.sub("", label)
    return label, _CODECS.get(label)


def decode(data: bytes, charset: str | None, hint: str = "") -> tuple[str, bool]:
    """Text of ``data`` and whether the declared charset was the true one.

    ``hint`` is what the mail says of its other parts, asked where ``charset`` says nothing. Text that is labelled
    Latin-1 but is valid UTF-8 beyond ASCII is UTF-8.
    """
    label, codec = _known(charset[:_LABEL]) if charset else ("", None)
    says_nothing = label in _ASCII
    if (says_nothing or codec in ("utf-8", "cp1252")) and data.isascii() and b"\x1b" not in data:
        return data.decode("ascii"), True
    if b"\x1b$" in data and says_nothing:
        codec = "iso2022_jp_ext"
    if codec == "utf-8" and (text := _strictly(data, "utf-8-sig")) is not None:
        return text, True
    if codec and codec not in ("utf-8", "utf-16", "utf-16-le", "utf-16-be") and len(_HIGH.findall(data[:_SAMPLE])) >= 8 and (
            text := _strictly(data, "utf-8-sig")) is not None:
        return text, False      # eight such bytes in a row of another charset are not by chance UTF-8
    for each in _candidates(data, codec, _known(hint[:_LABEL])[1] if hint and codec is None else None):
        text = _strictly(data, each)
        if text is not None:
            return text, each in (codec, "jis")
    return _mostly(data, codec)


def _candidates(data: bytes, codec: str | None, hint: str | None) -> tuple[str, ...]:
    """Codecs to try, the likeliest first; the last word is windows-1252 where nobody said more."""
    if codec and codec not in ("utf-8", "cp1252"):
        return (codec, *_TAKEN_FOR.get(codec, ()), "utf-8")
    said = (hint,) if hint and hint not in ("utf-8", "cp1252", "utf-7", "utf-16") else ()
    found = guess(data)
    last = (found,) if found else ("cp1252", "cp932") if codec != "utf-8" else ()
    return ("utf-8-sig", *said, *last)


def hint_of(charset: str, raw: bytes) -> str:
    """The charset in which raw 8-bit text of a header is: what the body says, else what all of it, ``raw``, is made of.

    A name of three characters is too short for a guess; the subject beside it mostly is not.
    """
    if _known(charset[:_LABEL])[1] in (None, "utf-8", "cp1252") and not raw.isascii() and _strictly(raw, "utf-8") is None:
        return guess(raw) or charset
    return charset


def is_charset(label: bytes) -> bool:
    """Whether ``label`` names a charset of the allow-list."""
    name, codec = _known(label[:_LABEL].decode("latin-1"))
    return len(label) <= _LABEL and (codec is not None or name in _ASCII)


def _strictly(data: bytes, codec: str) -> str | None:
    try:
        text = _japanese(data) if codec == "jis" else data.decode(codec)
    except (UnicodeError, ValueError):
        return None
    return None if _SURROGATES.search(text) else text


def _japanese(data: bytes) -> str:
    """ISO-2022-JP as mailers write it: with the NEC and IBM characters that only Shift_JIS tables have."""
    out: list[str] = []
    for number, run in enumerate(_JIS_RUN.split(data)):
        if number % 2 == 0:
            out.append(run.decode("ascii"))
            continue
        pairs = bytearray()
        for high, low in zip(run[::2], run[1::2], strict=True):     # JIS X 0208 to Shift_JIS
            if not (0x21 <= high <= 0x7E and 0x21 <= low <= 0x7E):
                raise ValueError("not JIS X 0208")
            pairs.append(((high - 0x21) >> 1) + (0x81 if high < 0x5F else 0xC1))
            pairs.append(low + (0x1F if low < 0x60 else 0x20) if high & 1 else low + 0x7E)
        out.append(pairs.decode("cp932"))
    return "".join(out)


def _mostly(data: bytes, codec: str | None) -> tuple[str, bool]:
    """Best effort for bytes that no charset takes whole: whichever reading loses least of them."""
    best, least = "", 1 << 62
    for each in dict.fromkeys((codec or "utf-8", guess(data) or "cp1252", "utf-8", "cp1252")):
        text = _SURROGATES.sub("\ufffd", _replacing(data, each))
        lost = text.count("\ufffd")
        if each == "cp1252":
            lost = 10 * lost + len(data) // 20 + 1      # it takes nearly any bytes, so that proves little
        elif each == "utf-8" and not _BEYOND.search(text):
            continue                                    # not one letter in it is UTF-8
        if lost < least:
            best, least = text, lost
    return best, False


def _replacing(data: bytes, codec: str) -> str:
    """``data.decode(codec, "replace")``, but not with a call for each lost byte where a table does."""
    if codec in ("utf-7", "utf-32"):         # slow at what is neither
        return data.decode("ascii", "replace") if data.isascii() else _replacing(data, "cp1252")
    table = _table(codec)
    return codecs.charmap_decode(data, "strict", table)[0] if table else data.decode(codec, "replace")


@lru_cache(maxsize=32)
def _table(codec: str) -> str:
    """What each of the 256 bytes is in a charset of single bytes, '' for another one."""
    if not codec.startswith(("cp12", "cp8", "cp4", "iso8859", "koi8", "mac")):
        return ""
    return "".join(bytes((byte,)).decode(codec, "replace") for byte in range(256))


# --- Guessing -------------------------------------------------------------------------------

# Letters beyond ASCII stand alone or in short runs in Latin text: without a long one there is nothing to guess.
_FOREIGN = re.compile(rb"[\x80-\xff]{4}|(?:[\x81-\x9f\xa4-\xc9\xe0-\xef][\x40-\xfc]){4}")
_PAIR = re.compile(rb"[\x81-\xfe][\x40-\xfe]")
_CYRILLIC_RUN = re.compile(rb"[\xa3\xb3\xb8\xa8\xc0-\xff]{2,}")


def guess(data: bytes) -> str:
    """The charset whose common letters ``data`` is plainly made of, or ''."""
    sample = data[:_SAMPLE]
    if not _FOREIGN.search(sample):
        return ""
    pairs = _PAIR.findall(sample)
    high = len(_HIGH.findall(sample))
    second = sum(pair[1] >= 0x80 for pair in pairs)
    stray = high - len(pairs) - second          # high bytes with no partner: no East Asian text
    if len(pairs) >= 4 and stray * 25 <= high and (found := _east_asian(pairs, second)):
        return found
    return _cyrillic(sample, high)


def _east_asian(pairs: list[bytes], second: int) -> str:
    """By the first bytes of two: every charset has its syllables or its most used characters in one range."""
    count = len(pairs)

    def share(first: int, last: int) -> float:
        return sum(first <= pair[0] <= last for pair in pairs) / count

    euc = second * 50 >= count * 49 and sum(pair[0] >= 0xA1 and pair[1] >= 0xA1 for pair in pairs) * 50 >= count * 49
    kana_euc, kana_sjis, hangul = share(0xA4, 0xA5), share(0x82, 0x83), share(0xB0, 0xC8)
    common = share(0xB0, 0xD7)                  # GB 2312 level 1, by sound; Korean ends where "s" begins
    if euc:
        if kana_euc >= 0.15:
            return "euc_jp"
        punctuation = share(0xA1, 0xA3)
        if hangul + punctuation >= 0.95 and hangul >= 0.7 and count >= 8:
            return "cp949"
        return "gb18030" if common + punctuation >= 0.85 and common >= 0.5 else ""
    if kana_sjis >= 0.25 and share(0x81, 0x9F) + share(0xE0, 0xEA) >= 0.95:
        return "cp932"
    if share(0xA1, 0xC6) >= 0.9 and share(0xA4, 0xC6) >= 0.6:
        return "big5hkscs"
    return "gb18030" if common + share(0xA1, 0xA3) >= 0.8 and common >= 0.6 and second * 2 > count else ""


def _cyrillic(sample: bytes, high: int) -> str:
    """Words of four letters and more beyond ASCII, nearly all in the lower case of one of the two charsets."""
    runs = _CYRILLIC_RUN.findall(sample)
    letters = b"".join(runs)
    if len(letters) < 8 or len(letters) < 0.8 * high or len(letters) < 4 * len(runs):
        return ""
    lower_1251 = sum(byte >= 0xE0 for byte in letters) / len(letters)
    lower_koi8 = sum(0xC0 <= byte <= 0xDF for byte in letters) / len(letters)
    if lower_1251 >= 0.75:
        # Greek and Hebrew have the same bytes, but Greek's accents stand where Cyrillic has capitals, and
        # Hebrew has no capitals and ends at 0xFA, before some of the commonest Cyrillic letters.
        inside = sum(byte in b"\xdc\xdd\xde\xdf" for run in runs for byte in run[1:])
        telling = any(byte >= 0xFB for byte in letters) or any(0xC0 <= run[0] <= 0xDF for run in runs)
        return "cp1251" if telling and inside * 50 <= len(letters) else ""
    return "koi8-r" if lower_koi8 >= 0.75 else ""
