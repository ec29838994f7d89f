"""`gca` commands that work on the log, run in the test's own process."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable

from services.ops.__main__ import ON_THE_LOG, parser
from services.ops.doctor.situation import Situation
from services.ops.terminal import Terminal

Gca = Callable[..., Awaitable[tuple[int, str]]]
"""Words of the command line, and what a person answers, to the exit code and what was printed."""


def gca_at(nats_url: str, command: str) -> Gca:
    async def run(*words: str, answer: str = "n") -> tuple[int, str]:
        out = io.StringIO()
        code = await ON_THE_LOG[command](
            parser().parse_args([command, *words]),
            Situation(given={"NATS_URL": nats_url}),
            Terminal(out, out, None, colored=False),
            ask=lambda _: answer,
        )
        return code, out.getvalue()

    return run
