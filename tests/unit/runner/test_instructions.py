"""SR-12: what a reviewer is told by the repository, and how little of it."""

from __future__ import annotations

import pytest

from services.runner.instructions import (
    MAX_BYTES,
    MAX_PATHS,
    Wanted,
    bounded,
    document,
    front_matter,
    rendered,
    wanted,
)

FILE = "100644"


def paths(*names: str, changed: tuple[str, ...] = (), mode: str = FILE) -> list[str]:
    return [wish.path for wish in wanted([(name, mode) for name in names], changed)]


def test_the_root_s_instructions_come_first_then_folders_of_changed_files():
    tree = ("shop/AGENTS.md", "AGENTS.md", "web/AGENTS.md", ".github/copilot-instructions.md")

    assert paths(*tree, changed=("shop/api/cart.py",)) == [
        ".github/copilot-instructions.md",
        "AGENTS.md",
        "shop/AGENTS.md",
    ]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("CLAUDE.md", "instructions"),
        (".claude/CLAUDE.md", "instructions"),
        (".github/instructions/python.instructions.md", "instructions"),
        (".github/instructions/deep/sql.md", "instructions"),
        (".github/agents/reviewer.agent.md", "agent"),
        (".claude/agents/reviewer.md", "agent"),
        (".github/skills/sql/SKILL.md", "skill"),
        (".claude/skills/sql/SKILL.md", "skill"),
    ],
)
def test_instructions_agents_and_skills_are_known_by_their_places(path, kind):
    assert wanted([(path, FILE)], []) == [Wanted(path=path, kind=kind)]


@pytest.mark.parametrize(
    "path", ["docs/AGENTS.md", ".github/workflows/ci.yml", ".github/skills/sql/run.sh", "agents.md"]
)
def test_other_files_are_not_read(path):
    assert paths(path) == []


@pytest.mark.parametrize("mode", ["120000", "160000", "040000"])
def test_symbolic_links_and_submodules_are_refused(mode):
    """SR-12: a link could lead out of the repository."""
    assert paths("AGENTS.md", ".github/agents/a.agent.md", mode=mode) == []


def test_the_number_of_files_is_bounded():
    tree = [f".github/instructions/{n}.md" for n in range(500)]

    assert len(paths(*tree)) == MAX_PATHS


def test_front_matter_is_kept_apart_and_nested_fields_are_not_read():
    """SR-12: `mcp-servers` of a repository start no server."""
    head = "name: sql\ndescription: 'Checks SQL'\nmcp-servers:\n  evil:\n    command: sh"
    text = f"---\n{head}\n---\nDo."

    assert front_matter(text) == ({"name": "sql", "description": "Checks SQL"}, "Do.")


@pytest.mark.parametrize("text", ["No front matter.", "---\nname: x\nnever closed", "", "----\na"])
def test_text_without_front_matter_stays_whole(text):
    assert front_matter(text) == ({}, text)


def test_a_large_file_is_cut():
    one = document(Wanted(path="AGENTS.md", kind="instructions"), b"x" * 100_000)

    assert len(one.text) == MAX_BYTES


def test_bytes_that_are_no_text_do_not_stop_the_review():
    one = document(Wanted(path="AGENTS.md", kind="instructions"), b"\xff\xfeabc")

    assert one.text.endswith("abc")


def test_all_together_are_bounded():
    wish = Wanted(path="AGENTS.md", kind="instructions")

    assert len(bounded([document(wish, b"x" * MAX_BYTES)] * 10)) == 4


def test_rendered_instructions_say_what_they_apply_to():
    documents = [
        document(Wanted(path="AGENTS.md", kind="instructions"), b"Root."),
        document(Wanted(path="shop/AGENTS.md", kind="instructions"), b"Shop."),
        document(
            Wanted(path=".github/instructions/py.md", kind="instructions"),
            b'---\napplyTo: "**/*.py"\n---\nPython.',
        ),
        document(Wanted(path=".github/agents/a.agent.md", kind="agent"), b"Agent."),
    ]

    assert rendered(documents) == (
        "## AGENTS.md\nRoot.\n\n"
        "## shop/AGENTS.md (applies to files below shop/)\nShop.\n\n"
        "## .github/instructions/py.md (applies to files matching: **/*.py)\nPython."
    )


@pytest.mark.parametrize(
    ("path", "kind", "text", "name"),
    [
        (".github/agents/sec.agent.md", "agent", b"x", "sec"),
        (".claude/agents/sec.md", "agent", b"x", "sec"),
        (".github/skills/sql/SKILL.md", "skill", b"x", "sql"),
        (".github/skills/sql/SKILL.md", "skill", b"---\nname: other\n---\nx", "other"),
    ],
)
def test_agents_and_skills_have_names(path, kind, text, name):
    assert document(Wanted(path=path, kind=kind), text).name == name
