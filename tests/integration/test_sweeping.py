"""What is left over on a real disk and in a real object store: found, and removed with care."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from libs.common.clock import SystemClock
from libs.common.errors import Permanent
from libs.common.events.tasks import Artifact, ChangesProposed
from libs.common.jetstream import reading
from libs.common.jetstream.artifacts import Artifacts
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.dead_letters import DeadLetter, DeadLetters
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import ARTIFACTS, EVENTS
from libs.common.jetstream.unnamed import UnnamedArtifacts
from libs.common.launching.local import LocalLauncher
from libs.common.launching.local_folders import LocalFolders
from libs.common.launching.protocol import Launch
from libs.common.launching.state import Step
from libs.common.launching.sweeping import Folder, Sweeper
from tests.contract.event_log import published
from tests.contract.launcher import order
from tests.fakes.log import MemoryLog
from tests.unit.launching.test_sweeping import MemoryArtifacts

pytestmark = pytest.mark.real
NAME = order().job_name
HASH = NAME.rpartition("-")[2]
NOW = timedelta(0)


class Machine:
    def __init__(self, root: Path) -> None:
        self.jobs, self.clones = root / "tasks", root / "clones"
        self.launcher = LocalLauncher(self.jobs, steps=self._steps, clones=self.clones, grace=0.5)
        self.folders = LocalFolders(self.jobs, self.clones)
        self.sweeper = Sweeper(
            log=MemoryLog(),
            folders=self.folders,
            artifacts=MemoryArtifacts(),
            clock=SystemClock(),
        )
        for folder in (self.jobs, self.clones):
            folder.mkdir()

    def _steps(self, _launch: Launch) -> list[Step]:
        path = {"PATH": os.environ["PATH"]}
        return [Step(name="run", argv=("/bin/sh", "-c", "exec sleep 60"), environment=path)]

    def make(self, name: str, root: Path | None = None, hours: float = 2) -> Path:
        path = (root or self.clones) / name
        (path / "repo").mkdir(parents=True)
        (path / "repo" / "file").write_text("content")
        self.age(path, hours)
        return path

    def age(self, path: Path, hours: float = 2) -> None:
        at = time.time() - hours * 3600
        os.utime(path, (at, at), follow_symlinks=False)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    for job in await machine.launcher.jobs():
        await machine.launcher.cancel(job.job_name)


async def test_old_folders_of_no_task_are_removed_and_young_ones_stay(machine: Machine):
    gone = [
        machine.make(NAME),
        machine.make(f"push-{HASH}"),
        machine.make(f".gone-push-{HASH}-00"),
        machine.make(NAME, machine.jobs),
    ]
    young = machine.make(f"push-{HASH[::-1]}", hours=0.9)
    swept = await machine.sweeper.sweep()
    assert [path for path in gone if path.exists()] == []
    assert young.exists()
    assert (swept["clone_folder"], swept["state_folder"]) == (3, 1)


async def test_what_is_not_ours_stays(machine: Machine):
    others = [machine.make("keep"), machine.make(".ended", machine.jobs), machine.make("gca-x")]
    file = machine.clones / f"push-{HASH}"
    file.write_text("a file of that name")
    machine.age(file)
    await machine.sweeper.sweep()
    assert [path for path in (*others, file) if not path.exists()] == []


async def test_a_running_jobs_folders_stay_however_old(machine: Machine):
    await machine.launcher.launch(order())
    for root in (machine.jobs, machine.clones):
        machine.age(root / NAME, hours=30)
    assert [folder.running for folder in await machine.folders.found()] == [True, True]
    assert not (await machine.sweeper.sweep()).total()
    [job] = await machine.launcher.jobs()
    assert job.phase == "running"


async def test_a_folder_that_got_a_job_since_it_was_found_stays(machine: Machine):
    machine.make(NAME)
    [found] = await machine.folders.found()
    await machine.launcher.launch(order())
    assert not await machine.folders.remove(found)
    assert (machine.clones / NAME).exists()


async def test_a_job_that_ended_and_that_nobody_forgot_is_removed(machine: Machine):
    """Its service is switched off: no reconciler of its kind is there."""
    await machine.launcher.launch(order())
    job = machine.jobs / NAME
    (job / "exit.json").write_text('{"reason": "run finished", "exit_code": 0}')
    for root in (machine.jobs, machine.clones):
        machine.age(root / NAME)
    swept = await machine.sweeper.sweep()
    assert (swept["clone_folder"], swept["state_folder"]) == (1, 1)
    assert await machine.launcher.jobs() == []


async def test_symlinks_are_not_followed_and_nothing_outside_is_touched(
    machine: Machine, tmp_path: Path
):
    outside = machine.make("precious", tmp_path)
    link = machine.clones / NAME
    link.symlink_to(outside)
    machine.age(link)
    inside = machine.make(f"push-{HASH}")
    (inside / "repo" / "way-out").symlink_to(outside)
    (inside / "way-out").symlink_to(outside)
    machine.age(inside)
    await machine.sweeper.sweep()
    assert not inside.exists()
    assert (outside / "repo" / "file").read_text() == "content"
    assert link.is_symlink()
    wrong = Folder(name="../precious", what="clone_folder", changed_at=SystemClock().now())
    assert not await machine.folders.remove(wrong)
    assert outside.exists()


async def test_a_clone_whose_rights_were_taken_away_goes_too(machine: Machine, tmp_path: Path):
    outside = machine.make("precious", tmp_path)
    outside.chmod(0o500)
    path = machine.make(NAME)
    (path / "repo" / "way-out").symlink_to(outside)
    for folder in (path / "repo", path):
        folder.chmod(0)
    machine.age(path)
    swept = await machine.sweeper.sweep()
    assert swept["clone_folder"] == 1
    assert list(machine.clones.iterdir()) == []
    assert oct(outside.stat().st_mode & 0o777) == "0o500"


async def test_folders_that_are_not_there_are_no_failure(tmp_path: Path):
    assert await LocalFolders(tmp_path / "no", tmp_path / "nowhere").found() == []


# --- artifacts -------------------------------------------------------------------------


@pytest.fixture
def artifacts(connection: Connection) -> Artifacts:
    return Artifacts(connection)


@pytest.fixture
def unnamed(connection: Connection) -> UnnamedArtifacts:
    return UnnamedArtifacts(connection)


async def subjects_left(connection: Connection) -> set[str]:
    return await reading.subjects(connection, f"OBJ_{ARTIFACTS}", [">"])


LARGE = "x" * 600_000


async def test_an_artifact_that_an_event_holds_stays(
    event_log: JetStreamLog, unnamed: UnnamedArtifacts
):
    new = published("t1", LARGE)
    await event_log.append(new)
    for _ in range(2):
        assert await unnamed.remove(NOW) == 0
    found = await event_log.last(new.subject)
    assert found is not None
    assert found.event == new.event


async def test_an_artifact_that_a_result_names_stays(
    event_log: JetStreamLog, artifacts: Artifacts, unnamed: UnnamedArtifacts
):
    patch = b"diff --git a/x b/x\n" * 100
    kept = await artifacts.put("coding-42-7-n1-patch", patch)
    result = ChangesProposed(
        task_id="coding-42-7-n1",
        head_sha="a" * 40,
        subject="Do it",
        summary="Done.",
        files=("x",),
        stored=kept,
    )
    new = published("t1", "")
    await event_log.append(
        msgspec.structs.replace(new, event=result, subject="task.result.42.7.coding-42-7-n1")
    )
    assert await unnamed.remove(NOW) == 0
    assert await artifacts.get(kept) == patch


async def test_an_artifact_that_no_event_names_is_removed_when_it_is_old(
    connection: Connection, artifacts: Artifacts, unnamed: UnnamedArtifacts
):
    kept = await artifacts.put("orphan", b"y" * 2_000_000)
    assert await unnamed.remove(timedelta(days=1)) == 0
    assert await artifacts.get(kept)
    assert await unnamed.remove(NOW) == 1
    with pytest.raises(Permanent, match="is gone"):
        await artifacts.get(kept)
    assert await subjects_left(connection) == set()


async def test_pieces_of_a_put_that_was_killed_are_removed(
    connection: Connection, unnamed: UnnamedArtifacts
):
    await connection.publish(f"$O.{ARTIFACTS}.C.0123", b"a piece")
    assert await unnamed.remove(timedelta(days=1)) == 0
    assert await unnamed.remove(NOW) == 1
    assert await subjects_left(connection) == set()


async def test_an_artifact_goes_when_its_project_was_forgotten_sr_42(
    connection: Connection, event_log: JetStreamLog, unnamed: UnnamedArtifacts
):
    new = published("t1", LARGE)
    await event_log.append(new)
    assert await unnamed.remove(NOW) == 0
    await connection.api(f"STREAM.PURGE.{EVENTS}", {"filter": new.subject})
    assert await unnamed.remove(NOW) == 1


async def test_a_dead_letter_keeps_its_artifact(
    connection: Connection, event_log: JetStreamLog, unnamed: UnnamedArtifacts
):
    new = published("t1", LARGE)
    await event_log.append(new)
    stored = await reading.last(connection, EVENTS, new.subject)
    assert stored is not None
    letter = DeadLetter(stored=stored, stream=EVENTS, service="publisher", reason="x", attempts=1)
    await DeadLetters(connection).add(letter)
    await connection.api(f"STREAM.PURGE.{EVENTS}", {"filter": new.subject})
    assert await unnamed.remove(NOW) == 0


async def test_a_name_that_comes_much_later_is_found(
    connection: Connection, event_log: JetStreamLog, artifacts: Artifacts
):
    """Results are tried again for hours; then the log is read from the artifact on."""
    kept = await artifacts.put("patch", b"z")
    for number in range(300):
        await event_log.append(published(f"t{number}", ""))
    await event_log.append(published("late", kept.artifact))
    at_once = UnnamedArtifacts(connection, soon=timedelta(0))
    assert await at_once.remove(NOW) == 0
    assert await artifacts.get(kept) == b"z"


async def test_an_old_artifact_that_is_put_again_is_new(
    connection: Connection, artifacts: Artifacts
):
    kept: Artifact = await artifacts.put("patch", b"z")
    before = await subjects_left(connection)
    assert await artifacts.put("patch", b"z") == kept
    assert await subjects_left(connection) == before
    [meta] = [s for s in before if ".M." in s]
    stored = await reading.last(connection, f"OBJ_{ARTIFACTS}", meta)
    assert stored is not None
    described = msgspec.json.decode(stored.body)
    described["mtime"] = "2020-01-01T00:00:00+00:00"
    await connection.publish(meta, msgspec.json.encode(described), headers={"Nats-Rollup": "sub"})
    assert await artifacts.put("patch", b"z") == kept
    assert len(await subjects_left(connection) - before) == 1, "other pieces"
    assert await artifacts.get(kept) == b"z"


async def test_two_sweepers_at_once_are_harmless(
    connection: Connection, event_log: JetStreamLog, artifacts: Artifacts
):
    new = published("t1", LARGE)
    await event_log.append(new)
    await artifacts.put("orphan", b"y")
    await asyncio.gather(*(UnnamedArtifacts(connection).remove(NOW) for _ in range(3)))
    assert await event_log.last(new.subject) is not None
    assert len(await subjects_left(connection)) == 2
