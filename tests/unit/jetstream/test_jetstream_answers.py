from __future__ import annotations

import pytest

from libs.common.errors import Temporary
from libs.common.jetstream.answers import Refused, read_answer
from libs.common.jetstream.reading import read_headers, read_time


@pytest.mark.parametrize("body", [b"", b"hello", b"[1]", b"{", b"\xff\xfe", b"null"])
def test_an_answer_that_is_none_is_tried_again(body: bytes) -> None:
    with pytest.raises(Temporary, match="no JetStream answer") as caught:
        read_answer(body)
    assert caught.value.peer == "nats"


def test_a_full_stream_is_said_in_words_and_is_temporary() -> None:
    body = b'{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}'
    with pytest.raises(Temporary, match="log is full"):
        read_answer(body)


def test_a_server_that_is_not_ready_is_temporary() -> None:
    with pytest.raises(Temporary, match="not ready"):
        read_answer(b'{"error":{"code":503,"err_code":10008,"description":"unavailable"}}')


def test_a_refusal_keeps_the_servers_number() -> None:
    with pytest.raises(Refused) as caught:
        read_answer(b'{"error":{"code":400,"err_code":10071,"description":"wrong last"}}')
    assert caught.value.number == 10071


def test_a_time_of_the_server_is_read_to_the_microsecond() -> None:
    assert read_time("2026-01-05T12:00:00.123456789Z").isoformat() == (
        "2026-01-05T12:00:00.123456+00:00"
    )
    assert read_time("2026-01-05T12:00:00Z").isoformat() == "2026-01-05T12:00:00+00:00"
    assert read_time("2026-01-05T12:00:00.5Z").microsecond == 500_000


def test_a_header_block_is_read_line_by_line() -> None:
    block = "NATS/1.0\r\nce-id: ü\r\nempty:\r\nurl: http://x:1\r\n\r\n".encode()
    assert read_headers(block) == {"ce-id": "ü", "empty": "", "url": "http://x:1"}
    assert read_headers(b"") == {}
