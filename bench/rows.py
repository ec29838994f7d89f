"""From what was measured to the rows of the table: pure.

Called by `__main__`; `review_rows` and `call_rows` have those of reviews and of calls.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from bench.footprint import Start, Weight
from bench.history import Reads
from bench.intake import CONNECTIONS, Intake
from bench.numbers import milliseconds, ratio, seconds, spread
from bench.patches import Passage
from bench.polling import Polled
from bench.reconciling import Reconciled
from bench.replays import Replayed
from bench.table import Row
from bench.throughput import Throughput

SHARE = 0.75
READY = 0.8
MEMORY = 60.0
PASSAGE = 1.0
PASS = 5.0


def intake_share(found: Intake) -> Row:
    share = spread(found.shares)
    claimed = found.connections == CONNECTIONS
    return Row(
        name="durable webhooks a second, as a share of a bare handler's, "
        + _connections(found.connections),
        seen=ratio(share),
        asked=f"at least {SHARE}" if claimed else "",
        holds=share.median >= SHARE if claimed else None,
        how="`python -m services.ingest` against aiohttp that publishes the same event bytes and "
        "waits for the ack, a process each, "
        f"{found.hooks} distinct 6 KB hooks a round, turn about; each on its own nats-server with "
        "`sync_interval: always`",
    )


def _connections(number: int) -> str:
    return f"{number} connection{'s' if number > 1 else ''}"


def intake_rates(found: Intake) -> list[Row]:
    ours = [load.rate for load, _ in found.pairs]
    bare = [load.rate for _, load in found.pairs]
    p99 = statistics.median(load.p99 for load, _ in found.pairs)
    return [
        Row(
            name=f"durable webhooks a second, {_connections(found.connections)}",
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


def large_starts(found: Reads) -> list[Row]:
    return [
        Row(
            name=f"{name}: process start to ready, {found.events:,} events in the log",
            seen=seconds(spread(times)),
            asked=f"under {READY} s",
            holds=spread(times).median < READY,
            how="the same with the log above, all of it handled before; median and range of "
            f"{len(times)}",
        )
        for name, times in found.ready.items()
    ]


def replayed(found: Replayed) -> Row:
    return Row(
        name="events a second that `gca replay` appends",
        seen=f"{found.appended / found.appending:.0f}",
        how=f"{found.appended:,} events with `--rate` out of the way, each one on disk before the "
        f"next; {found.whole - found.appending:.1f} s before that to find them and what became of "
        f"each, among {found.facts:,} facts and {found.events:,} events",
    )


def polled(found: Sequence[Polled]) -> list[Row]:
    """The calls first: they must not grow with open merge requests."""
    projects = found[0].projects
    seen = [f"{one.calls} with {one.projects * one.open_in_each:,} open" for one in found]
    what = f"a look of the poller at {projects:,} projects in which nothing changed"
    return [
        Row(
            name=f"GitLab calls for {what}",
            seen=", ".join(seen),
            asked="the same however many are open",
            holds=len({one.calls for one in found}) == 1,
            how="the simulated GitLab's request log, one group. A look costs groups + projects + "
            "floor(R / 100) + M calls; projects is the number of GITLAB_PROJECTS, or 1 where they "
            "are more than 20; R merge requests changed since the last look or within "
            "GITLAB_POLL_OVERLAP before it; M of them changed since they were looked into",
        ),
        *(
            Row(
                name=f"{what}, {one.open_in_each} open in each",
                seen=milliseconds(spread(one.seconds)),
                how="the simulated GitLab's answer and taking the lease included; median and "
                f"range of {len(one.seconds)}",
            )
            for one in found
        ),
    ]


def reconciled(found: Reconciled) -> Row:
    took = spread(found.seconds)
    return Row(
        name=f"first pass after a restart over {found.tasks:,} open tasks, {found.jobs:,} with a "
        "running Job",
        seen=seconds(took),
        asked=f"under {PASS:.0f} s",
        holds=took.median < PASS,
        how="a fresh reconciler on Kubernetes: reads the log, the launch counts and the slots, "
        "connects and lists Jobs and pods of a small API server in the same process, renews the "
        f"slot of each Job; the client library is imported before; median and range of "
        f"{took.count}",
    )


def throughput(found: Throughput) -> Row:
    rate = found.reviews / found.seconds
    return Row(
        name="end to end, instant runner",
        seen=f"{rate:.1f} reviews a second, {rate * found.events / found.reviews:.0f} events",
        how=f"{found.reviews} merge requests whose webhooks come at once, to the last review's "
        f"record, {found.slots} tasks at a time; real services, launcher and task door, and a Job "
        "that hands in a review without findings; most of it is starting processes",
    )


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
