"""How a process proves to NATS who it is, and new keys for the users of a server.

Read by `libs.common.jetstream.connection`; `gca nats-users` makes the keys. Formats: nkeys
(nats-architecture ADR-14: seeds `SU…`, public keys `U…`) and .creds files (a JWT with its seed).
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import NamedTuple

import nkeys  # type: ignore[import-untyped]  # it has no stubs

from libs.common.errors import SettingsError

_SEED = re.compile(r"S([A-Z])[A-Z2-7]{56}")
_PUBLIC = re.compile(r"[A-Z][A-Z2-7]{55}")
_CREDS = ("BEGIN NATS USER JWT", "BEGIN USER NKEY SEED")
_SEED_BYTES = 32
_LARGEST = 64 * 1024
_KINDS = {"A": "an account", "C": "a cluster", "N": "a server", "O": "an operator"}


class Keys(NamedTuple):
    """A new user: the seed is its secret, the public key is what the server knows."""

    seed: str
    public: str


def new_user() -> Keys:
    """Keys of one user, from the system's randomness."""
    seed = nkeys.encode_seed(secrets.token_bytes(_SEED_BYTES), nkeys.PREFIX_BYTE_USER)
    pair = nkeys.from_seed(bytearray(seed))
    return Keys(seed=bytes(seed).decode(), public=bytes(pair.public_key).decode())


def login(file: Path) -> dict[str, str]:
    """The client's option for this file, by its content; it is read again at each connect.

    Raises `SettingsError` when it can be no login; its words never hold what the file holds.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(_LARGEST).decode("ascii", "replace").strip()
    except OSError as error:
        raise _wrong(file, f"cannot be read: {error.strerror}") from None
    if all(mark in text for mark in _CREDS):
        return {"user_credentials": str(file)}
    problem = _problem(text)
    if problem:
        raise _wrong(file, problem)
    return {"nkeys_seed": str(file)}


def _problem(text: str) -> str:
    """Why this is no seed of a user; empty when it is one."""
    seed = _SEED.fullmatch(text)
    if seed and seed[1] == "U":
        return "" if _adds_up(text) else "holds a damaged nkey seed: its checksum is wrong"
    if seed:
        kind = _KINDS.get(seed[1], "something else")
        return f"holds the nkey seed of {kind}, not of a user (SU…)"
    if _PUBLIC.fullmatch(text):
        return "holds a public nkey; it is the seed (SU…) that proves who we are"
    if any(mark in text for mark in _CREDS):
        return "holds half of a .creds file: both the user's JWT and its nkey seed are needed"
    return "holds neither a .creds file nor the nkey seed of a user (one line, SU…)"


def _adds_up(seed: str) -> bool:
    """The library decodes a seed without a look at its checksum, and logs in as nobody."""
    try:
        prefix, raw = nkeys.decode_seed(bytearray(seed.encode()))
    except (nkeys.NkeysError, ValueError):
        return False
    return bool(nkeys.encode_seed(bytes(raw), prefix) == seed.encode())


def _wrong(file: Path, problem: str) -> SettingsError:
    return SettingsError([f"NATS_CREDENTIALS: {file} {problem}"])
