"""`python -m tests.chaos`: the proof in any length; prints its numbers, exits 1 when it fails.

make chaos                                     2,000 webhooks on one server, then on three
.venv/bin/python -m tests.chaos --seed 7       one run, repeated
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

import structlog

from tests.chaos.run import Plan, run


def main() -> int:
    given = _arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="gca-chaos-"))
    plan = Plan(
        seed=seed,
        webhooks=given.webhooks,
        merge_requests=given.merge_requests,
        nodes=given.nodes,
        poll=given.poll,
        slow_faults=given.slow,
        hang=given.slow > 2,
        real_sessions=given.real,
        blind=given.blind,
        rest=given.rest,
    )
    report = asyncio.run(run(plan, folder))
    print(report, flush=True)
    if report.good:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"logs are in {folder}", flush=True)
    return 0 if report.good else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="repeat a run; else a new one is printed")
    parser.add_argument("--webhooks", type=int, default=2000)
    parser.add_argument("--merge-requests", type=int, default=200)
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="NATS servers")
    parser.add_argument("--poll", action="store_true", help="the poller instead of Resend")
    parser.add_argument("--real", type=int, default=3, help="sessions with the real CLI")
    parser.add_argument("--slow", type=int, default=10, help="writes that lose their answer")
    parser.add_argument("--rest", type=float, default=90, help="seconds without any event")
    parser.add_argument(
        "--blind", action="store_true", help="a publisher that does not look: must fail"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
