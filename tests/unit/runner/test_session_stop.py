"""The end of a session whose CLI is gone, or does not listen: ended, and told in one plain line."""

from __future__ import annotations

import pytest
import structlog
from copilot.client import StopError

from services.runner.session import _stop


class Client:
    """A CLI that takes its leave with `error`."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.forced = False

    async def stop(self) -> None:
        raise self._error

    async def force_stop(self) -> None:
        self.forced = True


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (
            ExceptionGroup(
                "errors during CopilotClient.stop()", [StopError("CLI gone"), OSError()]
            ),
            "CLI gone; OSError",
        ),
        (TimeoutError(), "no answer within 10 s"),
        (RuntimeError("not connected"), "not connected"),
    ],
)
async def test_a_session_that_does_not_stop_is_ended_with_a_plain_line(error, why):
    client = Client(error)

    with structlog.testing.capture_logs() as lines:
        await _stop(client)

    assert client.forced
    assert [why] == [line["why"] for line in lines]
