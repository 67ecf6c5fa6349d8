"""Signatures of a mail's domain (DKIM, RFC 6376, RFC 8301, RFC 8463), judged for what an agent's command may hang on.

dkimpy's canonicaliser takes a line of blanks in quadratic time and holds the interpreter meanwhile, looks at the first
signature only, and takes ``l=``, test keys and fields added above for good. So the grammar, the limits and the
canonical forms are ours, all linear; ``cryptography`` does the arithmetic. Stricter than the standard:

- ``l=`` (a text may be appended), ``t=y`` (the domain is only trying) and rsa-sha1 count for nothing, keys have 1024 to 4096 bits
- From, Date, Subject and Message-ID must be signed, and To, Cc and Reply-To if they are there; of no field that means
  something may there be more than was signed: one added above would be shown, and the signed one below be proven
- the first SIGNATURES fields are looked at, and no others; a header over HEADER octets or a line over LINE proves nothing
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

SIGNATURES: Final = 5
HEADER: Final = 256 * 1024
LINE: Final = 1024 * 1024
_PIECE: Final = 64 * 1024
_MUST: Final = (b"from", b"date", b"subject", b"message-id")
_MUST_IF_THERE: Final = (b"to", b"cc", b"reply-to")
# Of these a second one would change what a mail says; of the unsigned ones one may be there.
_ONCE: Final = (
    *_MUST, *_MUST_IF_THERE, b"in-reply-to", b"references", b"sender", b"mime-version", b"content-type",
    b"content-transfer-encoding", b"content-disposition",
)
_END = re.compile(rb"\r\n\r\n")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_WSP = re.compile(rb"[ \t]+")
_TAG = re.compile(r"[a-z][a-z0-9_]*", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9])?")
Field = tuple[bytes, bytes]     # (lower-case name, the field as it came, with its line end)


class Bad(Exception):
    """The signature proves nothing; the text says why."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One DKIM-Signature that may prove something, if the key fits."""

    domain: str
    selector: str
    tags: dict[str, str]
    field: Field

    @property
    def key_name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"


def header_of(raw: bytes) -> tuple[list[Field], bytes]:
    """The fields in order and the body. Raises Bad if the header is none that a signer could have signed."""
    end = _END.search(raw, 0, HEADER)
    if end is None:
        raise Bad("its header has no end, or too late a one")
    if _BARE.search(raw, 0, end.start()):
        raise Bad("its header has a bare CR or LF, which others read as a line's end")
    fields: list[Field] = []
    for line in raw[: end.start() + 2].split(b"\r\n")[:-1]:
        if line[:1] in (b" ", b"\t"):
            if not fields:
                raise Bad("its header begins with a continuation")
            name, whole = fields[-1]
            fields[-1] = (name, whole + line + b"\r\n")
            continue
        name, colon, _ = line.partition(b":")
        if not colon or not name.strip():
            raise Bad("its header has a line without a colon")
        fields.append((name.strip(b" \t").lower(), line + b"\r\n"))
    return fields, raw[end.end():]


def signatures(fields: Sequence[Field], received_at: datetime) -> Iterator[Signature | Bad]:
    """The first of them, judged as far as they go without a key."""
    found = [field for field in fields if field[0] == b"dkim-signature"][:SIGNATURES]
    for field in found:
        try:
            yield _signature(field, fields, received_at)
        except Bad as why:
            yield why


