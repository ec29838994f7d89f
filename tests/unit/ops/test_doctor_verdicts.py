"""The doctor's pure decisions, where a real peer would add nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from libs.common.errors import AgentError
from libs.common.gitlab.inspection import Access, Branch, Hook, Protection
from libs.common.gitlab.models import AccessToken, Project
from libs.common.jetstream.inspection import ConsumerState
from libs.common.jetstream.letters import DeadLetter
from services.ops.doctor import echo, machine, model, nats, report, rights, settings
from services.ops.doctor.check import Check, Probe, Round, broken, exit_code, ok, warning
from services.ops.doctor.rights import Membership
from services.ops.doctor.situation import MAINTAINER_TOKEN, Situation
from services.ops.environments import SERVICES, environment
from services.ops.places import Addresses

TODAY = date(2026, 3, 1)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
APP = Project(id=42, path_with_namespace="group/app", default_branch="main")
MAIN = Branch(name="main", protected=True)


def member(level: int) -> Membership:
    return Membership(project=APP, level=level)


def rule(*entries: Access, push: tuple[Access, ...] = ()) -> Protection:
    return Protection(name="main", merge_access_levels=entries, push_access_levels=push)


@pytest.mark.parametrize(
    ("level", "branch", "protection", "expected"),
    [
        (30, Branch(name="main"), None, True),
        (20, Branch(name="main"), None, False),
        (30, MAIN, rule(Access(access_level=40)), False),
        (40, MAIN, rule(Access(access_level=40)), True),
        (30, MAIN, rule(Access(access_level=30)), True),
        (50, MAIN, rule(Access(access_level=0)), False),
        (30, MAIN, rule(Access(access_level=40, user_id=5)), True),
        (30, MAIN, rule(Access(access_level=30, user_id=6)), False),
        (30, MAIN, rule(Access(access_level=30, group_id=6)), False),
        (30, MAIN, rule(Access(access_level=0), push=(Access(access_level=30),)), True),
        (30, Branch(name="main", protected=True, can_push=True), None, True),
        (30, MAIN, None, False),
        (40, MAIN, None, True),
        (30, Branch(name="main", protected=True, developers_can_merge=True), None, True),
    ],
)
def test_sr_30_whether_the_bot_could_merge(level, branch, protection, expected):
    assert expected == rights.may_merge(member(level), 5, branch, protection)


@pytest.mark.parametrize(
    ("left", "state"), [(400, "ok"), (15, "ok"), (14, "warning"), (0, "warning")]
)
def test_a_token_that_soon_expires_is_told(left, state):
    token = AccessToken(scopes=frozenset({"api"}), expires_at=TODAY + timedelta(days=left))
    assert state == rights.write_token("GITLAB_TOKEN", token, "bot", TODAY).state


def test_a_token_may_have_no_expiry_date():
    token = AccessToken(scopes=frozenset({"read_api", "read_repository"}))
    assert "without an expiry" in rights.read_token("T", token, "bot", TODAY).meaning


@pytest.mark.parametrize(
    ("given", "announced", "gitlab", "expected"),
    [
        ("https://bot.test/webhook/", "http://127.0.0.1:8000/webhook", "https://g.test",
         "https://bot.test/webhook"),
        ("", "http://127.0.0.1:8000/webhook", "http://127.0.0.1:8929",
         "http://127.0.0.1:8000/webhook"),
        ("", "http://127.0.0.1:8000/webhook", "https://gitlab.test", ""),
    ],
)  # fmt: skip
def test_the_url_a_hook_must_have(given, announced, gitlab, expected):
    assert expected == rights.expected_url(given, announced, gitlab)


def test_a_hook_of_an_unknown_address_is_known_by_its_path():
    hooks = [Hook(id=1, url="https://ci.test/x"), Hook(id=2, url="https://bot.test/webhook")]
    assert hooks[1] == rights.chosen(hooks, "")
    assert rights.chosen(hooks, "https://other.test/webhook") is None


def test_a_hook_is_shown_without_its_secrets():
    hooks = [Hook(id=1, url="https://user:canary@ci.test/x?token=canary")]
    told = rights.webhook("group/app", hooks, None, "")
    assert "https://ci.test/x" in told.meaning
    assert "canary" not in repr(told)


@pytest.mark.parametrize(
    ("fill", "state"), [(0.1, "ok"), (0.7, "warning"), (0.85, "broken"), (1.0, "broken")]
)
def test_room_in_the_log(fill, state):
    assert state == nats.room(fill).state


@pytest.mark.parametrize(
    ("free", "states"),
    [(2 * 1024**3, []), (500 * 1024**2, ["warning"]), (10 * 1024**2, ["broken"])],
)
def test_room_on_the_disk_of_the_log_is_told_while_it_is_short(free, states):
    checks = nats.disk(Path("/state"), free)
    assert states == [check.state for check in checks]
    assert all("GCA_STATE_DIR" in check.mend for check in checks)


def test_a_server_that_gave_up_writing_is_told_until_it_is_started_anew():
    start, trouble = (
        "[1] [INF] Starting nats-server\n",
        "[1] [ERR] JetStream stream '$G > EVENTS' critical write error: write 1.blk: no space\n",
    )
    [check] = nats.gave_up(start + trouble)
    assert "write 1.blk: no space" in check.meaning
    assert [] == nats.gave_up(start + trouble + start)


def test_letters_that_cannot_all_be_counted_are_told_as_at_least_so_many():
    letter = DeadLetter(
        subject="s", service="coder", reason="no branch", attempts=1, seq=1, time=NOW
    )
    assert "none" in nats.dead_letters([], counted=True).meaning
    assert "1 event given up" in nats.dead_letters([letter], counted=True).meaning
    assert "at least 2 events" in nats.dead_letters([letter] * 2, counted=False).meaning


def test_a_service_that_is_not_ready_still_tells_its_details():
    body = {"checks": {"nats": "away"}, "details": {"hooks": "none come", "model": "ok"}}
    checks = machine.readiness("ingest", body, "look", ready=False)
    assert [("broken", "not ready: nats: away"), ("warning", "hooks: none come")] == [
        (check.state, check.meaning) for check in checks
    ]


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(0, "ok"), (9, "ok"), (-11, "warning"), (60, "warning"), (-301, "broken"), (900, "broken")],
)
def test_clocks_apart(seconds, state):
    told = NOW + timedelta(seconds=seconds)
    assert state == nats.skew("clock", told, NOW, NOW).state


def test_a_slow_answer_is_no_wrong_clock():
    later = NOW + timedelta(seconds=30)
    assert nats.skew("clock", NOW + timedelta(seconds=15), NOW, later).state == "ok"


def test_a_consumer_with_all_hands_full_is_listened_to():
    state = ConsumerState(name="publisher", handled=1, pending=5, unacknowledged=3, waiting=0)
    assert nats.listening(state).state == "ok"


def test_the_same_problem_of_two_services_is_said_once():
    url = "GITLAB_URL: is not set"
    found = settings.verdict({"ingest": [url], "reviewer": [url, "TASK_TIMEOUT: too small"]})

    assert [f"{url} (ingest and reviewer)", "TASK_TIMEOUT: too small (reviewer)"] == [
        check.meaning for check in found
    ]
    assert found[1].mend == "set TASK_TIMEOUT in the environment or in .env"


@pytest.mark.parametrize(
    ("kind", "url", "header"),
    [
        ("openai", "https://m.test/v1/chat/completions", "Authorization"),
        ("anthropic", "https://m.test/v1/messages", "x-api-key"),
        ("azure", "https://m.test/v1/openai/deployments/big/chat/completions?api-version=", "api"),
    ],
)
def test_each_kind_of_provider_is_asked_in_its_way(kind, url, header):
    asked = model.question(
        {
            "COPILOT_PROVIDER_TYPE": kind,
            "COPILOT_PROVIDER_BASE_URL": "https://m.test/v1/",
            "COPILOT_PROVIDER_API_KEY": "canary",
            "COPILOT_MODEL": "big",
        }
    )
    assert asked.url.startswith(url)
    assert any(
        name.startswith(header) and "canary" in asked.headers[name] for name in asked.headers
    )
    assert "canary" not in repr(asked) + asked.url


def test_github_tells_whose_token_it_is():
    answer = model.Answer(status=200, body={"login": "mona"})
    assert "mona" in model.github_verdict(answer, "api.github.com").meaning


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("git version 2.31.0", "ok"),
        ("git version 2.39.5 (Apple Git-154)", "ok"),
        ("git version 3.0", "ok"),
        ("git version 2.30.9", "broken"),
    ],
)
def test_versions_of_git(said, state):
    assert state == machine.git(said).state


@pytest.mark.parametrize(
    ("launched", "busy", "name", "says"),
    [
        (True, 0, "result accepted", "TASK_DOOR_URL"),
        (False, 2, "Job started", "MAX_CONCURRENT_TASKS"),
        (False, 0, "Job started", "reviewer"),
    ],
)
def test_an_echo_that_does_not_come_back(launched, busy, name, says):
    check = echo.stuck(launched=launched, busy=busy, patience=60)
    assert (check.name, check.state) == (name, "broken")
    assert says in check.mend


def test_the_read_token_falls_back_to_the_write_token_as_in_gca_up():
    situation = Situation(given={"GITLAB_URL": "https://g.test", "GITLAB_TOKEN": "w"})
    assert situation.token("GITLAB_READ_TOKEN") == "w"


def test_a_simulated_system_brings_its_own_settings():
    running = Addresses(
        pid=1, nats_url="nats://x", webhook_url="http://x", settings={"GITLAB_URL": "http://sim"}
    )
    assert Situation(given={}, running=running).value("GITLAB_URL") == "http://sim"
    given = {"GITLAB_URL": "https://real"}
    assert Situation(given=given, running=running).value("GITLAB_URL") == "https://real"


@pytest.mark.parametrize("service", SERVICES)
def test_sr_38_the_maintainer_s_token_is_given_to_no_service(service):
    given = environment(service, {MAINTAINER_TOKEN: "canary"}, {f"{service}_health": "0"})
    assert "canary" not in repr(given)


def test_a_situation_shows_no_secret():
    assert "canary" not in repr(Situation(given={"GITLAB_TOKEN": "canary"}))


async def test_one_hanging_and_one_failing_peer_do_not_hide_the_others():
    async def hang() -> list[Check]:
        await asyncio.Event().wait()
        return []

    async def fail() -> list[Check]:
        raise AgentError("it is away")

    async def crash() -> list[Check]:
        raise ZeroDivisionError("by nought")

    async def well() -> list[Check]:
        return [ok("well", "fine")]

    probes = [
        Probe("hangs", hang, "wake it", 0.05),
        Probe("fails", fail, "call it"),
        Probe("crashes", crash, "tell us"),
        Probe("well", well, ""),
    ]
    checks = await Round().run(probes)

    assert ["hangs", "fails", "crashes", "well"] == [check.name for check in checks]
    assert ["broken", "broken", "broken", "ok"] == [check.state for check in checks]
    assert checks[0].meaning == "no answer within 0.05 s"
    assert checks[1] == broken("fails", "it is away", "call it")
    assert "ZeroDivisionError" in checks[2].meaning


def test_only_what_is_broken_makes_the_exit_code():
    fine = [ok("a", "b"), warning("c", "d", "e")]
    assert exit_code(fine) == 0
    assert exit_code([*fine, broken("f", "g", "h")]) == 1


LONG = broken(
    "webhook of a-group/with-a-long-name", "the last delivery to https://bot.test/webhook failed",
    "in a-group/with-a-long-name, Settings, Webhooks: look at its recent events",
)  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_fit_the_terminal_and_lose_no_word(width):
    lines = report.lines([LONG, ok("git", "git 2.39.5")], width=width, colored=False)

    assert max(map(len, lines)) <= width
    words = " ".join(" ".join(lines).split())
    assert LONG.name in words
    assert f"{LONG.meaning} -> {LONG.mend}" in words


def test_without_a_terminal_each_check_is_one_line():
    assert len(report.lines([LONG, LONG], width=None, colored=False)) == 2


def test_colour_is_only_on_the_state():
    [line] = report.lines([ok("git", "fine")], width=None, colored=True)
    assert line.startswith("\x1b[32mok\x1b[0m ")
    assert "\x1b" not in "".join(report.lines([LONG], width=60, colored=False))
