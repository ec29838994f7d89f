"""The demo: a project with one issue that a person may move to the trigger status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .simulator import SimulatedJira
    from .state import Issue

PROJECT = "DEMO"
SUMMARY = "Call the price with tax what it is"


def create_demo(jira: SimulatedJira) -> Issue:
    project = jira.world.projects.get(PROJECT) or jira.create_project(PROJECT, "Demo")
    wanted = _markup() if jira.settings.data_center else _document()
    return jira.create_issue(project, SUMMARY, description=wanted, issue_type="Story")


def _markup() -> str:
    return (
        "New colleagues take {{with_tax}} for a flag.\n\n"
        "* Rename {{with_tax}} to {{gross_price}}\n"
        "* Change nothing else"
    )


def _document() -> dict[str, Any]:
    def text(value: str, *marks: str) -> dict[str, Any]:
        return {"type": "text", "text": value, "marks": [{"type": mark} for mark in marks]}

    def paragraph(*nodes: dict[str, Any]) -> dict[str, Any]:
        return {"type": "paragraph", "content": list(nodes)}

    def item(*nodes: dict[str, Any]) -> dict[str, Any]:
        return {"type": "listItem", "content": [paragraph(*nodes)]}

    old, new = text("with_tax", "code"), text("gross_price", "code")
    points = [
        item(text("Rename "), old, text(" to "), new),
        item(text("Change nothing else")),
    ]
    return {
        "type": "doc",
        "version": 1,
        "content": [
            paragraph(text("New colleagues take "), old, text(" for a flag.")),
            {"type": "bulletList", "content": points},
        ],
    }
