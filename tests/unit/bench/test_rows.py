"""From measurements to claims: what holds, and by which figure."""

from __future__ import annotations

from bench import call_rows, review_rows, rows
from bench.commands import CODE, JIRA, Command
from bench.footprint import Memory, Start, Weight
from bench.history import Reads
from bench.intake import Intake, Load
from bench.patches import Passage
from bench.polling import Polled
from bench.reconciling import Reconciled
from bench.replays import Replayed
from bench.reviews import Review
from bench.throughput import Throughput


def load(rate: float) -> Load:
    return Load(seconds=1000 / rate, statuses={"202": 1000}, p50=0.03, p99=0.06)


def review(findings: int, calls: dict[str, int], session: float = 0.9) -> Review:
    return Review(
        findings=findings,
        placed=findings,
        to_job=0.05,
        to_step=0.12,
        to_last_call=0.04,
        session=2.0,
        session_stage=session,
        stages={},
        calls=calls,
        fetches=3,
    )


def test_the_share_that_counts_is_the_median_of_the_pairs():
    found = Intake(
        connections=64,
        pairs=((load(800), load(1000)), (load(740), load(1000)), (load(100), load(1000))),
        hooks=1000,
    )

    row = rows.intake_share(found)

    assert (False, "0.74") == (row.holds, row.seen[:4])


def test_only_at_64_connections_a_share_is_asked_for():
    found = Intake(connections=1, pairs=((load(400), load(1000)),), hooks=1000)

    row = rows.intake_share(found)

    assert ("", None) == (row.asked, row.holds)
    assert row.name.endswith(", 1 connection")


def test_the_review_with_most_calls_stands_for_its_number_of_findings():
    few = review(5, {"GET /a": 7, "POST /b": 7})
    many = review(5, {"GET /a": 8, "POST /b": 7})

    [row] = call_rows.calls([few, many])

    assert "15 of 15 allowed, 7 of them writes (7 allowed)" == row.seen
    assert row.holds


def test_a_write_too_many_breaks_the_claim():
    [row] = call_rows.calls([review(0, {"GET /a": 3, "POST /b": 3})])

    assert row.holds is False


def test_only_later_sessions_must_start_quickly():
    first, later, _ = review_rows.sessions(
        [review(0, {}, 2.5), review(0, {}, 0.9), review(0, {}, 1.0)]
    )

    assert (None, True) == (first.holds, later.holds)
    assert "2.50 s (2.50 to 2.50)" == first.seen


def test_one_session_alone_is_the_first():
    assert "session start, first task" == review_rows.sessions([review(0, {})])[0].name


def test_memory_must_hold_before_and_after_the_hooks():
    small, large = Memory(rss=50.0, pss=40.0), Memory(rss=61.0, pss=45.0)

    [row] = rows.weights({"ingest": Weight(idle=small, after=large)}, 10_000)

    assert (False, "50 MB idle, 61 MB after (PSS 40 and 45)") == (row.holds, row.seen)


def test_a_start_is_written_with_its_imports():
    start = Start(imports=0.4, ready=0.6, dominators=(("aiohttp", 0.11), ("nats", 0.03)))

    [row] = rows.starts({"ingest": start})
    [(_, lines)] = rows.start_lists({"ingest": start})

    assert "0.60 s (imports 0.40 s)" == row.seen
    assert ["ingest: aiohttp 110 ms, nats 30 ms"] == lines


def test_a_history_is_a_share_and_a_time():
    found = Reads(events=300_000, found=20, direct=(0.001, 0.001), consumer=(0.01,), ready={})

    share, times = rows.history(found)

    assert "0.10" == share.seen
    assert "1.0 ms (1.0 to 1.0); by a consumer 10 ms (10 to 10)" == times.seen


def command(name: str, gitlab: int, jira: int = 0, to_comment: int = 0) -> Command:
    calls, of_jira = {"GET /a": gitlab}, {"GET /b": jira} if jira else {}
    return Command(
        name=name, gitlab=calls, jira=of_jira, to_comment=to_comment, fetches=3, seconds=5.0
    )


def test_a_jira_task_is_held_to_its_calls_until_its_comment_and_a_command_to_none():
    found = [command(CODE, 20), command(JIRA, 8, 7, 5), command(JIRA, 7, 6, 4)]

    of_command, gitlab, jira = call_rows.command_calls(found)

    assert ("20", None) == (of_command.seen, of_command.holds)
    assert ("8 of 12 allowed", True) == (gitlab.seen, gitlab.holds)
    assert "5 of 6 allowed to the comment, 7 with the move to in-review" == jira.seen
    assert jira.holds


def test_a_call_too_many_to_either_side_breaks_the_claim():
    _, gitlab, jira = call_rows.command_calls([command(CODE, 1), command(JIRA, 13, 9, 7)])

    assert (False, False) == (gitlab.holds, jira.holds)


def test_calls_of_both_sides_are_listed():
    [(title, lines)] = call_rows.command_lists([command(JIRA, 8, 7, 5)])

    assert f"Calls for a {JIRA}" == title
    assert ["8 of `GET /a`", "7 of `GET /b` (Jira)"] == lines


def test_a_patch_is_held_to_what_is_left_without_git_and_gitlab():
    passage = Passage(size=10_000_000, door=0.2, whole=2.5, git=1.0, gitlab=0.25)

    [row] = rows.passages([passage])

    assert (False, "1.25 s (1.25 to 1.25)") == (row.holds, row.seen)


def test_each_service_must_be_ready_soon_on_a_large_log_too():
    ready = {"ingest": (0.5, 0.7, 0.6), "coder": (0.9,)}
    found = Reads(events=300_000, found=20, direct=(0.001,), consumer=(0.01,), ready=ready)

    ingest, coder = rows.large_starts(found)

    assert (True, "0.60 s (0.50 to 0.70)") == (ingest.holds, ingest.seen)
    assert (False, "coder: process start to ready, 300,000 events in the log") == (
        coder.holds,
        coder.name,
    )


def test_a_replay_is_counted_by_its_appending_alone():
    found = Replayed(events=40_000, facts=10_000, appended=2000, appending=4.0, whole=7.5)

    row = rows.replayed(found)

    assert "500" == row.seen
    assert "3.5 s before that" in row.how


def test_reviews_end_to_end_are_also_counted_in_events():
    row = rows.throughput(Throughput(reviews=100, events=400, slots=8, seconds=20.0))

    assert "5.0 reviews a second, 20 events" == row.seen


def test_calls_of_a_look_must_not_grow_with_open_merge_requests():
    one = Polled(projects=1000, open_in_each=1, calls=1, seconds=(0.01, 0.03, 0.02))
    five = Polled(projects=1000, open_in_each=5, calls=51, seconds=(0.02,))

    calls, first, second = rows.polled([one, five])
    assert (False, "1 with 1,000 open, 51 with 5,000 open") == (calls.holds, calls.seen)
    assert ("20 ms (10 to 30)", None) == (first.seen, first.holds)
    assert second.name.endswith("5 open in each")
    assert rows.polled([one, one])[0].holds


def test_a_first_pass_must_be_soon():
    row = rows.reconciled(Reconciled(tasks=1000, jobs=20, seconds=(1.0, 2.0, 9.0)))

    assert (True, "2.00 s (1.00 to 9.00)") == (row.holds, row.seen)
    assert rows.reconciled(Reconciled(tasks=9, jobs=9, seconds=(5.0,))).holds is False
