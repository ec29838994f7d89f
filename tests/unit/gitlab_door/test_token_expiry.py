"""When the service's token expires is a metric, and never in the way of the service (SR-38)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date

import pytest
import structlog
from prometheus_client import CollectorRegistry

from libs.common import metrics
from libs.common.gitlab.errors import NotFound, Unavailable
from libs.common.gitlab.expiry import AGAIN_SECONDS, DAY_SECONDS, TokenExpiry
from libs.common.gitlab.models import AccessToken

MIDNIGHT = 1_767_571_200
"""2026-01-05T00:00:00Z."""


class GitLab:
    """Tells of one token, or fails with what it was given."""

    def __init__(self, answer: AccessToken | Exception) -> None:
        self.answer = answer
        self.asked = asyncio.Event()

    async def token(self) -> AccessToken:
        self.asked.set()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def shown() -> Iterator[object]:
    registry = CollectorRegistry()
    metrics.configure("test", registry=registry)
    yield lambda: registry.get_sample_value("gca_gitlab_token_expiry_timestamp_seconds")
    metrics.shutdown()


async def test_sr_38_the_expiry_of_the_token_is_a_metric(shown):
    gitlab, stopping = GitLab(AccessToken(expires_at=date(2026, 1, 5))), asyncio.Event()

    running = asyncio.create_task(TokenExpiry(gitlab, first=0).run(stopping))
    async with asyncio.timeout(10):
        await gitlab.asked.wait()
        stopping.set()
        await running

    assert MIDNIGHT == shown()


async def test_a_token_without_an_expiry_date_has_no_metric(shown):
    assert DAY_SECONDS == await TokenExpiry(GitLab(AccessToken())).look()

    assert shown() is None


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(NotFound("404", status=404), DAY_SECONDS), (Unavailable("away"), AGAIN_SECONDS)],
)
async def test_a_look_that_fails_is_one_line_and_comes_again(shown, error, seconds):
    with structlog.testing.capture_logs() as lines:
        assert seconds == await TokenExpiry(GitLab(error)).look()

    assert [str(error)] == [line["why"] for line in lines]
    assert shown() is None


async def test_a_service_that_ends_does_not_wait_for_the_look(shown):
    stopping = asyncio.Event()
    stopping.set()
    gitlab = GitLab(AccessToken())

    async with asyncio.timeout(10):
        await TokenExpiry(gitlab).run(stopping)

    assert not gitlab.asked.is_set()
    assert shown() is None