def verify(signature: Signature, records: Sequence[str], fields: Sequence[Field], body: bytes) -> None:
    """Raises Bad unless a key among the TXT ``records`` made ``signature`` of this mail."""
    tags = signature.tags
    key = _key(signature, records)
    header_form, _, body_form = tags.get("c", "simple/simple").lower().partition("/")
    if header_form not in ("simple", "relaxed") or (body_form or "simple") not in ("simple", "relaxed"):
        raise Bad("c= names no form we know")
    if _digest(body_hash(body, body_form or "simple")) != _octets(tags["bh"]):
        raise Bad("the body is not the one that was signed")
    signed = _header_hash(signature, fields, relaxed=header_form == "relaxed")
    made = _octets(tags["b"])
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(made, signed, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
        else:
            key.verify(made, signed)    # RFC 8463 §3: of the hash
    except (InvalidSignature, ValueError):
        raise Bad("the signature does not fit") from None


# --- The signature --------------------------------------------------------------------------


def _signature(field: Field, fields: Sequence[Field], received_at: datetime) -> Signature:
    value = field[1].partition(b":")[2]
    if not value.isascii():
        raise Bad("it is not ASCII")
    tags = tag_list(value.decode("ascii"))
    missing = {"v", "a", "b", "bh", "d", "h", "s"} - set(tags)
    if missing or tags["v"] != "1":
        raise Bad("a tag is missing")
    if "l" in tags:
        raise Bad("l= lets others append text")
    if tags["a"].lower() not in ("rsa-sha256", "ed25519-sha256"):
        raise Bad("a= names no algorithm that counts")
    if tags.get("q", "dns/txt").lower() != "dns/txt":
        raise Bad("q= names another way to the key")
    domain, selector = tags["d"].lower(), tags["s"].lower()
    if not _NAME.fullmatch(domain) or not _NAME.fullmatch(selector):
        raise Bad("d= or s= is no name")
    identity = tags.get("i", f"@{domain}").lower().rpartition("@")[2]
    if identity != domain and not identity.endswith(f".{domain}"):
        raise Bad("i= lies outside of d=")
    _check_times(tags, received_at)
    _check_signed([n.strip().lower().encode() for n in tags["h"].split(":")], fields)
    return Signature(domain, selector, tags, field)


def _check_times(tags: dict[str, str], received_at: datetime) -> None:
    now = received_at.timestamp()
    for name in ("t", "x"):
        if name in tags and not re.fullmatch(r"[0-9]{1,12}", tags[name]):
            raise Bad(f"{name}= is no time")
    if "x" in tags and (int(tags["x"]) <= now or int(tags["x"]) <= int(tags.get("t", "0"))):
        raise Bad("it has expired")
    if int(tags.get("t", "0")) > now + 3600:
        raise Bad("it was made in the future")


def _check_signed(names: list[bytes], fields: Sequence[Field]) -> None:
    there = [name for name, _ in fields]
    for name in _MUST:
        if name not in names or name not in there:
            raise Bad(f"{name.decode()} is not signed")
    for name in _MUST_IF_THERE:
        if name in there and name not in names:
            raise Bad(f"{name.decode()} is not signed")
    for name in _ONCE:
        if there.count(name) > max(1, names.count(name)) or (name == b"from" and there.count(name) != 1):
            raise Bad(f"{name.decode()} stands there more often than it was signed")


def tag_list(text: str) -> dict[str, str]:
    """RFC 6376 §3.2; blanks inside of values are taken away. Raises Bad if it is none, or a tag stands twice."""
    tags: dict[str, str] = {}
    parts = text.split(";")
    if not parts[-1].strip():
        parts.pop()
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not _TAG.fullmatch(name) or name in tags:
            raise Bad("it is no list of tags")
        tags[name] = "".join(value.split())
    return tags


# --- The key --------------------------------------------------------------------------------


def _key(signature: Signature, records: Sequence[str]) -> RSAPublicKey | Ed25519PublicKey:
    if len(records) != 1 or len(records[0]) > 4_096:
        raise Bad("there is no key" if not records else "there are several keys")
    tags = tag_list(records[0])
    if tags.get("v", "DKIM1") != "DKIM1" or not tags.get("p"):
        raise Bad("the key was withdrawn, or is none")
    flags, kind = tags.get("t", "").lower().split(":"), tags.get("k", "rsa").lower()
    if "y" in flags:
        raise Bad("the domain only tries DKIM (t=y)")
    if "s" in flags and signature.tags.get("i", "@" + signature.domain).lower().rpartition("@")[2] != signature.domain:
        raise Bad("i= is another domain than the key's (t=s)")
    if "sha256" not in tags.get("h", "sha256").lower().split(":") or not {"*", "email"} & set(tags.get("s", "*").lower().split(":")):
        raise Bad("the key is for something else")
    if kind != signature.tags["a"].lower().partition("-")[0]:
        raise Bad("the key is of another kind")
    octets = _octets(tags["p"])
    try:
        if kind == "ed25519":
            return Ed25519PublicKey.from_public_bytes(octets)
        key = serialization.load_der_public_key(octets)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Bad("the key cannot be read") from None
    if not isinstance(key, RSAPublicKey) or not 1024 <= key.key_size <= 4096:
        raise Bad("the key has too few or too many bits")
    return key


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Bad("it is not base64") from None


# --- Canonical forms (RFC 6376 §3.4) --------------------------------------------------------


def body_hash(body: bytes, form: str) -> Iterator[bytes]:
    """The body in its canonical form, in pieces small enough that other threads have their turn. Raises Bad."""
    if form == "simple":
        end = len(body)
        while body.endswith(b"\r\n", 0, end):
            end -= 2
        for at in range(0, end, _PIECE):
            yield body[at:min(at + _PIECE, end)]
        yield b"\r\n"
        return
    waiting: list[bytes] = []
    empty = size = 0    # empty lines count only if something comes below them
    for line in _lines(body):
        text = _WSP.sub(b" ", line).rstrip(b" ")
        if not text:
            empty += 1
            continue
        waiting += [b"\r\n" * empty, text, b"\r\n"]
        size, empty = size + len(text) + 2 * empty, 0
        if size > _PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def _lines(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        end = body.find(b"\r\n", at)
        end = len(body) if end < 0 else end
        if end - at > LINE:
            raise Bad("a line is too long")
        yield body[at:end]
        at = end + 2


def _digest(pieces: Iterator[bytes]) -> bytes:
    hasher = hashlib.sha256()
    for piece in pieces:
        hasher.update(piece)
    return hasher.digest()


def _header_hash(signature: Signature, fields: Sequence[Field], *, relaxed: bool) -> bytes:
    """§3.7: the signed fields, of several of a name the lowest first; then the signature itself without its b=."""
    left: dict[bytes, list[bytes]] = {}
    for name, whole in fields:
        left.setdefault(name, []).append(whole)
    hasher = hashlib.sha256()
    for signed in signature.tags["h"].split(":"):
        known = left.get(signed.strip().lower().encode())
        if known:
            hasher.update(_form(known.pop(), relaxed=relaxed))
    bare = re.sub(rb"(?<=[;:])([ \t\r\n]*b[ \t\r\n]*=)[^;]*", rb"\1", signature.field[1])
    hasher.update(_form(bare, relaxed=relaxed).removesuffix(b"\r\n"))
    return hasher.digest()


def _form(whole: bytes, *, relaxed: bool) -> bytes:
    if not relaxed:
        return whole if whole.endswith(b"\r\n") else whole + b"\r\n"
    name, _, value = whole.partition(b":")
    unfolded = value.replace(b"\r\n", b"")
    return name.strip(b" \t").lower() + b":" + _WSP.sub(b" ", unfolded).strip(b" ") + b"\r\n"
