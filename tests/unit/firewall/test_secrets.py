"""SR-27: tokens and our own secrets block a text, in any disguise; ordinary code does not."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.publisher.firewall import Policy, clean

OWN = "Zq8-pass/word_42+x"
POLICY = Policy(secrets=(OWN, "plainglsecretvalue"))
BODY = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5"

TOKENS = [
    f"glpat-{BODY[:20]}",
    f"gldt-{BODY[:20]}",
    f"glrt-{BODY[:20]}",
    f"ghp_{BODY}",
    f"gho_{BODY}",
    f"ghs_{BODY}",
    f"github_pat_{BODY[:22]}_{BODY}",
    "AKIA" + "2E5GH7JK9MN1PQ3S",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN",
    "xoxb-123456789012-abcdefGHIJ",
    "AIza" + BODY[:35],
    f"sk-ant-{BODY}",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    f'password = "{BODY[:20]}"',
    f"api_key: '{BODY[:24]}'",
]
RAW = OWN.encode()
DISGUISES = {
    "plain": OWN,
    "reversed": OWN[::-1],
    "base64": base64.b64encode(RAW).decode(),
    "base64 inside more": base64.b64encode(b"x" + RAW + b"yz").decode(),
    "base64 at the third alignment": base64.b64encode(b"xy" + RAW + b"z").decode(),
    "url-safe base64": base64.urlsafe_b64encode(RAW).decode().rstrip("="),
    "base64 in lines": "\n".join(base64.b64encode(RAW).decode()),
    "hex": RAW.hex(),
    "hex in pairs": RAW.hex(":").upper(),
    "url encoded": quote(OWN, safe=""),
    "every byte url encoded": "".join(f"%{b:02x}" for b in RAW),
    "entities": "".join(f"&#{b};" for b in RAW),
    "zero-width between": "\u200b".join(OWN),
    "one character a line": "\n".join(OWN),
    "spaces and emphasis": " ".join(f"**{c}**" for c in OWN),
    "comment between": OWN[:6] + "<!-- -->" + OWN[6:],
    "upper case": OWN.upper(),
}


@pytest.mark.parametrize("token", TOKENS, ids=lambda t: t[:12])
@pytest.mark.parametrize("frame", ["see {} there", "```\n{}\n```", "`{}`", "[a](https://e.x/?{})"])
def test_a_token_blocks_the_text_without_being_shown_sr_27(token, frame):
    cleaned = clean(frame.format(token), policy=POLICY)

    assert cleaned.text == ""
    assert cleaned.blocked is not None
    assert token not in cleaned.blocked


@pytest.mark.parametrize("name", DISGUISES)
def test_an_own_secret_blocks_in_any_disguise_sr_27(name):
    cleaned = clean(f"The value is {DISGUISES[name]} as you see.", policy=POLICY)

    assert cleaned.blocked == "the text contains a secret of this installation"


@given(st.text(max_size=30), st.text(max_size=30))
def test_an_own_secret_blocks_wherever_it_stands_sr_27(before, after):
    assert clean(before + OWN + after, policy=POLICY).blocked is not None


def test_a_split_token_is_found_sr_27():
    assert clean(f"glpat-{BODY[:9]}\n> {BODY[9:24]}", policy=POLICY).blocked is not None
    assert clean(f"ghp\u200b_{BODY}", policy=POLICY).blocked is not None


@pytest.mark.parametrize(
    "text",
    [
        "Commit da39a3ee5e6b4b0d3255bfef95601890afd80709 broke it.",
        "digest sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "id 3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        'token = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"',
        'secret_sha = "da39a3ee5e6b4b0d3255bfef95601890afd80709"',
        "```\nsrc: data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcS\n```",
        'password = os.environ["DATABASE_PASSWORD"]',
        'token = "${CI_JOB_TOKEN_VALUE_1}"',
        'password: "correct-horse-battery-staple"',
        'api_key = "your-api-key-goes-here"',
        "glpat-xxxxxxxxxxxxxxxxxxxx and AKIAIOSFODNN7EXAMPLE",
        "The prefix glpat- marks a token; ghp_ too.",
        "class PasswordResetTokenGeneratorFactoryBuilder: ...",
        "secret = get_secret('projects/42/secrets/name')",
        "-----BEGIN CERTIFICATE-----",
    ],
)
def test_ordinary_code_does_not_make_a_review_vanish(text):
    assert clean(text, policy=POLICY).blocked is None


def test_short_settings_do_not_block():
    assert clean("a b test", policy=Policy(secrets=("test", "", "a"))).blocked is None


def test_a_policy_never_shows_its_secrets():
    assert OWN not in repr(POLICY)
