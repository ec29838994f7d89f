from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.events.envelope import encode
from libs.common.events.facts import NoteCommand
from services.ingest import meaning, notes
from services.ingest.meaning import Ignored, Translated
from services.ingest.notes import UNKNOWN, Agent
from services.ingest.translate import translate
from tests.effort import processor_seconds
from tests.unit.ingest.bodies import note

AGENT = Agent(username="gca-bot", user_id=99)
NOON = datetime(2025, 8, 6, 1, 11, 8, tzinfo=UTC)


def command(body: Any, agent: Agent = AGENT) -> NoteCommand:
    found = translate(body, agent)
    assert isinstance(found, Translated), found
    assert isinstance(found.event, NoteCommand)
    return found.event


def reason(body: Any, agent: Agent = AGENT) -> str:
    found = translate(body, agent)
    assert isinstance(found, Ignored), found
    assert found.kind == "note"
    return found.reason


def test_a_command_is_an_event_with_its_whole_text() -> None:
    found = translate(note("/copilot add a test\n\nfor vouchers"), AGENT)
    assert found == Translated(
        event=NoteCommand(
            project_id=42,
            iid=7,
            note_id=1031,
            author_id=5,
            author_username="ada",
            created_at=NOON,
            text="/copilot add a test\n\nfor vouchers",
            discussion_id="d" * 40,
        ),
        subject="note.command.42.7.1031",
        message_id="note.command-42-7-1031",
        project_path="Team/App",
        kind="note",
        action="create",
    )


@pytest.mark.parametrize(
    "text", ["/copilot", "/COPILOT ask why?", "  /copilot\nreview", "@gca-bot why is this here?"]
)
def test_a_note_that_calls_the_agent_is_a_command(text: str) -> None:
    assert command(note(text)).text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Looks good",
        "/copilotreview",
        "see /copilot review",
        "@gca-bot-2 hello",
        "mail me@gca-bot.example",
        "> /copilot review",
        "`@gca-bot review`",
        "/merge",
    ],
)
def test_what_does_not_call_the_agent_is_no_command(text: str) -> None:
    assert reason(note(text)) == notes.NO_COMMAND


def test_until_the_agent_is_known_only_the_slash_counts() -> None:
    assert command(note("/copilot review"), UNKNOWN)
    assert reason(note("@gca-bot review"), UNKNOWN) == notes.NO_COMMAND
    assert command(note("@gca-bot review"), Agent(username="GCA-Bot"))


def test_while_gitlab_is_asked_who_we_are_no_mention_is_passed_over() -> None:
    sought = Agent(sought=True)
    assert command(note("please, @gca-bot review"), sought)
    assert reason(note("mail me@gca-bot.example"), sought) == notes.NO_COMMAND
    assert reason(note("@alice, look"), Agent(username="gca-bot", sought=True)) == notes.NO_COMMAND


@pytest.mark.parametrize("kind", ["Issue", "Commit", "Snippet", "Epic", None, ["MergeRequest"]])
def test_a_note_elsewhere_is_no_command(kind: Any) -> None:
    assert reason(note(noteable_type=kind)) == notes.NOT_ON_MR


@pytest.mark.parametrize("system", [True, "true", 1, None])
def test_sr_09_a_system_note_is_no_command(system: Any) -> None:
    assert reason(note(system=system)) == notes.BY_GITLAB


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"action": "update"}, notes.EDITED),
        ({"action": "delete"}, notes.NO_ACTION),
        ({"action": None}, notes.NO_ACTION),
        ({"action": {"create": 1}}, notes.NO_ACTION),
        ({"updated_at": "2025-08-06 01:11:09 UTC"}, notes.EDITED),
        ({"updated_at": "2025-08-06T01:11:08.001Z"}, notes.EDITED),
    ],
)
def test_sr_09_an_edited_note_is_no_command(changed: dict[str, Any], why: str) -> None:
    assert reason(note(**changed)) == why


def test_servers_before_16_11_say_no_action() -> None:
    body = note()
    del body["object_attributes"]["action"]
    assert command(body)
    body["object_attributes"]["updated_at"] = "2025-08-06 01:12:00 UTC"
    assert reason(body) == notes.EDITED


@pytest.mark.parametrize(
    "changed",
    [{"author_id": 99}, {"author_id": 99, "username": "renamed"}, {"username": "GCA-bot"}],
)
def test_sr_09_our_own_note_is_no_command(changed: dict[str, Any]) -> None:
    assert reason(note(**changed)) == notes.OURS


