"""Mails made to hurt a parser, built when asked for.

The numbers are those of the hostile inputs in the security notes. What concerns reading:

====== ========================================================= =================================================
number input                                                     where
====== ========================================================= =================================================
2-9    parts, depth, nested messages, words, semicolons, fields  here
10     uuencode, also in text and in pieces                      here; test_decoding (what is right of it)
11, 12 charsets that are codecs of another kind                  here; UTF-7 is read since it is linear
13     dates                                                     here; test_decoding
14     nothing, NUL, CR, random, one line                        here
22     a subject with line ends in it                            test_parse: test_a_subject_is_one_line
23     controls and separators in names, files, ids              test_hostile: test_no_control_gets_through
24     From that can be read in two ways                         test_parse: test_from_proves_nothing_…
30     a second field of the same name                           test_decoding: test_of_two_fields_the_first_counts
34     commands that only another part or HTML has               core: tests of command; text_from tells them apart
35     delivery reports                                          test_parse, core: tests of classify
36     HTML                                                      here; test_hostile: test_html_loses_…
37     file names                                                here; test_parse: test_file_names_…
41-45  winmail.dat, RTF, signed data, guessing, flowed text      here: new since these are read
====== ========================================================= =================================================

1 and 15-21 are of SMTP, 25-29 of DKIM, 31-33 of identity, 38 and 39 of exports and rules, 40 of IMAP.
"""

from __future__ import annotations

import base64
import random
import struct
from collections.abc import Callable

HEAD = b"From: Ann <ann@example.com>\r\nTo: help@example.net\r\nSubject: hostile\r\nMessage-ID: <h@example.com>\r\n"


def _nested(depth: int, inner: bytes) -> bytes:
    opening = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(depth))
    closing = b"".join(b"\r\n--b%d--" % n for n in reversed(range(depth)))
    return HEAD + opening + b"\r\n" + inner + closing + b"\r\n"


def _html(body: bytes) -> bytes:
    return HEAD + b"Content-Type: text/html; charset=utf-8\r\n\r\n" + body


def _text(charset: bytes, body: bytes) -> bytes:
    return (HEAD + b"Content-Type: text/plain; charset=" + charset + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + base64.encodebytes(body))


def _named(parameter: bytes) -> bytes:
    return HEAD + b"Content-Type: application/octet-stream\r\nContent-Disposition: attachment; " + parameter + b"\r\n\r\nx\r\n"


def _parts(one: bytes, count: int) -> bytes:
    return HEAD + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + one * count + b"--b--\r\n"


def _file(kind: bytes, body: bytes) -> bytes:
    return HEAD + b"Content-Type: " + kind + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(body)


def _tnef(attributes: bytes) -> bytes:
    return _file(b"application/ms-tnef", b"\x78\x9f\x3e\x22\x01\x00" + attributes)


def _attribute(number: int, data: bytes) -> bytes:
    return struct.pack("<BII", 2, number, len(data)) + data + b"\0\0"


def _rtf(data: bytes, size: int, kind: int) -> bytes:
    """A winmail.dat whose text is this compressed RTF."""
    rtf = struct.pack("<IIII", len(data) + 12, size, kind, 0) + data
    value = struct.pack("<IHHII", 1, 0x0102, 0x1009, 1, len(rtf)) + rtf
    return _tnef(_attribute(0x00069003, value + b"\0" * (-len(value) % 4)))


_SWELLING = b"\xfe" + b"a" + b"\x0c\xff" * 7 + (b"\xff" + b"\x0c\xff" * 8) * 400_000    # 17 octets of two, again and again


