"""docs/architecture.md stays true: its states are the code's, and every folder has its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from libs.common.events.envelope import AnyEvent
from libs.common.events.tasks import Outcome, Result
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


RESULTS = {kind.__name__ for kind in get_args(AnyEvent) if issubclass(kind, Result)}
"""All ends that the log can hold, so also those that nobody publishes."""
OUTCOMES = set(get_args(Outcome))


def diagram() -> str:
    [found] = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", TEXT, re.DOTALL)
    return str(found)


def states(text: str) -> set[str]:
    ends = {end for transition in _TRANSITION.findall(text) for end in transition}
    return (ends - {"[*]"}) | set(_NAMED.findall(text))


def transitions(text: str) -> dict[str, set[str]]:
    after: dict[str, set[str]] = {}
    for start, end in _TRANSITION.findall(text):
        after.setdefault(start, set()).add(end)
    return after


def wrong(text: str) -> list[str]:
    """What a diagram says otherwise than the code."""
    after, known = transitions(text), {"requested"} | RESULTS | OUTCOMES
    found = [f"{state} is missing" for state in sorted(known - states(text))]
    found += [f"{state} is not in the code" for state in sorted(states(text) - known)]
    if after.get("[*]") != {"requested"} or after.get("requested") != RESULTS:
        found.append("a task begins as requested and has each of the results as its end")
    for result in sorted(RESULTS):
        if not after.get(result) or not after[result] <= OUTCOMES | {"[*]"}:
            found.append(f"{result} leads to no outcome")
    reached = set().union(*after.values())
    for outcome in sorted(OUTCOMES):
        if (outcome in reached) != (after.get(outcome) == {"[*]"}):
            found.append(f"{outcome} is reached and does not end, or the reverse")
    return found


def row(start: str) -> list[str]:
    [cells] = [found.split(" | ") for found in _ROW.findall(TEXT) if found.startswith(start)]
    return [cell.strip(" |") for cell in re.split(r"\|", " | ".join(cells))]


def folders(path: Path) -> list[str]:
    return sorted(child.name for child in path.iterdir() if (child / "__init__.py").exists())


def test_the_diagram_has_the_states_and_ends_of_the_code():
    assert wrong(diagram()) == []


def test_every_line_of_the_diagram_is_understood():
    lines = [line for line in diagram().splitlines() if line.strip()]

    assert [line for line in lines if not _TRANSITION.match(line) and not _NAMED.match(line)] == []


@pytest.mark.parametrize("state", sorted({"requested"} | RESULTS | OUTCOMES))
def test_a_diagram_without_one_of_the_states_is_found(state):
    named = re.compile(rf"\b{state}\b(?!.* as )")
    kept = [
        line
        for line in diagram().splitlines()
        if not named.search(line.split(":")[0]) and not line.endswith(f" as {state}")
    ]

    assert f"{state} is missing" in wrong("\n".join(kept))


@pytest.mark.parametrize("extra", ["ReviewDone --> sent", "sent --> [*]", 'state "x" as sent'])
def test_a_diagram_with_a_state_too_many_is_found(extra):
    assert "sent is not in the code" in wrong(f"{diagram()}\n    {extra}\n")


@pytest.mark.parametrize(
    "line", ["posted --> [*]", "requested --> Superseded", "[*] --> requested", "Echoed --> [*]"]
)
def test_a_diagram_without_one_of_its_ways_is_found(line):
    kept = [one for one in diagram().splitlines() if not one.strip().startswith(line)]

    assert wrong("\n".join(kept)) != []


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
    columns = ("ingest", "reviewer", "coder", "publisher")
    for name, start in (
        ("GITLAB_WEBHOOK_SECRET", "`GITLAB_WEBHOOK_SECRET`"),
        ("GITLAB_READ_TOKEN", "`GITLAB_READ_TOKEN`"),
        ("GITLAB_TOKEN", "`GITLAB_TOKEN`"),
        ("TASK_DOOR_SECRET", "`TASK_DOOR_SECRET`"),
        ("COPILOT_PROVIDER_API_KEY", "`GITHUB_TOKEN`"),
    ):
        cells = row(start)
        told = {service for service, cell in zip(columns, cells[1:5], strict=True) if cell}
        assert told == {s for s in columns if name in environments.OWN[s]}, name
        steps = {step for step, cell in zip(("clone", "run"), cells[5:7], strict=True) if cell}
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
