from __future__ import annotations

import pytest

from libs.common.jetstream.connecting import without_login


@pytest.mark.parametrize(
    "url",
    [
        "nats://user:canary@nats.example:4222",
        "nats://canary@nats.example:4222",
        "user:canary@nats.example:4222",
        "canary@nats.example:4222",
        "nats://user:can@ary@nats.example:4222",
        "nats://user:canary@nats.example:4222/?token=canary#canary",
    ],
)
def test_sr_37_a_url_in_a_log_line_has_no_login(url: str) -> None:
    assert without_login(url) == "nats://nats.example:4222"


def test_sr_37_each_of_several_urls_loses_its_login() -> None:
    assert without_login("nats://a:canary@one:4222, tls://canary@two:4222") == (
        "nats://one:4222,tls://two:4222"
    )
