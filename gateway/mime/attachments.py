"""Leaves that are not the body: their bytes, names and content types.

Standards: RFC 2045 §6 (transfer encodings), RFC 2183 (disposition), RFC 2392 (cid), RFC 2557 §4
(Content-Location). A part without a name gets one that is made of its hash, so that reading a mail
again gives the same names.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from gateway.core.model import Part
from gateway.errors import Opaque
from gateway.mime.structure import Node, header_fields, parameters
from gateway.mime.text import base64_bytes, decode_header
from gateway.mime.unpack import unpacked

_MAX_NAME = 240             # octets of UTF-8: file systems take 255, and somebody may add a number
_MAX_LINE = 998             # RFC 5322 §2.1.1
_EXTENSIONS = {
    "text/plain": "txt", "text/html": "html", "text/csv": "csv", "text/calendar": "ics",
    "text/x-vcard": "vcf",
    "text/vcard": "vcf", "text/rfc822-headers": "txt", "text/xml": "xml", "application/xml": "xml",
    "application/pdf": "pdf", "application/zip": "zip", "application/json": "json", "application/rtf": "rtf",
    "text/rtf": "rtf", "application/msword": "doc", "application/vnd.ms-excel": "xls",
    "application/ms-tnef": "dat",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/pgp-signature": "asc", "application/pgp-keys": "asc", "application/pkcs7-signature": "p7s",
    "application/x-pkcs7-signature": "p7s", "application/pkcs7-mime": "p7m",
    "image/jpeg": "jpg", "image/jpg": "jpg", "image/png": "png", "image/gif": "gif", "image/svg+xml": "svg",
    "image/webp": "webp", "image/tiff": "tif", "image/bmp": "bmp", "audio/mpeg": "mp3", "audio/wav": "wav",
    "video/mp4": "mp4", "video/quicktime": "mov", "video/webm": "webm", "video/3gpp": "3gp", "audio/mp4": "m4a", "audio/ogg": "ogg",
    "audio/x-wav": "wav", "audio/amr": "amr", "image/heic": "heic", "image/pjpeg": "jpg", "image/x-png": "png", "image/avif": "avif",
    "application/gzip": "gz", "application/x-zip-compressed": "zip", "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.oasis.opendocument.text": "odt", "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/postscript": "ps", "application/ics": "ics", "application/x-pdf": "pdf", "message/rfc822": "eml", "message/global": "eml", "message/delivery-status": "txt",
}
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
# Outlook's habit: <image001.jpg@01CDB132.D8A510F0>
_NAME_IN_ID = re.compile(r"[\w-]{1,60}\.(?:jpe?g|png|gif|bmp|tiff?|webp|pdf)(?=@|\Z)", re.IGNORECASE)
_LOST_SEMICOLON = re.compile(rb"[,\s:]\s{0,9}(?=(?:file)?name\*?\d{0,3}\*?[ \t]{0,9}=)", re.IGNORECASE)
_WORDS = re.compile(rb"[a-zA-Z,.] (?=[a-zA-Z])")
_ONE_LINE = 78
_HAS_EXTENSION = re.compile(r"[^.]\.[A-Za-z0-9]{1,8}\Z")
_ENCODINGS = {
    "quotedprintable": "quoted-printable", "quoted_printable": "quoted-printable", "qp": "quoted-printable", "base-64": "base64",
    "b64": "base64", "7-bit": "7bit", "8-bit": "8bit",
}
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z)", re.IGNORECASE)


def disposition(node: Node) -> tuple[str, dict[str, str]]:
    """RFC 2183 §2: lower-case disposition type, '' if there is none, and its parameters."""
    value = node.header(b"content-disposition")
    if not value:
        return "", {}
    kind, params = parameters(value)
    if "filename" not in params and b"name" in value.lower() and "name" not in params:
        kind, params = parameters(_LOST_SEMICOLON.sub(b"; ", value))
    return kind, params


def encoding_of(node: Node) -> str:
    """Content-Transfer-Encoding in lower case, without what some append behind a blank or ``;``."""
    value = node.header(b"content-transfer-encoding").strip().lower()
    word = value.split(None, 1)[0].strip(b";,\"'").decode("latin-1")[:40] if value.strip(b";,\"' ") else ""
    return "" if "/" in word else _ENCODINGS.get(word, word)     # "/" is ours, see unpack.py


def decoded(raw: bytes, node: Node) -> bytes:
    """The body of ``node`` without its transfer encoding."""
    data, encoding = raw[node.body_start:node.body_end], encoding_of(node)
    return unpacked(data, encoding) if encoding and not is_false_base64(raw, node) else data


def is_false_base64(raw: bytes, node: Node) -> bool:
    """Whether a text says that it is base64, but has words with blanks between them at its very beginning.

    Or it is one word of a length that base64 does not have, and that decodes to no plain text.
    """
    if not node.content_type.startswith("text/") or encoding_of(node) != "base64":
        return False
    if len(_WORDS.findall(raw, node.body_start, min(node.body_end, node.body_start + 200))) > 2:
        return True
    only = raw[node.body_start:node.body_end].split() if node.body_end - node.body_start <= _ONE_LINE else []
    return len(only) == 1 and len(only[0]) % 4 == 1 and only[0].isalnum() and not base64_bytes(only[0]).isascii()


def given_name(node: Node) -> str:
    """The file name its sender wrote: RFC 2183 filename, else the older name of Content-Type.

    A charset that could not hold the name has left '?' in it; then the other one is taken.
    """
    shown = disposition(node)[1]
    names = [shown.get("filename"), node.params.get("name"), shown.get("name"), node.params.get("filename")]
    found = [name for name in names if name and name.strip("_. \"'?")]
    return next((name for name in found if "?" not in name), found[0] if found else "")


def display_name(name: str) -> str:
    """``name`` fit to show and to save: no path, control or bidi character, at most 240 octets."""
    text = unicodedata.normalize("NFC", _UNSEEN.sub("", name))
    text = " ".join(re.split(r"[/\\]", text.rstrip("/\\ "))[-1].split()).strip(" \"'")
    if re.match(r"[A-Za-z]:", text):
        text = text[2:]
    if text.startswith(".") or _RESERVED.match(text):
        text = "_" + text
    if len(text.encode("utf-8", "replace")) <= _MAX_NAME:
        return "" if set(text) <= set("_. ") else text
    stem, dot, extension = text.rpartition(".")
    tail = dot + extension if stem and len(extension) <= 10 and extension.isalnum() else ""
    room = _MAX_NAME - len(tail.encode())
    kept = (stem if tail else text).encode("utf-8", "replace")[:room]
    return kept.decode("utf-8", "ignore").rstrip() + tail


def part_of(raw: bytes, node: Node, ordinal: int, within: tuple[str, int, int] | None = None) -> Part:
    """The Part of a leaf, with everything that is known of its bytes.

    ``within`` says that ``raw`` is no mail as it came, but made of the range of one by some steps (unpack.py).
    """
    data = decoded(raw, node)
    digest = hashlib.sha256(data).hexdigest()
    kind, _ = disposition(node)
    content_id = decode_header(node.header(b"content-id")).strip().strip("<>")[:998] or None
    name = display_name(given_name(node)) or _made_name(node, data, digest, content_id)
    encoding, start, end = encoding_of(node), node.body_start, node.body_end
    clean = within is None and is_clean(raw[start:end])
    if within is not None:
        steps, first, last = within
        encoding, start, end = f"{steps}/{start}-{end}/{encoding}".rstrip("/"), first, last
    return Part(
        ordinal=ordinal, name=name, content_type=node.content_type, size=len(data), sha256=digest,
        start=start, end=end, encoding=encoding, clean=clean, content_id=content_id,
        inline=kind != "attachment" and content_id is not None and node.content_type.startswith("image/"),
    )


def extension_of(content_type: str) -> str:
    return _EXTENSIONS.get(content_type, "bin")


def type_of(name: str) -> str:
    """The content type that the extension of ``name`` stands for."""
    extension = name.rpartition(".")[2].lower()
    return next((kind for kind, each in _EXTENSIONS.items() if each == extension), "application/octet-stream")


def _made_name(node: Node, data: bytes, digest: str, content_id: str | None) -> str:
    """A name from what else is said of a part; the hash if nothing is."""
    if content_id and (found := _NAME_IN_ID.match(content_id)):
        return display_name(found[0])
    if node.is_nested:
        try:
            fields, _ = header_fields(data[:65_536].lstrip(b"\r\n"), 0, 65_536)
        except Opaque:
            fields = []
        subject = next((decode_header(value) for name, value in fields if name == b"subject"), "")
        subject = display_name(subject.replace("/", "-").replace("\\", "-")[:80])
        if subject:
            return f"{subject}.eml"
    where = re.split(r"[?#]", decode_header(node.header(b"content-location")), maxsplit=1)[0]
    name = display_name(where)
    if _HAS_EXTENSION.search(name):
        return name
    said = decode_header(node.header(b"content-description"))
    said = display_name(said.replace("/", "-").replace("\\", "-")[:80])
    if said and not _HAS_EXTENSION.search(said):
        return f"{said}.{extension_of(node.content_type)}"
    return said or f"{digest[:8]}.{extension_of(node.content_type)}"


def is_clean(data: bytes) -> bool:
    """Whether ``data`` may be relayed as it stands: 7-bit, CRLF only, no long line (RFC 5321 §4.5.3.1.6)."""
    lines = data.count(b"\n")
    if not data.isascii() or b"\0" in data or lines != data.count(b"\r\n") or lines != data.count(b"\r"):
        return False
    start = 0
    while start + _MAX_LINE + 2 < len(data):    # jump to the last line end within the longest legal line
        start = data.rfind(b"\n", start, start + _MAX_LINE + 2) + 1
        if not start:
            return False
    return b"\n" in data[start + _MAX_LINE:] or len(data) - start <= _MAX_LINE
