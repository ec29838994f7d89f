"""docs/architecture.md stays true: its states are the code's, and every folder has its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from libs.common.events.tasks import Outcome, TaskResult
from libs.common.jetstream.topology import DURABLES, EVENTS, topology
from libs.common.launching import contract
from services.ops import environments

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "tests/README.md"])
_TRANSITION = re.compile(r"^\s*(\[\*\]|\w+) --> (\[\*\]|\w+)", re.MULTILINE)
_NAMED = re.compile(r'^\s*state ".*" as (\w+)$', re.MULTILINE)
_ROW = re.compile(r"^\| (.+?) \|$", re.MULTILINE)


def diagram() -> str:
    [found] = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", TEXT, re.DOTALL)
    return str(found)


def states() -> set[str]:
    ends = {end for transition in _TRANSITION.findall(diagram()) for end in transition}
    return (ends - {"[*]"}) | set(_NAMED.findall(diagram()))


def row(start: str) -> list[str]:
    [cells] = [found.split(" | ") for found in _ROW.findall(TEXT) if found.startswith(start)]
    return [cell.strip(" |") for cell in re.split(r"\|", " | ".join(cells))]


def folders(path: Path) -> list[str]:
    return sorted(child.name for child in path.iterdir() if (child / "__init__.py").exists())


def test_the_states_of_the_diagram_are_those_of_the_code():
    results = {kind.__name__ for kind in get_args(TaskResult)}

    assert states() == {"requested"} | results | set(get_args(Outcome))


def test_every_end_of_a_task_leads_to_an_outcome_and_every_outcome_ends():
    after: dict[str, set[str]] = {}
    for start, end in _TRANSITION.findall(diagram()):
        after.setdefault(start, set()).add(end)
    results = {kind.__name__ for kind in get_args(TaskResult)}

    assert after["requested"] == results
    for result in results:
        assert after[result] <= set(get_args(Outcome))
    for outcome in set(get_args(Outcome)) - {"refused"}:
        assert after[outcome] == {"[*]"}


def test_every_folder_of_the_product_has_its_line():
    for path in (ROOT / "libs" / "common", ROOT / "services"):
        for name in folders(path):
            assert re.search(rf"^ +{name}/ ", TEXT, re.MULTILINE), f"{name}/ is not explained"


def test_every_single_module_of_libs_common_is_named():
    modules = [path.stem for path in (ROOT / "libs" / "common").glob("[a-z]*.py")]
    [line] = [line for line in TEXT.splitlines() if line.endswith("(single modules)")]

    assert set(line.split()[:-2]) == set(modules)


def test_every_stream_and_bucket_is_named():
    for stream in topology().streams:
        name = stream.name.removeprefix("KV_").removeprefix("OBJ_")
        assert f"`{name}`" in TEXT, f"{name} is not explained"
    assert f"`{EVENTS}`" in TEXT


def test_each_durable_has_the_name_of_its_service():
    assert {durable.name for durable in DURABLES} <= set(folders(ROOT / "services"))


def test_the_table_of_secrets_is_that_of_the_code():
    """SR-38: who holds which secret, as documented and as handed out."""
    columns = ("ingest", "reviewer", "publisher")
    for name, start in (
        ("GITLAB_WEBHOOK_SECRET", "`GITLAB_WEBHOOK_SECRET`"),
        ("GITLAB_READ_TOKEN", "`GITLAB_READ_TOKEN`"),
        ("GITLAB_TOKEN", "`GITLAB_TOKEN`"),
        ("TASK_DOOR_SECRET", "`TASK_DOOR_SECRET`"),
        ("COPILOT_PROVIDER_API_KEY", "`GITHUB_TOKEN`"),
    ):
        cells = row(start)
        told = {service for service, cell in zip(columns, cells[1:4], strict=True) if cell}
        assert told == {s for s in columns if name in environments.OWN[s]}, name
        steps = {step for step, cell in zip(("clone", "run"), cells[4:6], strict=True) if cell}
        assert steps == {s for s, names in contract.STEP_SETTINGS.items() if name in names}, name


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_each_decision_has_its_number_and_four_headings(path):
    text = path.read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)

    assert text.startswith(f"# {path.stem[:4]}. ")
    assert headings == ["Context", "Decision", "Consequences", "Alternatives"]


def test_decisions_are_numbered_without_a_gap():
    numbers = [int(path.stem[:4]) for path in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
    inside = [link for link in links if "://" not in link]

    assert [link for link in inside if not (path.parent / link).exists()] == []
