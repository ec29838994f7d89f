"""What `/readyz` says of checks, which decide, and of details, which are only shown."""

from __future__ import annotations

import aiohttp
import pytest

from libs.common.service import Check, Health


def says(what: str | None) -> Check:
    async def check() -> str | None:
        return what

    return check


@pytest.mark.parametrize(
    ("check", "detail", "status", "body"),
    [
        (
            None,
            "a hook is off",
            200,
            {"status": "ready", "checks": {"log": "ok"}, "details": {"hooks": "a hook is off"}},
        ),
        (
            "NATS is away",
            None,
            503,
            {
                "status": "not ready",
                "checks": {"log": "NATS is away"},
                "details": {"hooks": "ok"},
            },
        ),
    ],
)
async def test_a_detail_is_shown_and_never_makes_a_service_unready(
    check: str | None, detail: str | None, status: int, body: object
) -> None:
    health = Health()
    async with health.serving("127.0.0.1", 0) as port, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/readyz"
        async with session.get(url) as starting:
            assert (503, {"status": "starting"}) == (starting.status, await starting.json())
        health.checks, health.details = {"log": says(check)}, {"hooks": says(detail)}
        async with session.get(url) as answer:
            assert (status, body) == (answer.status, await answer.json())


async def test_without_details_none_are_shown() -> None:
    health = Health()
    health.checks = {}
    async with (
        health.serving("127.0.0.1", 0) as port,
        aiohttp.request("GET", f"http://127.0.0.1:{port}/readyz") as answer,
    ):
        assert {"status": "ready", "checks": {}} == await answer.json()
