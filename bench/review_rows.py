"""How long reviews wait for our own parts, and for their sessions: rows of the table, pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench.numbers import Spread, milliseconds, seconds, spread
from bench.reviews import Review
from bench.table import Row

WAITING = 0.1
SESSION = 1.5


def waiting(reviews: Sequence[Review]) -> list[Row]:
    to_job = spread([review.to_job for review in reviews])
    to_step = spread([review.to_step for review in reviews])
    rows = [
        _timed(
            "webhook to the Job's launch",
            to_job,
            WAITING,
            "from the start of the webhook's handler to the launcher's claim (`job.json`), less "
            "the time in which the simulated GitLab worked on the reviewer's calls",
        ),
        _timed(
            "webhook to the Job's own process",
            to_step,
            WAITING,
            "the same, to the supervisor that starts the first step (a new Python)",
        ),
    ]
    for number in sorted({review.findings for review in reviews}):
        late = spread([r.to_last_call for r in reviews if r.findings == number])
        rows.append(
            _timed(
                f"result to the last GitLab call, {number} findings",
                late,
                WAITING,
                "from the result's time in the log to the publisher's last answer, less the time "
                "in which the simulated GitLab worked on its calls",
            )
        )
    return rows


def sessions(reviews: Sequence[Review]) -> list[Row]:
    """The first review unpacks the CLI, the others find it unpacked."""
    first, later = reviews[:1], reviews[1:]
    rows = []
    for name, some in (("first task", first), ("a later task", later)):
        if not some:
            continue
        stage = spread([review.session_stage for review in some])
        rows.append(
            Row(
                name=f"session start, {name}",
                seen=seconds(stage),
                asked="" if some is first else f"under {SESSION} s",
                holds=None if some is first else stage.median < SESSION,
                how="the result's stage `start`: the Copilot CLI up and its session made"
                + (", with an empty cache" if some is first else ", with the shared cache"),
            )
        )
    whole = spread([review.session for review in later or first])
    rows.append(
        Row(
            name="from the step's process to its session, a later task",
            seen=seconds(whole),
            asked=f"under {SESSION} s",
            holds=whole.median < SESSION,
            how="from the start of `python -m services.runner run` to the log line `session "
            "started`; the time above, and imports (the SDK's), the spec and the diff",
        )
    )
    return rows


def _timed(name: str, values: Spread, limit: float, how: str) -> Row:
    return Row(
        name=name,
        seen=milliseconds(values),
        asked=f"under {limit * 1000:.0f} ms",
        holds=values.median < limit,
        how=f"{how}; median and range of {values.count}",
    )
