"""The short form of the proof: 200 webhooks, an instant runner, three real sessions, kill -9.

The long form is `make chaos`. A failure says with which seed it can be repeated.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.chaos.run import Plan, run

pytestmark = [pytest.mark.e2e, pytest.mark.real, pytest.mark.timeout(400)]


def seed() -> int:
    """Another one each time, so that each run proves something; CHAOS_SEED repeats one."""
    return int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))


async def test_nothing_is_lost_and_nothing_is_doubled_while_everything_is_killed(tmp_path: Path):
    report = await run(Plan(seed=seed(), webhooks=200, merge_requests=20, poll=True), tmp_path)

    print(report)
    assert report.good, str(report)
    assert {"ingest", "reviewer", "coder", "publisher", "nats"} <= report.kills.keys()
    assert {"review posted", "ask posted", "coding posted"} <= report.verdict.outcomes.keys()


async def test_the_proof_has_teeth_a_publisher_that_does_not_look_is_caught(tmp_path: Path):
    plan = Plan(
        seed=4711,
        webhooks=40,
        merge_requests=6,
        real_sessions=0,
        blind=True,
        rest=10,
    )
    report = await run(plan, tmp_path)

    assert report.verdict.doubled, str(report)
