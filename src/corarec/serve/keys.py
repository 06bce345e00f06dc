"""API keys: what a file keeps of them is a hash, and so is what one that comes is looked up by."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from corarec.errors import ConfigError
from corarec.files import atomic_file
from corarec.locks import lock_beside, locked
from corarec.system_errors import storage_errors

Kind = Literal["read", "write"]
PREFIX = "corarec_"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")
_NO_DIGEST = "-" * 64


@dataclass(frozen=True)
class Key:
    """What is kept of a key."""

    name: str
    kind: Kind
    digest: str
    """Its SHA-256. A key holds 256 random bits, so no slow hash is needed to protect it."""


class Keys:
    """The keys that are accepted.

    Parameters
    ----------
    keys
        None: nobody needs a key.
    """

    def __init__(self, keys: tuple[Key, ...] | None) -> None:
        self._keys = None if keys is None else {key.digest: key for key in keys}

    @property
    def wanted(self) -> bool:
        """Whether a key is needed."""
        return self._keys is not None

    def kind(self, given: str) -> Kind | None:
        """Return what a key may do; None where it is not one of these."""
        # By their digests, which nobody can choose: how long that takes tells nothing of a key.
        # The comparison that decides takes as long whatever comes.
        digest = _digest(given)
        found = (self._keys or {}).get(digest)
        alike = hmac.compare_digest(_NO_DIGEST if found is None else found.digest, digest)
        return found.kind if found is not None and alike else None


def read_keys(path: Path | None) -> Keys:
    """Read the file of keys; without one none is needed.

    Raises
    ------
    ConfigError
        A line is not `NAME KIND HASH`, a name comes twice, or there is no key in the file.
    StorageError
        The system refuses to read it.
    """
    if path is None:
        return Keys(None)
    keys = _lines(path)
    if not keys:
        raise ConfigError(
            f"{path} holds no key, so nobody could ask the service anything. Make one with "
            f"`corarec api-key --keys {path} --name NAME --kind read`."
        )
    return Keys(tuple(keys))


def add_key(path: Path, name: str, kind: Kind) -> str:
    """Make a key, put its hash into the file (readable by its owner alone) and return the key.

    Raises
    ------
    ConfigError
        The name is taken or no name, or the file is not one of keys.
    InUseError
        Another process is adding one.
    StorageError
        The system refuses to write.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"The name of the key is {name!r}; wanted are 1 to 64 letters, digits, dots, dashes "
            "and underscores."
        )
    with locked(lock_beside(path), f"The file of keys {path}"):
        keys = _lines(path) if path.exists() else []
        if any(key.name == name for key in keys):
            raise ConfigError(
                f"{path} has a key named {name!r}. Choose another name, or delete its line first."
            )
        given = PREFIX + secrets.token_urlsafe(32)
        keys.append(Key(name, kind, _digest(given)))
        with atomic_file(path) as temporary:
            temporary.touch(mode=0o600)
            lines = [f"{key.name} {key.kind} {key.digest}\n" for key in keys]
            temporary.write_text("".join(lines), "utf-8")
    return given


def _lines(path: Path) -> list[Key]:
    with storage_errors(path):
        text = path.read_bytes().decode("utf-8", "replace")
    keys: dict[str, Key] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if not _is_key(words) or words[0] in keys:
            raise ConfigError(
                f"{path}, line {number}, is {line!r:.80}; wanted is a name of its own, read or "
                "write, and the SHA-256 of the key, as `corarec api-key` writes it."
            )
        name, kind, digest = words
        keys[name] = Key(name, "write" if kind == "write" else "read", digest)
    return list(keys.values())


def _is_key(words: list[str]) -> bool:
    return (
        len(words) == 3
        and _NAME.fullmatch(words[0]) is not None
        and words[1] in get_args(Kind)
        and _HASH.fullmatch(words[2]) is not None
    )


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
