from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.allowed import allowed
from libs.common.errors import SettingsError
from libs.common.settings import load
from services.ingest.jira_map import JiraProject, WrongMap, project_map, unserved
from services.ingest.settings import Settings

GOOD = {
    "GITLAB_URL": "https://gitlab.test",
    "GITLAB_WEBHOOK_SECRET": "one",
    "TASK_DOOR_SECRET": "0123456789abcdef",
    "JIRA_URL": "https://jira.test",
    "JIRA_EMAIL": "bot@example.com",
    "JIRA_API_TOKEN": "canary",
    "JIRA_PROJECT_MAP": '{"PROJ": {"gitlab_project_id": 42}}',
}
WHOLE = {
    "gitlab_project_id": 42,
    "clone_url": "https://gitlab.test/team/app.git",
    "target_branch": "release/1.x",
}


def wrong(entry: Any, key: str = "PROJ") -> str:
    with pytest.raises(WrongMap) as raised:
        project_map(json.dumps({key: entry}))
    return str(raised.value)


def problems(**changed: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(Settings, {n: v for n, v in (GOOD | changed).items() if v})
    return raised.value.problems


def test_an_entry_says_where_the_code_is() -> None:
    assert project_map(json.dumps({"PROJ": WHOLE, "A_B2": {"gitlab_project_id": 7}})) == (
        JiraProject(key="PROJ", **WHOLE),
        JiraProject(key="A_B2", gitlab_project_id=7),
    )


@pytest.mark.parametrize("text", ["", "PROJ=42", "[]", "7", "null", "{", "[" * 100_000, '{"a":'])
def test_what_is_no_object_is_answered_with_an_example(text: str) -> None:
    with pytest.raises(WrongMap, match="such as"):
        project_map(text)


@pytest.mark.parametrize("key", ["proj", "PROJ-1", "", "P Q", "1P", "É", "P" * 41, "PROJ\n"])
def test_a_key_that_jira_cannot_have_is_named(key: str) -> None:
    assert "is no key of a Jira project" in wrong(WHOLE, key)


@pytest.mark.parametrize("entry", [None, 42, "42", [], {}])
def test_an_entry_without_a_project_is_named(entry: Any) -> None:
    assert wrong(entry).startswith("has wrong entries: PROJ: ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gitlab_project_id", "42"),
        ("gitlab_project_id", 0),
        ("gitlab_project_id", True),
        ("gitlab_project_id", 1.5),
        ("gitlab_project_id", None),
        ("clone_url", 7),
        ("clone_url", ""),
        ("clone_url", "git@gitlab.test:team/app.git"),
        ("clone_url", "file:///etc/passwd"),
        ("clone_url", "https://me:canary@gitlab.test/team/app.git"),
        ("clone_url", "https://gitlab.test\\@evil.test/a.git"),
        ("clone_url", "https:///a.git"),
        ("clone_url", "https://gitlab.test:x/a.git"),
        ("target_branch", ""),
        ("target_branch", "-x"),
        ("target_branch", "a b"),
        ("target_branch", "a\nb"),
        ("target_branch", "x" * 256),
        ("target_branch", None),
    ],
)
def test_a_wrong_value_is_named_by_its_key_and_not_shown(field: str, value: Any) -> None:
    said = wrong(WHOLE | {field: value})
    assert said.startswith(f"has wrong entries: PROJ: {field} must be ")
    assert "canary" not in said


def test_a_field_that_does_not_exist_is_named() -> None:
    assert wrong(WHOLE | {"branch": "main"}) == (
        "has wrong entries: PROJ: has no setting 'branch', "
        "only gitlab_project_id, clone_url, target_branch"
    )


def test_every_wrong_entry_is_in_the_one_line_of_the_setting() -> None:
    entries = {"A": 1, "b": WHOLE, "C": WHOLE, "D": {"clone_url": "x"}}
    [line] = problems(JIRA_PROJECT_MAP=json.dumps(entries))
    assert line.startswith("JIRA_PROJECT_MAP: has wrong entries: A: ")
    assert [part.partition(":")[0].strip() for part in line.split(": ", 2)[2].split(";")] == [
        "A",
        "b",
        "D",
        "D",
    ]


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_text_is_too_strange(text: str) -> None:
    with contextlib.suppress(WrongMap):
        assert isinstance(project_map(text), tuple)


def test_a_project_that_is_not_served_is_named() -> None:
    projects = project_map('{"A": {"gitlab_project_id": 1}, "B": {"gitlab_project_id": 2}}')
    assert unserved(projects, allowed(())) == []
    assert unserved(projects, allowed(("2",))) == ["A: its project is not in GITLAB_PROJECTS"]
    # By its path it may be served; only GitLab knows, and the coder asks it.
    assert unserved(projects, allowed(("2", "team/app"))) == []


def test_the_settings_of_jira_have_the_documented_defaults() -> None:
    settings = load(Settings, dict(GOOD))
    assert (settings.jira_trigger_status, settings.jira_poll_interval) == ("AI Ready", 30)
    assert settings.jira_allowed_users == ()
    assert settings.jira_project_map == (JiraProject(key="PROJ", gitlab_project_id=42),)
    assert "canary" not in repr(settings)


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"JIRA_PROJECT_MAP": ""}, ["JIRA_PROJECT_MAP"]),
        ({"JIRA_URL": ""}, ["JIRA_URL"]),
        ({"JIRA_EMAIL": ""}, ["JIRA_EMAIL"]),
        ({"JIRA_API_TOKEN": ""}, ["JIRA_API_TOKEN"]),
        ({"GITLAB_PROJECTS": "7"}, ["JIRA_PROJECT_MAP"]),
        ({"JIRA_TRIGGER_STATUS": "x" * 256}, ["JIRA_TRIGGER_STATUS"]),
        ({"JIRA_POLL_INTERVAL": "3601"}, ["JIRA_POLL_INTERVAL"]),
    ],
)
def test_half_a_jira_is_named(changed: dict[str, str], names: list[str]) -> None:
    assert [line.partition(":")[0] for line in problems(**changed)] == names


def test_without_jira_nothing_of_it_is_needed() -> None:
    load(Settings, {n: v for n, v in GOOD.items() if not n.startswith("JIRA")})
