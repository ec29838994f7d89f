"""From what was measured to the rows of the table: pure. Calls are in `call_rows`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from bench.footprint import Start, Weight
from bench.history import Reads
from bench.intake import CONNECTIONS, Intake
from bench.numbers import Spread, milliseconds, ratio, seconds, spread
from bench.patches import Passage
from bench.reviews import Review
from bench.table import Row

SHARE = 0.75
WAITING = 0.1
SESSION = 1.5
READY = 0.8
MEMORY = 60.0
PASSAGE = 1.0


def intake_share(found: Intake) -> Row:
    share = spread(found.shares)
    return Row(
        name="durable webhooks a second, as a share of a bare handler's",
        seen=ratio(share),
        asked=f"at least {SHARE}",
        holds=share.median >= SHARE,
        how=f"`python -m services.ingest` against aiohttp that publishes the same event bytes and "
        f"waits for the ack, a process each, {CONNECTIONS} connections, "
        f"{found.hooks} distinct 6 KB hooks a round, turn about; each on its own nats-server with "
        "`sync_interval: always`",
    )


def intake_rates(found: Intake) -> list[Row]:
    ours = [load.rate for load, _ in found.pairs]
    bare = [load.rate for _, load in found.pairs]
    p99 = statistics.median(load.p99 for load, _ in found.pairs)
    return [
        Row(
            name="durable webhooks a second",
            seen=f"{statistics.median(ours):.0f} (bare handler {statistics.median(bare):.0f})",
            how=f"the same rounds, medians; half of the hooks are answered within "
            f"{statistics.median(load.p50 for load, _ in found.pairs) * 1000:.0f} ms, "
            f"99 % within {p99 * 1000:.0f} ms",
        )
    ]


def passages(found: Sequence[Passage]) -> list[Row]:
    own, door = spread([one.own for one in found]), spread([one.door for one in found])
    whole = spread([one.whole for one in found])
    return [
        Row(
            name=f"a patch of {found[0].size / 1e6:.0f} MB through door, store and publisher",
            seen=seconds(own),
            asked=f"under {PASSAGE:.0f} s",
            holds=own.median < PASSAGE,
            how="from the result's first byte at the task door to the record of its commit, less "
            f"git's time (its commands and pushes) and the simulated GitLab's; {seconds(door)} of "
            f"it to the door's answer, {seconds(whole)} with git and GitLab; median and range of "
            f"{own.count}",
        )
    ]


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


def starts(found: Mapping[str, Start]) -> list[Row]:
    return [
        Row(
            name=f"{name}: process start to ready",
            seen=f"{start.ready:.2f} s (imports {start.imports:.2f} s)",
            asked=f"under {READY} s",
            holds=start.ready < READY,
            how="until `/readyz` answers 200, NATS being up; imports by a Python of their own; "
            "medians",
        )
        for name, start in found.items()
    ]


def start_lists(found: Mapping[str, Start]) -> list[tuple[str, list[str]]]:
    lines = [
        f"{name}: "
        + ", ".join(f"{package} {took * 1000:.0f} ms" for package, took in start.dominators)
        for name, start in found.items()
    ]
    return [("What imports cost (`python -X importtime`, own time by package)", lines)]


def growth_lists(found: Mapping[str, float]) -> list[tuple[str, list[str]]]:
    lines = [f"{name}: {size:.1f} MB" for name, size in found.items()]
    return [("What imports weigh (resident memory that each adds, in this order)", lines)]


def weights(found: Mapping[str, Weight], hooks: int) -> list[Row]:
    return [
        Row(
            name=f"{name}: memory",
            seen=f"{weight.idle.rss:.0f} MB idle, {weight.after.rss:.0f} MB after "
            f"(PSS {weight.idle.pss:.0f} and {weight.after.pss:.0f})",
            asked=f"under {MEMORY:.0f} MB",
            holds=max(weight.idle.rss, weight.after.rss) < MEMORY,
            how=f"resident memory idle and after {hooks:,} webhooks, each of which the services "
            "handled to its end; PSS counts shared pages by their share (`smaps_rollup`)",
        )
        for name, weight in found.items()
    ]


def history(found: Reads) -> list[Row]:
    direct, consumer = spread(found.direct), spread(found.consumer)
    return [
        Row(
            name="history of one merge request, direct get as a share of a consumer's time",
            seen=f"{direct.median / consumer.median:.2f}",
            how=f"medians of {direct.count} and {consumer.count} reads; the other way is an "
            "ephemeral consumer, made, read to its end and deleted",
        ),
        Row(
            name=f"history of one merge request, {found.events:,} events in the log",
            seen=f"{milliseconds(direct)}; by a consumer {milliseconds(consumer)}",
            how=f"`JetStreamLog.history` of {found.found} events (one direct `multi_last` get), "
            f"median and range of {direct.count}",
        ),
    ]


def _timed(name: str, values: Spread, limit: float, how: str) -> Row:
    return Row(
        name=name,
        seen=milliseconds(values),
        asked=f"under {limit * 1000:.0f} ms",
        holds=values.median < limit,
        how=f"{how}; median and range of {values.count}",
    )