# name -> (builder, whether nothing but the header may be read)
INPUTS: dict[str, tuple[Callable[[], bytes], bool]] = {
    "2: a million parts": (lambda: _parts(b"--b\r\n\r\nx\r\n", 1_000_000), True),
    "3: 300 deep around a million lines": (lambda: _nested(300, b"x\r\n" * 1_000_000), True),
    "3b: 30 deep around a million lines": (lambda: _nested(30, b"x\r\n" * 1_000_000), True),
    "4: 100,000 deep": (lambda: _nested(100_000, b"x"), True),
    "5: 5,000 nested messages": (lambda: HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 5_000, False),
    "6: 70,000 encoded words": (lambda: b"Subject: " + b"=?utf-8?q?a?= " * 70_000 + b"\r\n" + HEAD + b"\r\nx", True),
    "6b: 30 kB of encoded words": (lambda: b"Subject: " + b"=?utf-8?q?a?= " * 2_200 + b"\r\n\r\nx", False),
    "6c: unclosed encoded words": (lambda: b"Subject: " + b"=?utf-8?q?" * 3_200 + b"\r\n\r\nx", False),
    "6d: punycode word": (lambda: b"Subject: =?punycode?q?-" + b"b" * 300_000 + b"?=\r\n\r\nx", True),
    "6e: short punycode word": (lambda: b"Subject: =?punycode?q?-" + b"b" * 30_000 + b"?=\r\nFrom: a@b.c\r\n\r\nx", False),
    "6f: punycode words in every header":
        (lambda: b"".join(name + b": =?punycode?q?-" + b"b" * 30_000 + b"?=\r\n"
                          for name in (b"Subject", b"To", b"Cc", b"Reply-To", b"From")) + b"\r\nx", False),
    "7: a million semicolons": (lambda: HEAD + b"Content-Type: text/plain" + b";" * 1_000_000 + b"\r\n\r\nx", True),
    "7b: 30 parts of 32,000 semicolons": (lambda: _parts(b"--b\r\nContent-Type: text/plain" + b";" * 32_000 + b"\r\n\r\nx\r\n", 30), True),
    "7c: quoted semicolons": (lambda: HEAD + b"Content-Type: text/plain" + b'";' * 90 + b'"' * 4_000 + b"\r\n\r\nx", False),
    "8: half a million open comments": (lambda: b"To: " + b"(" * 500_000 + b"\r\n\r\nx", True),
    "8b: 32,000 open comments in From": (lambda: b"From: " + b"(" * 32_000 + b"\r\n\r\nx", False),
    "8c: 32,000 quotes": (lambda: b"From: " + b'"' * 32_001 + b"\r\nTo: " + b'"' * 32_000 + b"\r\n\r\nx", False),
    "8d: 32,000 commas": (lambda: b"To: " + b"," * 32_000 + b"\r\nCc: " + b"<" * 32_000 + b"\r\n\r\nx", False),
    "8e: 5,000 addresses": (lambda: b"To: " + b"a@b.c," * 5_000 + b"\r\n\r\nx", False),
    "8f: 10,000 groups": (lambda: b"To: " + b"a:;" * 10_000 + b"\r\nFrom: " + b"a:;" * 10_000 + b"\r\n\r\nx", False),
    "9: 100,000 header names": (lambda: b"".join(b"X-%d: y\r\n" % n for n in range(100_000)) + b"\r\nx", True),
    "9b: headers named like mail-parser's attributes":
        (lambda: HEAD + b"Parse: 1\r\nDefects: 2\r\nHeaders_json: 3\r\nSubject_json: 4\r\n_mail: 5\r\n\r\nx", False),
    "9c: 100,000 Received": (lambda: b"Received: from a by b; Mon, 2 Mar 2026 10:00:00 +0000\r\n" * 100_000 + HEAD + b"\r\nx", True),
    "9d: 900 Received": (lambda: b"Received: from a (b [1.2.3.4]) by c; x\r\n" * 900 + HEAD + b"\r\nx", False),
    "10: uuencode": (lambda: HEAD + b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n"
                     b"begin 644 x\r\n" + b"M\n" * 4_000_000, False),
    "10b: uuencoded text": (lambda: HEAD + b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n" + b"M\n" * 1_000_000, False),
    **{f"11: charset {name}": ((lambda name=name: _text(name.encode(), b"-abc" * 75_000)), False)   # type: ignore[misc]
       for name in ("punycode", "idna", "unicode_escape", "utf-7", "raw_unicode_escape", "rot13", "hex")},
    **{f"12: charset {name!r}": ((lambda name=name: _text(name, b"x\xff" * 1_000)), False)  # type: ignore[misc]
       for name in (b'"utf\0-8"', b"undefined", b"zlib_codec", b"../../etc/passwd", b"c" * 7_000)},
    "12b: NUL in the charset of a word": (lambda: b"Subject: =?utf\0?q?a?= =?undefined?b?/w==?= =?" + b"c" * 9_000 + b"?q?x?=\r\n\r\nx", False),
    "12c: zlib bomb word": (lambda: b"From: =?zlib_codec?b?eJztwTEBAAAAwqD1T20JT6AAAAAAAAAA?= <a@b.c>\r\n\r\nx", False),
    "13: year with 20 digits": (lambda: HEAD + b"Date: Mon, 2 Mar 99999999999999999999 10:00:00 +0000\r\n\r\nx", False),
    "13b: zone of 11 digits": (lambda: HEAD + b"Date: Mon, 2 Mar 2026 10:00:00 +99999999999\r\n\r\nx", False),
    "13c: year one": (lambda: HEAD + b"Date: Mon, 1 Jan 0001 00:00:00 +1400\r\n\r\nx", False),
    "13d: a million digits": (lambda: HEAD + b"Date: " + b"9" * 1_000_000 + b"\r\n\r\nx", True),
    "13e: 30,000 digits": (lambda: HEAD + b"Date: " + b"9" * 30_000 + b"\r\n\r\nx", False),
    "14: nothing": (lambda: b"", False),
    "14b: a dot": (lambda: b".", False),
    "14c: NUL": (lambda: b"\0" * 5_000_000, False),
    "14d: CR": (lambda: b"\r" * 5_000_000, False),
    "14e: raw 8-bit header": (lambda: b"Subject: Gr\xfc\xdfe\r\nFrom: J\xfcrgen <j@example.com>\r\n\r\nx", False),
    "14f: random": (lambda: random.Random(1).randbytes(1_000_000), False),
    "14g: one line of 25 MB": (lambda: HEAD + b"\r\n" + b"x" * 25_000_000, False),
    "14h: 25 MB of blanks": (lambda: HEAD + b"\r\n" + b" " * 25_000_000, False),
    "14i: blank lines": (lambda: HEAD + b"\r\n" + b"\r\n" * 10_000_000, False),
    "14j: nearly boundaries": (lambda: _parts(b"--b\r\n\r\nx\r\n" + b"--bx\r\n" * 1_000_000, 1), True),
    "14k: a header without end": (lambda: b"A:" + b"\r\n x" * 8_000_000, True),
    "14l: 25 MB of base64": (lambda: _parts(b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                             + base64.encodebytes(bytes(18_000_000)), 1), False),
    "36: 300,000 open div": (lambda: _html(b"<div>" * 300_000), False),
    "36b: 50,000 open comments": (lambda: _html(b"<!--" * 50_000), False),
    "36c: open styles before many blocks": (lambda: _html(b"".join(b"<b id=%d>" % n for n in range(900)) + b"<p></p>" * 30_000), False),
    "36d: unclosed tags and entities": (lambda: _html(b"<a " * 100_000 + b"&" * 100_000), False),
    "36e: quotes in tags": (lambda: _html(b'<a x="' * 60_000), False),
    "36g: a thousand pages": (lambda: _parts(b"--b\r\nContent-Type: text/html\r\n\r\n" + b"<" * 20_000 + b"\r\n", 990), False),
    "14m: header fields and garbage in turn": (lambda: (b"A: b\r\ngarbage\r\nTo: x\r\n" * 400) + b"x" * 25_000_000, False),
    "36f: tables": (lambda: _html(b"<table><tr><td>" * 330), False),
    "37: 5,000 characters": (lambda: _named(b'filename="' + b"n" * 5_000 + b'.txt"'), False),
    "37b: bogus charset": (lambda: _named(b"filename*=bogus''%ff%fe%00x"), False),
    "37c: 1,000 pieces": (lambda: _named(b"; ".join(b"filename*%d=x" % n for n in range(95))), False),
    "37d: duplicates": (lambda: _parts(b'--b\r\nContent-Type: image/png; name="a.png"\r\n\r\nx\r\n', 999), False),
    "10c: lines that promise more than they have": (lambda: HEAD + b"\r\nbegin 644 x\r\n" + b"M\r\n" * 1_000_000 + b"`\r\nend\r\n", False),
    "10d: 400,000 begins": (lambda: HEAD + b"\r\n" + b"begin 644 x\r\n" * 400_000, False),
    "10e: 20 MB of uuencode": (lambda: HEAD + b"\r\nbegin 644 x\r\n" + (b"M" + b"!" * 60 + b"\r\n") * 320_000 + b"`\r\nend\r\n", False),
    "10f: 100,000 files": (lambda: HEAD + b"\r\n" + b"begin 644 x\n#86)C\n`\nend\n" * 100_000, False),
    "41: a winmail.dat of 1.5 million attributes": (lambda: _tnef(_attribute(0x00069002, b"") * 1_500_000), False),
    "41b: a winmail.dat that claims four thousand million values":
        (lambda: _tnef(_attribute(0x00069003, struct.pack("<IHHI", 0xFFFFFFFF, 0x1102, 0x1009, 0xFFFFFFFF) + b"\0" * 15_000_000)), False),
    "41c: a winmail.dat that is longer than it is": (lambda: _tnef(struct.pack("<BII", 2, 0x0006800F, 0xFFFFFFFF) + b"x" * 1_000), False),
    "42: RTF that swells": (lambda: _rtf(_SWELLING, 0x7FFFFFFF, 0x75465A4C), False),
    "42b: a million open braces": (lambda: _rtf(b"{" * 1_000_000, 1_000_000, 0x414C454D), False),
    "42c: a million unicode words": (lambda: _rtf(b"\\u55296?" * 200_000, 2_000_000, 0x414C454D), False),
    "43: 5 million open values of ASN.1": (lambda: _file(b"application/pkcs7-mime", b"\x30\x80" * 5_000_000), False),
    "43b: lengths beyond the end": (lambda: _file(b"application/pkcs7-mime", b"\x30\x84\xff\xff\xff\xff" * 1_000), False),
    "43c: a million empty values": (lambda: _file(b"application/pkcs7-mime", b"\x30\x80" + b"\x04\x00" * 4_000_000), False),
    **{f"44: 8 MB that are no {name}": ((lambda name=name: HEAD + b"Content-Type: text/plain; charset=" + name.encode()  # type: ignore[misc]
                                         + b"\r\n\r\n" + b"\x81\xff\x90 \x1b$\x81\xd0" * 1_000_000), False)
       for name in ("utf-7", "utf-32", "iso-8859-1", "iso-2022-jp", "gb2312", "euc-kr", "tis-620", "nonsense", "hz-gb-2312")},
    "45: flowed text of a million quotes":
        (lambda: HEAD + b"Content-Type: text/plain; format=flowed; delsp=yes\r\n\r\n" + b"> \r\n>> \r\n" * 300_000, False),
    "45b: one paragraph of a million lines":
        (lambda: HEAD + b"Content-Type: text/plain; format=flowed\r\n\r\n" + b"a \r\n" * 1_000_000, False),
    "6g: words with question marks": (lambda: b"Subject: =?utf-8?q?" + b"?=20" * 7_900 + b"\r\n\r\nx", False),
    "37e: names without end": (lambda: _named(b"filename=" + b"a;b" * 95), False),
    "13f: a date of words": (lambda: HEAD + b"Date: " + b"Mar " * 60 + b"\r\n\r\nx", False),
}
