"""Each single thing broken, and the line that `gca doctor` prints for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
import pytest
import trustme
from aiohttp import web

from libs.common.jetstream import dead_letters
from libs.common.jetstream.letters import Letters, read
from libs.common.jetstream.server import running_nats
from services.ops.doctor.situation import MAINTAINER_TOKEN
from tests.fixtures.ports import free_port
from tests.integration.doctor_world import World, dead_port, fake_cli, healthy, info
from tests.integration.nats_tls import Guarded

pytestmark = pytest.mark.real
Break = Callable[[World], Awaitable[None]]


class Breakage(NamedTuple):
    """What breaks one thing, which probe finds it, and the line that it must print."""

    probe: str
    state: str
    name: str
    says: str
    mend: str
    happen: Break


BREAKAGES: list[Breakage] = []
AFTER_HOOK = timedelta(minutes=7)


@pytest.fixture
async def world(tmp_path, connection, nats_server):
    async with healthy(tmp_path, connection, nats_server) as made:
        yield made


def breakage(probe: str, state: str, name: str, says: str, mend: str) -> Callable[[Break], Break]:
    def add(function: Break) -> Break:
        BREAKAGES.append(Breakage(probe, state, name, says, mend, function))
        return function

    return add


def setting(name: str, value: str) -> Break:
    async def change(world: World) -> None:
        world.settings[name] = value

    change.__name__ = f"{name.lower()}_is_{value or 'empty'}"
    return change


# --- settings ---------------------------------------------------------------------

breakage(
    "settings",
    "broken",
    "settings",
    "GITLAB_TOKEN: is not set (publisher)",
    "set GITLAB_TOKEN in the environment or in .env",
)(setting("GITLAB_TOKEN", ""))
breakage("settings", "broken", "settings", "MAX_CONCURRENT_TASKS: ", "set MAX_CONCURRENT_TASKS")(
    setting("MAX_CONCURRENT_TASKS", "none")
)
breakage("settings", "broken", "settings", "GITLAB_WEBHOOK_SECRET: ", "set GITLAB_WEBHOOK_SECRET")(
    setting("GITLAB_WEBHOOK_SECRET", "")
)
breakage(
    "settings",
    "broken",
    "settings",
    "(ingest, reviewer, coder and publisher)",
    "set GITLAB_URL",
)(setting("GITLAB_URL", "gitlab"))


# --- gca up -----------------------------------------------------------------------


@breakage("gca up", "warning", "gca up", "does not run here", "run `make up`")
async def the_system_does_not_run(world):
    world.running = None
    world.settings |= {"NATS_URL": "", "PORT": "0", "TASK_DOOR_PORT": "0"}


@breakage("gca up", "warning", "gca up", "(PORT)", "set PORT")
async def another_program_has_the_port(world):
    port = (await world.answering(b"")).rpartition(":")[2]
    world.running = None
    world.settings |= {"NATS_URL": "", "PORT": port}


@breakage("gca up", "broken", "service publisher", "does not answer", "publisher.log")
async def a_service_is_gone(world):
    world.running.health["publisher"] = f"http://127.0.0.1:{dead_port()}"


@breakage("gca up", "broken", "service reviewer", "nats: disconnected from NATS", "reviewer.log")
async def a_service_is_not_ready(world):
    checks = {"nats": "disconnected from NATS (NATS_URL)"}
    world.running.health["reviewer"] = await world.http(
        lambda _: web.json_response({"checks": checks}, status=503)
    )


@breakage("gca up", "warning", "service ingest", "hooks: webhooks do not come", "ingest.log")
async def webhooks_do_not_come(world):
    body = {"status": "ready", "details": {"hooks": "webhooks do not come: group/app (Comments)"}}
    world.running.health["ingest"] = await world.http(lambda _: web.json_response(body))


# --- NATS -------------------------------------------------------------------------


@breakage("NATS", "broken", "NATS", "is not reachable", "NATS_URL")
async def nats_is_away(world):
    world.settings["NATS_URL"] = f"nats://127.0.0.1:{dead_port()}"


@breakage("NATS", "broken", "NATS", "answer", "NATS_URL")
async def nats_says_nothing(world):
    world.settings["NATS_URL"] = f"nats://{await world.answering(b'')}"


@breakage("NATS", "broken", "NATS", "is not NATS", "NATS_URL")
async def something_else_answers_in_place_of_nats(world):
    address = await world.answering(b"HTTP/1.1 400 no\r\n")
    world.settings["NATS_URL"] = f"nats://{address}"


@breakage("NATS", "broken", "NATS", "refuses our credentials", "NATS_CREDENTIALS")
async def nats_refuses_our_login(world):
    server = await world.stack.enter_async_context(
        running_nats(world.folder / "nats", token="its-token")
    )
    world.settings["NATS_URL"] = f"nats://127.0.0.1:{server.port}"


@breakage("NATS", "broken", "NATS", "its certificate is not trusted", "CA_BUNDLE")
async def nats_has_a_certificate_of_an_unknown_authority(world):
    folder = world.folder / "nats"
    folder.mkdir()
    server = Guarded(folder, port=free_port())
    server.certify(trustme.CA(), "127.0.0.1")
    await server.start()
    world.stack.push_async_callback(server.kill)
    world.settings["NATS_URL"] = server.url


@breakage("NATS", "broken", "NATS", "without JetStream", "-js")
async def jetstream_is_off(world):
    address = await world.answering(info(version="2.15.1", jetstream=False))
    world.settings["NATS_URL"] = f"nats://{address}"


@breakage("NATS", "broken", "NATS", "nats-server 2.10.29 is too old, 2.11 or newer", "upgrade")
async def nats_is_too_old(world):
    address = await world.answering(info(version="2.10.29", jetstream=True))
    world.settings["NATS_URL"] = f"nats://{address}"


@breakage("NATS", "broken", "topology", "not there: EVENTS", "gca topology apply")
async def the_topology_was_never_applied(world):
    for name in (await world.connection.api("STREAM.NAMES"))["streams"]:
        await world.connection.api(f"STREAM.DELETE.{name}")


@breakage("NATS", "broken", "topology", "not there: reviewer", "gca topology apply")
async def a_consumer_is_gone(world):
    await world.connection.api("CONSUMER.DELETE.EVENTS.reviewer")


@breakage("NATS", "warning", "topology", "max_age", "gca topology apply")
async def a_stream_is_not_as_declared(world):
    found = (await world.connection.api("STREAM.INFO.EVENTS"))["config"]
    await world.connection.api("STREAM.UPDATE.EVENTS", found | {"max_age": 25 * 3600 * 10**9})


@breakage("NATS", "warning", "topology", "max_bytes", "gca topology apply")
async def more_room_is_wanted_than_the_log_has(world):
    world.settings["EVENTS_MAX_BYTES"] = "3Gi"


@breakage("NATS", "broken", "topology", "EVENTS_MAX_BYTES: must be bytes", "set EVENTS_MAX_BYTES")
async def the_room_for_the_log_is_no_size(world):
    world.settings["EVENTS_MAX_BYTES"] = "much"


@breakage("NATS", "broken", "log", "full, 9", "set EVENTS_MAX_BYTES")
async def the_log_is_full(world):
    await fill_log(world, 9)


@breakage("NATS", "warning", "log", "nearly full, 7", "set EVENTS_MAX_BYTES")
async def the_log_is_nearly_full(world):
    await fill_log(world, 7)


async def fill_log(world, tenths):
    found = (await world.connection.api("STREAM.INFO.EVENTS"))["config"]
    await world.connection.api("STREAM.UPDATE.EVENTS", found | {"max_bytes": 1_000_000})
    for number in range(tenths):
        await world.connection.publish(f"mr.opened.1.{number + 1}.x", b"x" * 100_000)


@breakage(
    "NATS",
    "warning",
    "dead letters",
    "2 events given up, last by coder: no such branch",
    "gca dead-letters list",
)
async def dead_letters_wait(world):
    for number, service in enumerate(("reviewer", "publisher", "coder")):
        headers = {dead_letters.REASON: "no such branch"}
        subject = f"dead.{service}.mr.opened.42.7.{number}"
        await world.connection.publish(subject, b"{}", headers=headers)
    letters = Letters(world.connection)
    async for stored in letters.since(datetime.fromtimestamp(0, UTC)):
        if read(stored).service == "publisher":
            await letters.put_back(read(stored), datetime.now(UTC))


@breakage("NATS", "broken", "service reviewer", "nobody fetches its events", "start reviewer")
async def nobody_reviews(world):
    world.running = None


# --- GitLab: the server ---------------------------------------------------------------


@breakage("GitLab", "broken", "GitLab", "is not reachable", "GITLAB_URL")
async def gitlab_is_away(world):
    world.settings["GITLAB_URL"] = f"http://127.0.0.1:{dead_port()}"


@breakage("GitLab", "broken", "GitLab", "not answer", "GITLAB_URL")
async def gitlab_hangs(world):
    world.gitlab.faults.add(hang=True, times=99)


@breakage("GitLab", "broken", "GitLab", "502", "GITLAB_URL")
async def a_proxy_answers_for_gitlab(world):
    world.gitlab.faults.add(status=502, body="<html>Bad Gateway</html>", times=99)


@breakage("GitLab", "broken", "GitLab", "not", "CA_BUNDLE")
async def gitlab_does_not_speak_tls(world):
    world.settings["GITLAB_URL"] = world.gitlab.url.replace("http:", "https:")


@breakage("GitLab", "broken", "clock of GitLab", "away from ours", "NTP")
async def gitlab_s_clock_is_wrong(world):
    wrong = (datetime.now(UTC) + timedelta(hours=2)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    answer = {"version": "18.4.1"}
    world.gitlab.faults.add(path="/version", status=200, body=answer, headers={"Date": wrong})


# --- GitLab: tokens ---------------------------------------------------------------------

breakage("GitLab", "broken", "GITLAB_TOKEN", "401 Unauthorized", "set GITLAB_TOKEN")(
    setting("GITLAB_TOKEN", "glpat-wrong")
)
breakage("GitLab", "broken", "GITLAB_READ_TOKEN", "401 Unauthorized", "set GITLAB_READ_TOKEN")(
    setting("GITLAB_READ_TOKEN", "glpat-wrong")
)
breakage("GitLab", "broken", "GITLAB_TOKEN", "must be a token", "set GITLAB_TOKEN")(
    setting("GITLAB_TOKEN", "two words")
)
breakage("GitLab", "broken", "GITLAB_TOKEN", "is not set", "set GITLAB_TOKEN")(
    setting("GITLAB_TOKEN", "")
)
breakage(
    "GitLab",
    "warning",
    "GITLAB_READ_TOKEN",
    "read with GITLAB_TOKEN, which can write",
    "set GITLAB_READ_TOKEN",
)(setting("GITLAB_READ_TOKEN", ""))
breakage("GitLab", "broken", MAINTAINER_TOKEN, "401 Unauthorized", f"set {MAINTAINER_TOKEN}")(
    setting(MAINTAINER_TOKEN, "glpat-wrong"))  # fmt: skip


@breakage("GitLab", "broken", "GITLAB_TOKEN", "Token is expired", "set GITLAB_TOKEN")
async def the_write_token_is_expired(world):
    world.gitlab.world.tokens[world.gitlab.write_token].expired = True


@breakage("GitLab", "warning", "GITLAB_TOKEN", "expires on", "rotate")
async def the_write_token_expires_soon(world):
    soon = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    world.gitlab.world.tokens[world.gitlab.write_token].expires_at = soon


@breakage("GitLab", "broken", "GITLAB_TOKEN", "lacks the scope api", "scope api")
async def the_write_token_cannot_write(world):
    token = world.gitlab.add_token(world.gitlab.bot, ("read_api",))
    world.settings["GITLAB_TOKEN"] = token.value


@breakage("GitLab", "broken", "GITLAB_READ_TOKEN", "lacks the scope read_repository", "read_repos")
async def the_read_token_cannot_clone(world):
    token = world.gitlab.add_token(world.gitlab.bot, ("read_api",))
    world.settings["GITLAB_READ_TOKEN"] = token.value


@breakage("GitLab", "warning", "GITLAB_READ_TOKEN", "can write (api)", "only read_api and read")
async def sr_38_the_read_token_can_write(world):
    world.settings["GITLAB_READ_TOKEN"] = world.gitlab.write_token


AGENT = "AGENT_GITLAB_USERNAME"
breakage("GitLab", "broken", AGENT, "the setting says alice", "set AGENT_GITLAB_USERNAME=copilot")(
    setting(AGENT, "alice"))  # fmt: skip


@breakage("GitLab", "broken", AGENT, "GITLAB_READ_TOKEN is of reader", "set AGENT_GITLAB_USERNAME=")
async def sr_09_the_tokens_are_of_two_users(world):
    reader = world.gitlab.add_user("reader", project=world.project, access_level=20)
    token = world.gitlab.add_token(reader, ("read_api", "read_repository"))
    world.settings["GITLAB_READ_TOKEN"] = token.value


# --- GitLab: projects of Jira's issues ---------------------------------------------------

MAP = "JIRA_PROJECT_MAP"
breakage("GitLab", "broken", f"{MAP} PROJ", "404", "correct gitlab_project_id of PROJ")(
    setting(MAP, '{"PROJ": {"gitlab_project_id": 999999}}'))  # fmt: skip


@breakage("GitLab", "broken", f"{MAP} PROJ", "is not in GITLAB_PROJECTS", "add it")
async def the_project_of_an_issue_is_not_served(world):
    other = world.gitlab.create_project("group/other")
    world.settings[MAP] = json.dumps({"PROJ": {"gitlab_project_id": other.id}})


# --- Jira --------------------------------------------------------------------------------

breakage("Jira", "broken", "Jira", "refused the login of JIRA_API_TOKEN", "set JIRA_API_TOKEN")(
    setting("JIRA_API_TOKEN", "wrong")
)
breakage("Jira", "broken", "Jira", "JIRA_EMAIL: must be set", "in .env")(setting("JIRA_EMAIL", ""))
breakage("Jira", "broken", "Jira", "plain http:// is for this machine only", "in .env")(
    setting("JIRA_URL", "http://jira.test")
)
breakage("Jira", "warning", MAP, "no issue starts work", "JSON such as")(setting(MAP, ""))
breakage("Jira", "broken", "Jira project NONE", "404", f"correct {MAP}")(
    setting(MAP, '{"NONE": {"gitlab_project_id": 1}}')
)
breakage(
    "Jira", "broken", "Jira project PROJ", "no status 'Bot' (JIRA_TRIGGER_STATUS)", "workflow"
)(setting("JIRA_TRIGGER_STATUS", "Bot"))
for name in ("JIRA_IN_PROGRESS_STATUS", "JIRA_IN_REVIEW_STATUS"):
    breakage("Jira", "warning", "Jira project PROJ", f"no status 'Bot' ({name})", f"set {name} to")(
        setting(name, "Bot")
    )
breakage("settings", "broken", "settings", f"{MAP}: ", f"set {MAP}")(setting(MAP, "[]"))


@breakage("Jira", "broken", "Jira", "", "check JIRA_URL, the network")
async def jira_is_away(world):
    world.settings["JIRA_URL"] = f"http://127.0.0.1:{dead_port()}"


@breakage("Jira", "broken", "Jira", "is JIRA_URL right?", "check JIRA_URL")
async def something_else_answers_in_place_of_jira(world):
    world.settings["JIRA_URL"] = await world.http(lambda _: web.Response(status=404, text="<p>"))


@breakage("Jira", "broken", "Jira project PROJ", "404", "browse PROJ")
async def the_jira_project_is_hidden_from_us(world):
    world.jira.world.projects["PROJ"].hidden = True


# --- GitLab: projects ---------------------------------------------------------------------

breakage("GitLab", "broken", "project group/none", "404", "correct GITLAB_PROJECTS")(
    setting("GITLAB_PROJECTS", "group/none"))  # fmt: skip


@breakage("GitLab", "broken", "project group/app", "404", "as Developer")
async def the_bot_is_no_member(world):
    del world.project.members[world.gitlab.bot.id]


@breakage("GitLab", "broken", "role in group/app", "is no member", "invite the bot")
async def the_bot_is_no_member_of_a_public_project(world):
    world.project.visibility = "public"
    del world.project.members[world.gitlab.bot.id]


@breakage("GitLab", "broken", "role in group/app", "is Guest", "make the bot Developer")
async def the_bot_is_a_guest(world):
    world.gitlab.add_member(world.project, world.gitlab.bot, 10)


@breakage("GitLab", "warning", "role in group/app", "may not push", "make the bot Developer")
async def the_bot_is_a_reporter(world):
    world.gitlab.add_member(world.project, world.gitlab.bot, 20)


@breakage("GitLab", "warning", "role in group/app", "is Maintainer", "make the bot Developer")
async def sr_30_the_bot_is_a_maintainer(world):
    world.gitlab.add_member(world.project, world.gitlab.bot, 40)


@breakage("GitLab", "warning", "merging in group/app", "could merge to main", "keep the bot")
async def sr_30_a_maintainer_may_merge(world):
    world.gitlab.add_member(world.project, world.gitlab.bot, 40)


@breakage("GitLab", "warning", "merging in group/app", "is not protected", "allow only Maintainers")
async def sr_30_the_default_branch_is_not_protected(world):
    world.gitlab.unprotect_branch(world.project, "main")


@breakage("GitLab", "warning", "merging in group/app", "could merge to main", "Protected branches")
async def sr_30_developers_may_merge(world):
    world.gitlab.protect_branch(world.project, "main", push=0, merge=30)


# --- GitLab: the webhook --------------------------------------------------------------------


@breakage("GitLab", "broken", "webhook of group/app", "has no webhook", "/webhook")
async def there_is_no_webhook(world):
    world.gitlab.set_webhook(url=None)


@breakage("GitLab", "broken", "webhook of group/app", "there is http://other", "set the url to")
async def the_webhook_leads_elsewhere(world):
    world.project.hooks[0].url = "http://other.test/webhook?token=canary"


@breakage("GitLab", "broken", "webhook of group/app", "has disabled", "press Test")
async def the_webhook_is_disabled(world):
    world.project.hooks[0].permanently_disabled = True


@breakage("GitLab", "broken", "webhook of group/app", "does not send", "press Test")
async def the_webhook_is_disabled_for_a_while(world):
    world.project.hooks[0].disabled_until = datetime.now(UTC) + AFTER_HOOK


@breakage("GitLab", "broken", "webhook of group/app", "not told of merge requests", "tick Merge")
async def the_webhook_is_not_told_of_merge_requests(world):
    world.project.hooks[0].events = frozenset({"note"})


@breakage("GitLab", "warning", "webhook of group/app", "not told of comments", "tick Comments")
async def the_webhook_is_not_told_of_comments(world):
    world.project.hooks[0].events = frozenset({"merge_request"})


@breakage("GitLab", "broken", "webhook of group/app", "last delivery", "GITLAB_WEBHOOK_SECRET")
async def the_last_delivery_failed(world):
    refusing = await world.http(lambda _: web.Response(status=401))
    world.project.hooks[0].url = f"{refusing}/webhook"
    world.running = msgspec.structs.replace(world.running, webhook_url=f"{refusing}/webhook")
    world.gitlab.commit(world.project, branch="topic", files={"a": "b"})
    await world.gitlab.open_merge_request(world.project, source_branch="topic", title="T")
    await world.gitlab.settle()


breakage("GitLab", "warning", "webhook of group/app", "no event from this project",
         MAINTAINER_TOKEN)(setting(MAINTAINER_TOKEN, ""))  # fmt: skip


@breakage("GitLab", "warning", "webhook of group/app", "the log cannot be asked", MAINTAINER_TOKEN)
async def neither_the_webhook_nor_the_log_can_be_seen(world):
    world.settings |= {MAINTAINER_TOKEN: "", "NATS_URL": f"nats://127.0.0.1:{dead_port()}"}


# --- the model --------------------------------------------------------------------------------

breakage("model", "broken", "model", "refuses the key (HTTP 401)", "COPILOT_PROVIDER_API_KEY")(
    setting("COPILOT_PROVIDER_API_KEY", "wrong")
)
breakage("model", "broken", "model", "did not answer within", "check the provider's load")(
    setting("COPILOT_MODEL", "sim-slow")
)
breakage("model", "broken", "model", "answers HTTP 500", "ask the provider")(
    setting("COPILOT_MODEL", "sim-http-500")
)
breakage("model", "broken", "model", "no room for us", "quota")(
    setting("COPILOT_MODEL", "sim-http-429")
)
breakage("model", "broken", "model", "not as a model does", "COPILOT_PROVIDER_BASE_URL")(
    setting("COPILOT_MODEL", "sim-html")
)
breakage("model", "broken", "model", "BASE_URL is not set", "set COPILOT_PROVIDER_BASE_URL")(
    setting("COPILOT_PROVIDER_BASE_URL", ""))  # fmt: skip


@breakage("model", "broken", "model", "is not reachable", "COPILOT_PROVIDER_BASE_URL")
async def the_model_is_away(world):
    world.settings["COPILOT_PROVIDER_BASE_URL"] = f"http://127.0.0.1:{dead_port()}/v1"


@breakage("model", "broken", "model", "neither this address nor the model", "COPILOT_MODEL")
async def the_model_is_at_another_path(world):
    world.settings["COPILOT_PROVIDER_BASE_URL"] = world.model.url + "/wrong"


def _with_github(world: World, url: str) -> None:
    for name in [name for name in world.settings if name.startswith("COPILOT_")]:
        world.settings[name] = ""
    world.settings |= {"GITHUB_TOKEN": "ghp_wrong", "GITHUB_API_URL": url}


@breakage("model", "broken", "model", "neither GITHUB_TOKEN nor", "set GITHUB_TOKEN")
async def no_model_is_set(world):
    _with_github(world, "")
    world.settings["GITHUB_TOKEN"] = ""


@breakage("model", "broken", "model", "refuses GITHUB_TOKEN", "an account with Copilot")
async def the_github_token_is_wrong(world):
    _with_github(world, await world.http(lambda _: web.json_response({}, status=401)))


@breakage("model", "broken", "model", "is not reachable", "network or proxy")
async def github_is_away(world):
    _with_github(world, f"http://127.0.0.1:{dead_port()}")


# --- this machine -----------------------------------------------------------------------------

breakage("Copilot CLI", "broken", "Copilot CLI", "no CLI that can be started", "make setup")(
    setting("COPILOT_CLI_PATH", "/nowhere/copilot"))  # fmt: skip


@breakage("Copilot CLI", "broken", "Copilot CLI", "is 0.0.1, but the SDK belongs to", "make setup")
async def the_cli_is_of_another_version(world):
    fake_cli(world, "GitHub Copilot CLI 0.0.1.")


@breakage("Copilot CLI", "broken", "Copilot CLI", "ends with 3 and says", "make setup")
async def the_cli_does_not_start(world):
    fake_cli(world, "node: not found", code=3)


@breakage("Copilot CLI", "broken", "Copilot CLI", "no answer within", "make setup")
async def the_cli_hangs(world):
    fake_cli(world)
    world.program("copilot", "exec sleep 30")


@breakage("git", "broken", "git", "not on PATH", "install git")
async def git_is_missing(world):
    world.without_programs()


@breakage("git", "broken", "git", "git 2.25.1 is too old", "2.31")
async def git_is_old(world):
    world.program("git", "echo git version 2.25.1")


@breakage("git", "broken", "git", "says 'what?'", "install git")
async def git_is_something_else(world):
    world.program("git", "echo what?")


@breakage(
    "wall for coding",
    "warning",
    "wall for coding",
    "is not set: coding will be refused",
    "bubblewrap",
)
async def there_is_no_bubblewrap(world):
    world.without_programs()


@breakage("wall for coding", "warning", "wall for coding", "No permissions", "user namespaces")
async def bubblewrap_may_not_work(world):
    world.program("bwrap", "echo bwrap: No permissions to create new namespace >&2; exit 1")


@breakage(
    "wall for coding",
    "warning",
    "wall for coding",
    "bubblewrap fails inside bubblewrap: bwrap: setting up uid map",
    "kernel.apparmor_restrict_unprivileged_userns",
)
async def bubblewrap_may_not_work_within_itself(world):
    """As with AppArmor's profile for bwrap that denies what it starts a namespace."""
    fails = "echo bwrap: setting up uid map: Permission denied >&2; exit 1"
    world.program("bwrap", f'case "$*" in *bwrap*) {fails};; esac')


@breakage(
    "wall for coding",
    "warning",
    "wall for coding",
    "is set, so coding runs without a wall",
    "take ALLOW",
)
async def coding_is_allowed_without_a_wall(world):
    world.without_programs()
    world.settings["ALLOW_UNSANDBOXED_CODING"] = "true"


@pytest.mark.parametrize(
    "broken", BREAKAGES, ids=[f"{row.name}: {row.happen.__name__}" for row in BREAKAGES]
)
async def test_each_breakage_has_its_line(world, broken):
    await broken.happen(world)

    async with asyncio.timeout(30):
        checks = await world.look(broken.probe)

    lines = [c for c in checks if c.name == broken.name and broken.says in c.meaning]
    assert [broken.state] == [check.state for check in lines], checks
    assert broken.mend in lines[0].mend
    assert "canary" not in repr(checks)


@pytest.mark.parametrize("probe", sorted({row.probe for row in BREAKAGES}))
async def test_nothing_is_said_against_what_is_well(world, probe):
    fake_cli(world)
    checks = await world.look(probe)
    if probe == "wall for coding":
        assert len(checks) == 1
    else:
        assert {"ok"} == {check.state for check in checks}, checks
