"""NATS_CREDENTIALS may name a .creds file or the seed of a user; all else is said and not shown."""

from __future__ import annotations

import re
from pathlib import Path

import nkeys
import pytest

from libs.common.errors import SettingsError
from libs.common.jetstream.credentials import login, new_user

SEED = new_user().seed
CREDS = f"""-----BEGIN NATS USER JWT-----
eyJ0eXAiOiJKV1QifQ.e30.c2ln
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{SEED}
------END USER NKEY SEED------
"""


def file_with(folder: Path, text: str) -> Path:
    file = folder / "nats"
    file.write_text(text)
    return file


def seed_of(prefix: int) -> str:
    return nkeys.encode_seed(b"x" * 32, prefix).decode()


def test_new_users_have_keys_of_their_own():
    first, second = new_user(), new_user()

    assert first.seed != second.seed
    for keys in (first, second):
        assert re.fullmatch("SU[A-Z2-7]{56}", keys.seed)
        assert keys.public == nkeys.from_seed(bytearray(keys.seed.encode())).public_key.decode()


@pytest.mark.parametrize(
    "text", [SEED, f"{SEED}\n", f"  {SEED}\r\n\n"], ids=["bare", "line", "space"]
)
def test_a_seed_is_a_login(tmp_path, text):
    file = file_with(tmp_path, text)

    assert {"nkeys_seed": str(file)} == login(file)


def test_a_creds_file_is_a_login(tmp_path):
    file = file_with(tmp_path, CREDS)

    assert {"user_credentials": str(file)} == login(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds neither a .creds file nor the nkey seed"),
        ("nats://user:canary@nats", "holds neither a .creds file nor the nkey seed"),
        ("\x00\xff" * 40_000, "holds neither a .creds file nor the nkey seed"),
        (f"{SEED}\n{SEED}", "holds neither a .creds file nor the nkey seed"),
        (SEED[:20] + ("A" if SEED[20] != "A" else "B") + SEED[21:], "checksum is wrong"),
        (SEED[:-1], "holds neither a .creds file nor the nkey seed"),
        (seed_of(nkeys.PREFIX_BYTE_ACCOUNT), "the nkey seed of an account, not of a user"),
        (seed_of(nkeys.PREFIX_BYTE_OPERATOR), "the nkey seed of an operator, not of a user"),
        (new_user().public, "a public nkey; it is the seed"),
        (CREDS.partition("-----BEGIN USER NKEY")[0], "half of a .creds file"),
    ],
    # Seeds are made anew by each worker, which must all name the same tests.
    ids=range(10),
)
def test_sr_37_what_is_no_login_is_named_and_its_content_is_not_shown(tmp_path, text, said):
    file = file_with(tmp_path, text)

    with pytest.raises(SettingsError) as caught:
        login(file)

    assert str(caught.value).startswith(f"NATS_CREDENTIALS: {file} ")
    assert said in str(caught.value)
    assert not text.strip() or text.strip()[:12] not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"NATS_CREDENTIALS: .*gone cannot be read"):
        login(tmp_path / "gone")
