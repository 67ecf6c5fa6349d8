"""The signing keys of this desk: ``keys.json`` in the state directory, mode 0600.

Made once, at the first start. Whoever reads the file can forge reply addresses, so a file that
group or world may read is refused. Old keys stay in the file and go on verifying:
``{"current": "b", "secrets": {"a": "<base64>", "b": "<base64>"}}``.

Limits: rotation is an edit of this file and a restart; the modes are those of POSIX, not ACLs.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import stat
from pathlib import Path

from gateway.core.token import Keyring
from gateway.errors import StateError

NAME = "keys.json"
SECRET_BYTES = 32


def keys(state: Path) -> Keyring:
    """The keys of ``state``; made and made durable if there are none yet."""
    path = state / NAME
    if not path.exists():
        _make(path)
    return _read(path)


def passing_keys(state: Path) -> Keyring:
    """As ``keys``, but nothing is written: before the first start, keys nobody has ever used."""
    if (state / NAME).exists():
        return _read(state / NAME)
    return Keyring(current="a", secrets=(("a", secrets.token_bytes(SECRET_BYTES)),))


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = json.dumps(
        {
            "current": "a",
            "secrets": {"a": base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()},
        }
    )
    new = path.with_name(f"{NAME}.{os.getpid()}.tmp")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, text.encode() + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)
    try:
        # link() refuses to replace: of two first starts at once, one pair of keys wins.
        os.link(new, path)
    except FileExistsError:
        pass
    finally:
        new.unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read(path: Path) -> Keyring:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise StateError(f"{path} holds the signing keys but has mode {mode:04o}; run: chmod 600 {path}")
        document = json.loads(path.read_text("ascii"))
        found = {str(k): base64.b64decode(v, validate=True) for k, v in document["secrets"].items()}
        current = document["current"]
    except OSError as e:
        raise StateError(f"{path} cannot be read ({e.strerror}); run as the user that owns it") from e
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise StateError(f"{path} is not the key file we wrote; restore it from a backup") from e
    sound = all(re.fullmatch("[a-z]", k) and len(v) >= SECRET_BYTES for k, v in found.items())
    if not sound or current not in found:
        raise StateError(f"{path} lacks its current key or holds a short one; restore it from a backup")
    return Keyring(current=current, secrets=tuple(sorted(found.items())))
