"""The demo: a project with one issue that a person may move to the trigger status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .simulator import SimulatedJira
    from .state import Issue

PROJECT = "DEMO"
SUMMARY = "Greet people by name"


def create_demo(jira: SimulatedJira) -> Issue:
    project = jira.world.projects.get(PROJECT) or jira.create_project(PROJECT, "Demo")
    wanted = _markup() if jira.settings.data_center else _document()
    return jira.create_issue(project, SUMMARY, description=wanted, issue_type="Story")


def _markup() -> str:
    return (
        "The greeting knows nobody's name.\n\n"
        "* Add {{greeting.txt}} with one line: {{Hello, NAME!}}\n"
        "* Change nothing else"
    )


def _document() -> dict[str, Any]:
    def text(value: str, *marks: str) -> dict[str, Any]:
        return {"type": "text", "text": value, "marks": [{"type": mark} for mark in marks]}

    def item(*nodes: dict[str, Any]) -> dict[str, Any]:
        return {"type": "listItem", "content": [{"type": "paragraph", "content": list(nodes)}]}

    points = [
        item(
            text("Add "),
            text("greeting.txt", "code"),
            text(" with one line: "),
            text("Hello, NAME!", "code"),
        ),
        item(text("Change nothing else")),
    ]
    return {
        "type": "doc",
        "version": 1,
        "content": [
            {"type": "paragraph", "content": [text("The greeting knows nobody's name.")]},
            {"type": "bulletList", "content": points},
        ],
    }
