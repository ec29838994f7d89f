"""Settings of Jobs on Kubernetes: what a start refuses, and what reaches the pods."""

from __future__ import annotations

import json

import pytest

from libs.common.errors import SettingsError
from libs.common.launching.kubernetes import given
from libs.common.launching.kubernetes.pod import SecretKey, millicores
from libs.common.launching.settings import JobSettings
from libs.common.settings import load

MODEL = {
    "COPILOT_PROVIDER_TYPE": "openai",
    "COPILOT_PROVIDER_BASE_URL": "https://model.test/v1",
    "COPILOT_MODEL": "gpt-5",
}
READ = {"GITLAB_READ_TOKEN": {"name": "gca-gitlab-read", "key": "token"}}
KEY = {"COPILOT_PROVIDER_API_KEY": {"name": "gca-model", "key": "key"}}
GITHUB = {"GITHUB_TOKEN": {"name": "gca-github", "key": "token"}}
LOCAL = {
    "GITLAB_URL": "https://gitlab.test",
    "GITLAB_READ_TOKEN": "glpat-canary",
    "TASK_DOOR_SECRET": "0123456789abcdef",
    "TASK_DOOR_URL": "http://gca-task-door:8001",
}
GOOD = {
    **LOCAL,
    **MODEL,
    "TASK_EXECUTOR": "kubernetes",
    "K8S_NAMESPACE": "agents",
    "K8S_JOB_IMAGE": "runner:1",
    "K8S_JOB_SECRETS": json.dumps(READ | KEY),
}


def loaded(**more: str) -> JobSettings:
    return load(JobSettings, GOOD | more)


def problems(without: str = "", **more: str) -> list[str]:
    environment = {name: value for name, value in (GOOD | more).items() if name != without}
    with pytest.raises(SettingsError) as raised:
        load(JobSettings, environment)
    return raised.value.problems


def test_kubernetes_needs_an_image_a_namespace_and_the_git_token_by_reference():
    assert problems("K8S_JOB_IMAGE") == ["K8S_JOB_IMAGE: is needed with TASK_EXECUTOR=kubernetes"]
    assert problems("K8S_NAMESPACE") == ["K8S_NAMESPACE: is not set, and this is no pod"]
    [line] = problems("K8S_JOB_SECRETS")
    assert line.startswith("K8S_JOB_SECRETS: has no GITLAB_READ_TOKEN")


def test_local_jobs_need_none_of_it():
    settings = load(JobSettings, LOCAL | MODEL)

    assert settings.task_executor == "local"
    assert settings.limits().timeout == 1800


def test_sr_16_the_service_needs_no_model_key_and_is_refused_one_that_jobs_would_not_get():
    assert loaded().of_steps().keys() & {"COPILOT_PROVIDER_API_KEY", "GITHUB_TOKEN"} == set()
    [line] = problems(K8S_JOB_SECRETS=json.dumps(READ), COPILOT_PROVIDER_API_KEY="sk-canary")

    assert line.startswith("COPILOT_PROVIDER_API_KEY: on Kubernetes Jobs get it from a Secret")
    assert "canary" not in line


def test_a_model_of_github_by_reference_is_model_enough():
    only = {n: v for n, v in GOOD.items() if n not in MODEL}
    load(JobSettings, only | {"K8S_JOB_SECRETS": json.dumps(READ | GITHUB)})

    [line] = [p for p in _problems_of(only) if p.startswith("GITHUB_TOKEN")]
    assert "COPILOT_PROVIDER_TYPE" in line


def _problems_of(environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(JobSettings, dict(environment))
    return raised.value.problems


def test_sr_16_no_secret_of_the_service_is_a_plain_value_of_its_pods():
    pods = loaded(CA_BUNDLE="").pods("reviewer", {"HTTPS_PROXY": "http://proxy:3128", "X": "y"})

    assert "glpat-canary" not in repr(pods)
    assert pods.values == {
        **MODEL,
        "LOG_LEVEL": "INFO",
        "HTTPS_PROXY": "http://proxy:3128",
    }
    assert pods.secrets["GITLAB_READ_TOKEN"] == SecretKey(name="gca-gitlab-read", key="token")


def test_files_of_the_service_s_own_image_are_not_handed_on(tmp_path):
    file = tmp_path / "x"
    file.touch()
    settings = loaded(CA_BUNDLE=str(file), COPILOT_CLI_PATH=str(file), XDG_CACHE_HOME="/cache")

    assert str(file) not in settings.pods("reviewer", {}).values.values()
    assert "XDG_CACHE_HOME" not in settings.pods("reviewer", {}).values


def test_the_timeout_of_jobs_on_kubernetes_overrides_the_general_one():
    assert loaded(TASK_TIMEOUT="900").limits().timeout == 900
    assert loaded(TASK_TIMEOUT="900", K8S_JOB_TIMEOUT="600").limits().timeout == 600
    assert load(JobSettings, LOCAL | MODEL | {"K8S_JOB_TIMEOUT": "600"}).limits().timeout == 1800


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no json", "must be JSON such as"),
        ("{}", "must be JSON such as"),
        ('[{"ip": "10.0.0.7"}]', "hostnames"),
        ('[{"ip": "10.0.0.7", "hostnames": ["a"], "names": []}]', "unknown field `names`"),
        ('[{"ip": "10.0.0.777", "hostnames": ["a"]}]', "entry 1: ip must be an IP address"),
        ('[{"ip": "::1", "hostnames": ["a"]}, {"ip": "::1", "hostnames": []}]', "entry 2: host"),
        ('[{"ip": "::1", "hostnames": ["A b"]}]', "entry 1: hostnames must be host names"),
    ],
)
def test_wrong_host_aliases_are_refused_with_the_place(text, words):
    with pytest.raises(given.WrongSetting) as raised:
        given.host_aliases(text)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "name",
    ["GCA_TASK_TOKEN", "GCA_ANYTHING", "GITLAB_READ_TOKEN", "GITHUB_TOKEN", "CA_BUNDLE", "HOME"],
)
def test_sr_16_extra_variables_cannot_be_ours_or_another_step_s(name):
    with pytest.raises(given.WrongSetting, match=name):
        given.extra_env(json.dumps({name: "x"}))


def test_only_secrets_of_jobs_can_be_handed_to_jobs():
    with pytest.raises(given.WrongSetting, match="GITLAB_TOKEN: no Job gets a secret"):
        given.secrets('{"GITLAB_TOKEN": {"name": "a", "key": "b"}}')
    with pytest.raises(given.WrongSetting, match="those of a Secret"):
        given.secrets('{"GITHUB_TOKEN": {"name": "A b", "key": "b"}}')


@pytest.mark.parametrize(
    "text",
    [
        '[{"operator": "Exists", "value": "x", "key": "y"}]',
        '[{"effect": "NoSchedule"}]',
        '[{"key": "y", "tolerationSeconds": 5}]',
    ],
)
def test_wrong_tolerations_are_refused(text):
    with pytest.raises(given.WrongSetting, match="entry 1"):
        given.tolerations(text)


def test_processor_time_is_read_as_kubernetes_reads_it():
    assert [millicores(text) for text in ("1", "1.5", "0.25", "500m")] == [1000, 1500, 250, 500]
