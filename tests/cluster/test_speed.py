"""How long a Job takes to begin, against a child process, and what it asks of the API server."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from tests.cluster.installed import PATIENCE, STORY, Installed
from tests.cluster.machine.places import CLUSTER
from tests.cluster.people import Opened
from tests.e2e import coding
from tests.e2e.system import running_system

pytestmark = [*STORY, pytest.mark.timeout(1200)]
RUNS = 5
MEASURED = CLUSTER / "measured.json"
SAMPLE = re.compile(r"apiserver_request_total\{(?P<labels>.*)\} (?P<count>\d+)")
LABEL = re.compile(r'(\w+)="([^"]*)"')


async def test_seconds_from_request_to_the_runner_s_first_line(system, tmp_path, capsys):
    by_jobs = [await started(system, await system.gitlab.draft()) for _ in range(RUNS)]
    by_processes = await of_child_processes(tmp_path)

    found = {"job_start_seconds": by_jobs, "process_start_seconds": by_processes}
    tell(capsys, found)
    assert statistics.median(by_jobs) < 60


async def started(system: Installed, mr: Opened) -> float:
    """Seconds until the clone's first line, by the clock of this machine and of its node."""
    note = await system.gitlab.comment(mr, "/copilot ask what does price return?")
    task_id = await system.task_of(mr)
    pod = await system.pod_of(
        task_id, lambda pod: pod["status"]["phase"] in {"Running", "Succeeded"}
    )
    name = pod["metadata"]["name"]
    lines = await system.kubectl("logs", name, "-c", "clone", "--timestamps")
    await system.answer(mr, note)
    [asked] = [one for one in await system.history(mr) if "task.requested" in one.subject]
    return round((moment(lines.split()[0]) - asked.time).total_seconds(), 2)


async def of_child_processes(folder: Path) -> list[float]:
    found = []
    async with running_system(folder, settings=coding.BUDGETS) as system:
        for _ in range(RUNS):
            mr = await coding.open_draft(system)
            note = await system.note(mr, "/copilot ask what does price return?")
            await system.answer_to(mr, note, seconds=PATIENCE)
            [asked] = [one for one in await system.history(mr) if "task.requested" in one.subject]
            first = min(
                moment(json.loads(line)["timestamp"])
                for log in (folder / "tasks").glob("**/*.log")
                for line in log.read_text().splitlines()[:1]
                if asked.event.task_id in log.read_text()
            )
            found.append(round((first - asked.time).total_seconds(), 2))
    return found


async def test_a_task_costs_one_create_and_one_delete_and_no_polling(system, capsys):
    async def none_left() -> bool:
        return not await system.jobs()

    async def all_removed() -> Counter[tuple[str, str]] | None:
        calls = await requests(system) - before
        return calls if calls["DELETE", "jobs"] >= RUNS else None

    await system.kubectl.until(none_left, "the Jobs of earlier tasks to be removed")
    before = await requests(system)
    for _ in range(RUNS):
        await system.answered(await system.gitlab.draft(), "/copilot ask what does price return?")
    calls = await system.kubectl.until(all_removed, "a DELETE of each Job")

    tell(
        capsys,
        {
            "api_calls": {" ".join(key): count for key, count in sorted(calls.items())},
            "tasks": RUNS,
        },
    )
    assert RUNS == calls["POST", "jobs"]
    assert RUNS == calls["DELETE", "jobs"]
    assert calls["GET", "jobs"] + calls["LIST", "jobs"] + calls["LIST", "pods"] <= RUNS


async def requests(system: Installed) -> Counter[tuple[str, str]]:
    """What the API server has been asked about Jobs and pods so far, by everybody."""
    found: Counter[tuple[str, str]] = Counter()
    for line in (await system.kubectl("get", "--raw", "/metrics")).splitlines():
        if sample := SAMPLE.match(line):
            labels = dict(LABEL.findall(sample["labels"]))
            if labels.get("resource") in {"jobs", "pods"} and not labels.get("subresource"):
                found[labels["verb"], labels["resource"]] += int(sample["count"])
    return found


def moment(text: str) -> datetime:
    # The API writes nanoseconds, Python 3.11 reads six digits.
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))


def tell(capsys: pytest.CaptureFixture[str], found: dict[str, object]) -> None:
    """Print it whatever pytest captures, and keep it beside the cluster."""
    known = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    MEASURED.write_text(json.dumps(known | found, indent=2))
    with capsys.disabled():
        print("\n" + json.dumps(found))  # noqa: T201  # numbers are this test's result
