"""What a note asks for: the command, its text, and what is no command at all."""

from __future__ import annotations

import pytest

from libs.common.commands import Command, command

AGENT = "copilot-agent"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/copilot help", Command(name="help")),
        ("/copilot", Command(name="help")),
        ("/COPILOT review", Command(name="review")),
        (
            "  /copilot ask why is this a list?",
            Command(name="ask", instruction="why is this a list?"),
        ),
        ("/copilot ask", Command(name="help")),
        ("/copilot ask: why?", Command(name="ask", instruction="why?")),
        ("/copilot add a test", Command(name="code", instruction="add a test")),
        (
            "/copilot review the tests and mend them",
            Command(name="code", instruction="review the tests and mend them"),
        ),
        ("/copilot asking nicely", Command(name="code", instruction="asking nicely")),
        ("@copilot-agent review", Command(name="review")),
        ("@Copilot-Agent: add a test", Command(name="code", instruction="add a test")),
        ("Dear @copilot-agent, add a test", Command(name="code", instruction="Dear add a test")),
    ],
)
def test_a_note_that_calls_the_agent_is_a_command(text, expected):
    assert expected == command(text, AGENT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "looks good",
        "see /copilot review",
        "/copilotreview",
        "/copilot-x review",
        "@copilot-agent2 review",
        "@copilot-agent.x review",
        "@group/copilot-agent review",
        "mail me@copilot-agent",
        "> @copilot-agent review",
        "`@copilot-agent review`",
        "```\n@copilot-agent review\n```",
    ],
)
def test_a_note_that_only_looks_like_a_call_is_none(text):
    assert command(text, AGENT) is None


def test_without_a_known_user_name_only_the_slash_command_counts():
    assert command("@copilot-agent review", "") is None
    assert command("/copilot review", "") == Command(name="review")
