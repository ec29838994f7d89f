"""SR-42: `gca forget` takes a project out of a real NATS, and nothing else."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from libs.common.errors import AgentError
from libs.common.jetstream import reading
from libs.common.jetstream.forgetting import Kept
from libs.common.jetstream.topology import ARTIFACTS, DEAD_LETTERS, EVENTS
from services.ops import forget
from tests.contract.event_log import opened, published
from tests.integration.gca import gca_at
from tests.integration.test_dead_letters import bury
from tests.unit.launching import examples

pytestmark = pytest.mark.real
LARGE = "x" * 1_000_000


@pytest.fixture
def gca(connection, nats_server):  # noqa: ARG001  # the topology must be there
    """Runs `gca forget …`; the exit code and what was printed."""
    return gca_at(nats_server.url, "forget")


def elsewhere(new, scope: str):
    """The same in another project: subjects decide, not bodies."""
    subject = new.subject.replace(".42.", f".{scope}.", 1)
    return replace(new, subject=subject, message_id=f"{new.message_id}-{scope}")


async def everything(connection) -> set[str]:
    """All subjects of logs and artifacts."""
    found: set[str] = set()
    for stream in (EVENTS, DEAD_LETTERS, f"OBJ_{ARTIFACTS}"):
        found |= await reading.subjects(connection, stream, [">"])
    return found


@pytest.fixture
async def others(connection, event_log) -> set[str]:
    """What belongs to project 421 and to Jira's project OTHER, and must stay."""
    for scope in ("421", "OTHER"):
        seq = (await event_log.append(elsewhere(opened(), scope))).seq
        await bury(connection, seq)
        await event_log.append(elsewhere(published("t1", LARGE), scope))
    return await everything(connection)


@pytest.fixture
async def known(connection, event_log, others) -> None:
    """Two of each kind of thing about project 42: as it came, and put back by an operator."""
    await bury(connection, (await event_log.append(opened())).seq)
    again = replace(opened(), subject=f"retry.coder.{opened().subject}", message_id="again")
    await bury(connection, (await event_log.append(again)).seq, "coder")
    await event_log.append(published("t1", LARGE))
    assert len(await everything(connection)) > len(others)


@pytest.mark.usefixtures("known")
async def test_sr_42_all_about_a_project_is_gone_and_nothing_else(connection, gca, others):
    code, shown = await gca("42", answer="y")

    assert code == 0
    assert "42: 3 events, 2 dead letters, 1 large text\n" in shown
    assert "GITLAB_PROJECTS" in shown
    assert await everything(connection) == others
    assert (0, "the log has nothing about 42\n") == await gca("42")


async def test_sr_42_a_project_of_jira_is_forgotten_by_its_key(connection, event_log, gca):
    await event_log.append(elsewhere(opened(), "PROJ"))

    code, shown = await gca("PROJ", "--yes")

    assert (code, await everything(connection)) == (0, set())
    assert "PROJ: 1 event, 0 dead letters, 0 large texts\n" in shown


async def test_sr_42_issues_of_jira_that_changed_its_code_go_with_it(
    connection, event_log, gca, others
):
    task = replace(examples.task().request, scope="PROJ", ref="9", project_id=42)
    await examples.requested(event_log, task)
    await examples.ended(event_log, task)

    code, shown = await gca("42", "--yes")

    assert code == 0
    assert "42: 2 events" in shown
    assert "with all about PROJ-9: issues" in shown
    assert await everything(connection) == others


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(("words", "code"), [((), 1), (("--dry-run",), 0)])
async def test_nothing_is_forgotten_by_a_no_or_a_dry_run(connection, gca, words, code):
    before = await everything(connection)

    found, shown = await gca("42", *words)

    assert (found, await everything(connection)) == (code, before)
    assert "3 events" in shown


@pytest.mark.parametrize(
    "text", ["", "*", ">", "42.7", "group/app", "doctor", "042", "proj", "4 2"]
)
async def test_what_is_no_project_is_refused_before_anything_is_asked(text):
    with pytest.raises(AgentError, match="is no project"):
        forget.checked(text)


def test_many_issues_are_counted():
    issues = tuple(f"PROJ-{number}" for number in range(1, 13))
    shown = forget.lines("42", Kept(tails=("42.>",), events=12, issues=issues))
    assert "PROJ-10 and 2 more" in shown[1]
