"""Every setting wrong or missing: the start names each, at once, and shows no value."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from libs.common.errors import SettingsError
from libs.common.settings import Common, load
from services.coder.settings import Settings as Coder
from services.ingest.settings import Settings as Ingest
from services.publisher.settings import Settings as Publisher
from services.reviewer.settings import Settings as Reviewer
from services.runner.settings import CloneSettings, RunSettings

GOOD: dict[type[Common], dict[str, str]] = {
    Ingest: {
        "GITLAB_URL": "https://gitlab.test",
        "GITLAB_WEBHOOK_SECRET": "s3cret",
        "TASK_DOOR_SECRET": "0123456789abcdef",
    },
    Reviewer: {
        "GITLAB_URL": "https://gitlab.test",
        "GITLAB_READ_TOKEN": "glpat-canary",
        "TASK_DOOR_SECRET": "0123456789abcdef",
        "TASK_DOOR_URL": "http://127.0.0.1:8001",
        "GITHUB_TOKEN": "ghp_canary",
    },
    Coder: {
        "GITLAB_URL": "https://gitlab.test",
        "GITLAB_READ_TOKEN": "glpat-canary",
        "TASK_DOOR_SECRET": "0123456789abcdef",
        "TASK_DOOR_URL": "http://127.0.0.1:8001",
        "GITHUB_TOKEN": "ghp_canary",
    },
    Publisher: {"GITLAB_URL": "https://gitlab.test", "GITLAB_TOKEN": "glpat-canary"},
    CloneSettings: {"GITLAB_READ_TOKEN": "glpat-canary"},
    RunSettings: {"GITHUB_TOKEN": "ghp_canary"},
}
WRONG = {
    "LOG_LEVEL": "LOUD",
    "CA_BUNDLE": "/canary/none.pem",
    "NATS_CREDENTIALS": "/canary/none.creds",
    "HEALTH_PORT": "canary",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "canary:4317",
    "GITLAB_URL": "canary",
    "GITLAB_PROJECTS": "canary",
    "GITLAB_GROUPS": "canary with spaces",
    "GITLAB_POLL": "canary",
    "GITLAB_POLL_INTERVAL": "0",
    "GITLAB_POLL_LOOK_BACK": "-1",
    "GITLAB_POLL_OVERLAP": "59",
    "GITLAB_POLL_MOST": "canary",
    "HOOK_WATCH_SECONDS": "-1",
    "ALLOW_HTTP_GITLAB": "canary",
    "PORT": "canary",
    "TASK_DOOR_PORT": "-1",
    "TASK_DOOR_SECRET": "canary",
    "TASK_DOOR_URL": "canary",
    "GITLAB_WEBHOOK_SECRET": "canary-1,canary-2,canary-3",
    "GITLAB_WEBHOOK_SIGNING_TOKEN": "canary",
    "TASK_EXECUTOR": "canary",
    "K8S_NAMESPACE": "Canary_",
    "K8S_JOB_IMAGE": "canary with spaces",
    "K8S_JOB_IMAGE_PULL_POLICY": "canary",
    "K8S_JOB_IMAGE_PULL_SECRETS": "Canary_",
    "K8S_JOB_CPU_LIMIT": "canary",
    "K8S_JOB_MEMORY_LIMIT": "512",
    "K8S_JOB_STORAGE_LIMIT": "canary",
    "K8S_JOB_TIMEOUT": "1",
    "K8S_JOB_START_TIMEOUT": "0",
    "K8S_JOB_TTL": "0",
    "K8S_JOB_SECRETS": '{"GITLAB_READ_TOKEN": "canary"}',
    "K8S_JOB_CA_CONFIGMAP": "Canary_",
    "K8S_JOB_HOST_ALIASES": '[{"ip": "canary", "hostnames": ["gitlab.test"]}]',
    "K8S_JOB_NODE_SELECTOR": "canary",
    "K8S_JOB_TOLERATIONS": '[{"operator": "canary"}]',
    "K8S_JOB_EXTRA_ENV": '{"GCA_TASK_TOKEN": "canary"}',
    "MAX_CONCURRENT_TASKS": "0",
    "LEASE_SECONDS": "0",
    "TASK_TIMEOUT": "1",
    "REVIEW_DRAFTS": "canary",
    "MAX_TASKS_PER_HOUR": "0",
    "MAX_TASKS_PER_HOUR_PLACE": "canary",
    "MAX_TASKS_PER_HOUR_USER": "0",
    "MAX_TASKS_PER_HOUR_PROJECT": "-1",
    "MAX_TOKENS_PER_HOUR_PROJECT": "canary",
    "MAX_MINUTES_PER_HOUR_PROJECT": "0",
    "MIN_ROLE_READ": "canary",
    "MIN_ROLE_WRITE": "Reporter",
    "COPILOT_PROVIDER_TYPE": "canary",
    "GITLAB_READ_TOKEN": "canary with spaces",
    "GITLAB_TOKEN": "canary with spaces",
    "GITHUB_TOKEN": "canary\nof two lines",
    "COPILOT_PROVIDER_API_KEY": "canary with spaces",
    "COPILOT_PROVIDER_BASE_URL": "canary",
    "COPILOT_CLI_PATH": "/canary/copilot",
    "ALLOW_REPOSITORY_MCP_SERVERS": "canary",
    "ALLOW_UNSANDBOXED_CODING": "canary",
    "AGENT_GITLAB_USERNAME": "canary with spaces",
    "JIRA_URL": "canary",
    "JIRA_API_TOKEN": "canary with spaces",
    "JIRA_BEARER_TOKEN": "canary with spaces",
    "JIRA_TRIGGER_STATUS": "canary\nof two lines",
    "JIRA_POLL_INTERVAL": "0",
    "JIRA_IN_PROGRESS_STATUS": "canary\nof two lines",
    "JIRA_IN_REVIEW_STATUS": "canary\nof two lines",
    "PUSH_CI_SKIP": "canary",
    "ALLOW_PROTECTED_PATHS": "canary",
    "COMMIT_AUTHOR": "canary",
    "JIRA_PROJECT_MAP": "canary",
}
ANY_TEXT = {
    "NATS_URL",
    "HOST",
    "TASK_DOOR_HOST",
    "HEALTH_HOST",
    "COPILOT_MODEL",
    "TASK_STATE_DIR",
    "CLONE_DIR",
    "XDG_CACHE_HOME",
    "JIRA_EMAIL",
    "JIRA_ALLOWED_USERS",
    "PROTECTED_PATHS",
}
"""Settings that no start can tell to be wrong: only the peer or the disk can, later."""
SHOWN = {"CA_BUNDLE", "NATS_CREDENTIALS", "COPILOT_CLI_PATH", "GITLAB_GROUPS", "GITLAB_PROJECTS"}
"""Settings whose value is part of the message, because it is a path or a name and no secret."""


def problems(settings: type[Common], environment: Mapping[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(settings, dict(environment))
    return raised.value.problems


def names(lines: list[str]) -> list[str]:
    return sorted(line.partition(":")[0] for line in lines)


def wrong_settings() -> list[tuple[type[Common], str]]:
    return [
        (settings, name.upper())
        for settings in GOOD
        for name in settings.model_fields
        if name.upper() in WRONG
    ]


def required(settings: type[Common]) -> list[str]:
    return sorted(n.upper() for n, field in settings.model_fields.items() if field.is_required())


def test_each_setting_of_each_process_is_in_one_of_the_tables_above():
    known = {name.upper() for settings in GOOD for name in settings.model_fields}

    assert known == WRONG.keys() | ANY_TEXT
    assert ANY_TEXT & WRONG.keys() == set()


@pytest.mark.parametrize("settings", GOOD, ids=lambda s: s.__module__)
def test_what_is_right_starts(settings):
    load(settings, dict(GOOD[settings]))


@pytest.mark.parametrize(
    ("settings", "name"), wrong_settings(), ids=lambda v: v if isinstance(v, str) else v.__module__
)
def test_a_wrong_setting_is_named_alone_and_its_value_is_not_shown(settings, name):
    [line] = problems(settings, GOOD[settings] | {name: WRONG[name]})

    assert line.partition(":")[0] == name
    assert name in SHOWN or "canary" not in line


@pytest.mark.parametrize("settings", GOOD, ids=lambda s: s.__module__)
def test_every_required_setting_that_is_missing_is_named_at_once(settings):
    missing = set(required(settings)) | ({"GITLAB_WEBHOOK_SECRET"} if settings is Ingest else set())
    found = names(problems(settings, {"LOG_LEVEL": "LOUD"}))

    assert set(found) >= {*missing, "LOG_LEVEL"}
    assert len(found) == len(set(found))


@pytest.mark.parametrize("settings", GOOD, ids=lambda s: s.__module__)
def test_an_empty_setting_counts_as_not_set(settings):
    for name in required(settings):
        assert names(problems(settings, GOOD[settings] | {name: ""})) == [name]


def test_a_model_provider_of_ones_own_needs_address_and_model():
    good = {n: v for n, v in GOOD[Reviewer].items() if n != "GITHUB_TOKEN"}

    assert names(problems(Reviewer, good)) == ["GITHUB_TOKEN"]
    assert names(problems(Reviewer, good | {"COPILOT_PROVIDER_TYPE": "openai"})) == [
        "COPILOT_MODEL",
        "COPILOT_PROVIDER_BASE_URL",
    ]


@pytest.mark.parametrize("settings", [Ingest, Reviewer, Publisher], ids=lambda s: s.__module__)
def test_a_gitlab_by_plain_http_and_a_login_in_its_url_are_refused(settings):
    plain = GOOD[settings] | {"GITLAB_URL": "http://gitlab.test"}
    login = GOOD[settings] | {"GITLAB_URL": "https://me:canary@gitlab.test"}

    assert "ALLOW_HTTP_GITLAB" in problems(settings, plain)[0]
    load(settings, plain | {"ALLOW_HTTP_GITLAB": "true"})
    [line] = problems(settings, login)
    assert line.startswith("GITLAB_URL: ")
    assert "canary" not in line


@pytest.mark.parametrize("settings", GOOD, ids=lambda s: s.__module__)
def test_a_secret_file_that_is_not_there_is_named(settings):
    secret = next(name for name in GOOD[settings] if "TOKEN" in name or "SECRET" in name)
    given = {n: v for n, v in GOOD[settings].items() if n != secret}

    found = problems(settings, given | {f"{secret}_FILE": "/none/here"})

    assert f"{secret}_FILE: cannot read /none/here: No such file or directory" in found
