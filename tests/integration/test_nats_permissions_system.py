"""SR-17: everything that the system does, done by real processes, each with its own NATS user.

Whatever is missing in the table of permissions is a refusal in the server's log.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from libs.common.events.tasks import TaskPublished
from libs.common.jetstream.apply import apply
from libs.common.jetstream.topology import topology
from libs.common.launching.local import LocalLauncher
from services.ops.environments import SERVICES
from tests.e2e import system as systems
from tests.e2e.coding import AFTER, BUDGETS, PATIENCE, answered, commits_of, open_draft, project_in
from tests.e2e.operator import Operator
from tests.e2e.system import System
from tests.integration.nats_users import ADMIN, RestrictedServer, restricted_server
from tests.simulators.gitlab import running_gitlab
from tests.simulators.model import running_model

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.timeout(400),
    pytest.mark.asyncio(loop_scope="module"),
]
MODE = "sim-reviewer"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RestrictedServer]:
    async with restricted_server(tmp_path_factory.mktemp("users"), None) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    nats: RestrictedServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """As `running_system`, but every service has the seed of its own user and polls, too.

    The topology comes last, as after `helm install`: until then services are ready and wait.
    """
    folder: Path = tmp_path_factory.mktemp("system")
    async with contextlib.AsyncExitStack() as stack:
        connection = await stack.enter_async_context(nats.connect(ADMIN))
        gitlab = await stack.enter_async_context(running_gitlab(folder / "gitlab"))
        model = await stack.enter_async_context(running_model(mode=MODE))
        launcher = LocalLauncher(folder / "tasks", steps=lambda _: [], clones=folder / "clones")
        stack.push_async_callback(systems._end_jobs, launcher)
        started = System(
            folder=folder,
            gitlab=gitlab,
            model=model,
            connection=connection,
            services={},
            launcher=launcher,
            screen=io.StringIO(),
        )
        started.mapped = await stack.enter_async_context(systems._mapped(gitlab))
        own = systems._own(folder, nats.url)
        given = systems._settings(gitlab, model, MODE) | systems._jira_settings(started.mapped)
        given |= BUDGETS | {"GITLAB_GROUPS": "coding,tracked", "GITLAB_POLL": "true"}
        given |= {"GITLAB_POLL_INTERVAL": "5"}
        for name in SERVICES:
            login = {"NATS_CREDENTIALS": str(nats.seed(name))}
            await systems._start(stack, started, (name,), given | login, own)
        gitlab.set_webhook(
            url=f"http://127.0.0.1:{own['PORT']}/webhook", secret=systems.WEBHOOK_SECRET
        )
        await started.until(lambda: "the agent is known" in started.logs(), "ingest to know us")
        for name in ("reviewer", "coder", "publisher"):
            await started.until(functools.partial(waits, started, name), f"{name} to say so")
        async with nats.connect("topology", "gca-topology") as owner:
            await apply(owner, topology())
        yield started


def waits(system: System, name: str) -> bool:
    """Whether the service says what it waits for."""
    said = (system.folder / "logs" / f"{name}.log").read_text()
    return "was `gca topology apply` run?" in said


@pytest.fixture
def operator(nats: RestrictedServer, system: System) -> Operator:
    """Who has the seed of `ops`."""
    return Operator(
        system.folder,
        {
            "PATH": str(Path(sys.executable).parent),
            "GCA_STATE_DIR": str(system.folder / "none"),
            "GCA_DOTENV": "/dev/null",
            "NATS_URL": nats.url,
            "NATS_CREDENTIALS": str(nats.seed("ops")),
        },
    )


async def test_sr_17_reviews_commands_and_issues_need_no_more_than_the_permissions(
    system: System, nats: RestrictedServer
) -> None:
    mr = await open_draft(system)
    note = await system.note(mr, "/copilot add a note about rounding")
    await answered(system, mr, note)
    question = await system.note(mr, "/copilot ask what does price return?")
    await answered(system, mr, question)
    review = await system.note(mr, "/copilot review")
    await system.answer_to(mr, review, seconds=PATIENCE)
    issue = system.tracker.issue("Round prices", "Please round prices to cents.")
    system.tracker.move(issue)
    record = await system.answer_to_issue(issue, seconds=PATIENCE)

    assert "posted" == record.outcome
    assert 1 == len(commits_of(mr.project))
    assert [] == nats.violations()


async def test_sr_17_pollers_need_no_more_than_the_permissions(
    system: System, nats: RestrictedServer
) -> None:
    with system.gitlab.lost_webhooks():
        project = project_in(system)
        system.gitlab.commit(project, branch="topic", files={"app.py": AFTER})
        mr = await system.gitlab.open_merge_request(project, source_branch="topic")
    record = await system.review_of(mr, seconds=PATIENCE)

    assert "posted" == record.outcome
    assert [] == nats.violations()


async def test_sr_17_the_commands_of_an_operator_need_no_more_than_the_permissions(
    system: System, nats: RestrictedServer, operator: Operator
) -> None:
    mr = await open_draft(system)
    note = await system.note(mr, "/copilot ask what does price return?")
    record: TaskPublished
    record, _ = await answered(system, mr, note)
    await system.connection.publish(f"mr.opened.{mr.project.id}.9.ffffffffffffffff", b"no event")

    async def died() -> bool:
        return '"id"' in (await operator.gca("dead-letters", "list", "--json")).out

    await system.until(died, "a dead letter", seconds=60)
    place = f"{mr.project.id}!{mr.iid}"
    commands = [
        ("events", place, "--json"),
        ("stats",),
        ("doctor", "--json"),
        ("doctor", "--task"),
        ("topology", "diff"),
        ("replay", f"note.command.{mr.project.id}.>", "--since", "1h", "--yes"),
        ("dead-letters", "show", "--subject", ">"),
        ("dead-letters", "retry", "--subject", ">", "--yes"),
        ("dead-letters", "drop", "--subject", ">", "--yes"),
    ]
    said = {words: await operator.gca(*words) for words in commands}

    assert record.task_id in said[commands[0]].out
    assert [] == nats.violations()
    # The doctor finds fault with a GitLab that it was told nothing of.
    assert {} == {words: a for words, a in said.items() if a.code and words[0] != "doctor"}
    checks = map(json.loads, said["doctor", "--json"].out.splitlines())
    assert {"NATS": "ok", "topology": "ok", "log": "ok"} == {
        check["name"]: check["state"]
        for check in checks
        if check["name"] in ("NATS", "topology", "log")
    }