@pytest.mark.parametrize(
    "username",
    [
        "project_42_bot",
        "project_42_bot3",
        "project_42_bot_0123456789abcdef0123456789abcdef",
        "group_7_bot_4ffca233d8298ea1",
    ],
)
def test_sr_09_a_bot_that_gitlab_named_is_not_obeyed(username: str) -> None:
    assert reason(note(username=username)) == notes.BY_BOT


@pytest.mark.parametrize(
    "username", ["ada_bot", "project_bot", "project_x_bot", "xproject_1_bot", "project_1_bottle"]
)
def test_a_person_whose_name_looks_like_a_bot_s_is_heard(username: str) -> None:
    # The pr-agent lesson: parts of names say nothing; GitLab's own flag is asked later.
    assert command(note(username=username)).author_username == username


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"body": {"project": {"id": 0}}}, meaning.NO_PROJECT),
        ({"body": {"merge_request": None}}, meaning.NO_IID),
        ({"body": {"merge_request": {"iid": "7"}}}, meaning.NO_IID),
        ({"id": "1031"}, notes.NO_NOTE),
        ({"id": 2**63}, notes.NO_NOTE),
        ({"author_id": None}, notes.NO_AUTHOR),
        ({"author_id": True}, notes.NO_AUTHOR),
        ({"created_at": None}, notes.NO_TIME),
        ({"created_at": "yesterday"}, notes.NO_TIME),
    ],
)
def test_a_command_without_its_ids_is_ignored_with_a_reason(
    changed: dict[str, Any], why: str
) -> None:
    assert reason(note(**changed)) == why


@pytest.mark.parametrize(
    "changed",
    [{"internal": True}, {"confidential": True}, {"body": {"event_type": "confidential_note"}}],
)
def test_sr_10_a_note_that_only_members_see_is_marked(changed: dict[str, Any]) -> None:
    assert command(note(**changed)).internal is True
    assert command(note()).internal is False


@pytest.mark.parametrize("found", ["../../x", "a b", "d" * 65, 7, None, "é"])
def test_sr_03_what_is_no_discussion_id_is_left_out(found: Any) -> None:
    assert command(note(discussion_id=found)).discussion_id == ""


@pytest.mark.parametrize("filler", ["x", "`", "`a", "> ", "@", " ", "```", "@gca-bo ", "\n", "é"])
def test_a_huge_note_is_cut_and_costs_no_more_than_it_is_long(filler: str) -> None:
    def cost(size: int) -> float:
        text = "/copilot " + filler * (size // len(filler))
        return processor_seconds(
            lambda: (translate(note(text), AGENT), translate(note(text[9:]), AGENT))
        )

    text = "/copilot " + filler * (1_000_000 // len(filler))
    event = command(note(text))
    assert len(event.text) == notes.LONGEST_TEXT
    assert len(encode(event)) < 512 * 1024
    assert isinstance(translate(note(text[9:]), AGENT), Ignored | Translated)
    # Four times the length is sixteen times the work where each part is looked at for each.
    assert cost(1_000_000) < 10 * cost(250_000) + 0.1


def test_unicode_is_kept_and_what_cannot_be_stored_is_not() -> None:
    text = "/copilot übersetze 😀\u202e \u0000 \ud800"
    event = command(note(text))
    assert event.text == text[:-1] + "?"
    assert encode(event)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.sampled_from(["/copilot review", "@gca-bot", "MergeRequest", "create", "2025-08-06"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "id",
    "note",
    "noteable_type",
    "author_id",
    "system",
    "action",
    "created_at",
    "updated_at",
)
TOP = ("user", "project", "merge_request", "event_type", "object_attributes")


def _with(changed: dict[str, Any]) -> dict[str, Any]:
    body = note()
    body["object_attributes"] |= changed
    return body


@given(
    changed=st.dictionaries(st.sampled_from((*FIELDS, "discussion_id", "internal")), ANYTHING),
    top=st.dictionaries(st.sampled_from(TOP), ANYTHING),
)
def test_sr_02_no_note_is_too_strange(changed: dict[str, Any], top: dict[str, Any]) -> None:
    found = translate(_with(changed) | top, AGENT)
    if isinstance(found, Translated):
        assert encode(found.event)
        assert found.message_id.isascii()
        assert len(found.message_id) < 128
