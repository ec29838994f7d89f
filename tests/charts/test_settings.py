"""Values become settings: by name, of each service its own, secrets by reference alone."""

from __future__ import annotations

import json

import pytest

from documents.settings_classes import SERVICES as CLASSES
from libs.common.settings import load
from tests.charts.helm import SERVICES, Refused, environment, the

pytestmark = pytest.mark.real
MODEL_KEY = {"name": "model", "key": "api-key"}


def test_settings_become_variables_as_the_services_read_them(helm):
    settings = {
        "GITLAB_PROJECTS": ["group/app", 42],
        "GITLAB_POLL": True,
        "GITLAB_POLL_MOST": 1000,
        "JIRA_URL": "https://jira.example.com",
        "JIRA_PROJECT_MAP": {"PROJ": {"gitlab_project_id": 1234567890}},
    }

    deployment = the(helm.template("ingest", {"settings": settings}), "Deployment", "gca-ingest")

    env = environment(deployment)
    assert "group/app,42" == env["GITLAB_PROJECTS"]
    assert "true" == env["GITLAB_POLL"]
    assert "1000" == env["GITLAB_POLL_MOST"]
    assert {"PROJ": {"gitlab_project_id": 1234567890}} == json.loads(env["JIRA_PROJECT_MAP"])


def test_a_large_number_stays_a_number(helm):
    settings = {"MAX_TOKENS_PER_HOUR_PROJECT": 50_000_000}

    env = environment(
        the(helm.template("coder", {"settings": settings}), "Deployment", "gca-coder")
    )

    assert "50000000" == env["MAX_TOKENS_PER_HOUR_PROJECT"]


def test_a_service_takes_of_the_common_settings_those_it_reads_and_its_own_win(helm):
    common = {"GITLAB_PROJECTS": "a/b", "LOG_LEVEL": "INFO", "PUSH_CI_SKIP": False}
    values = {"global": {"settings": common}, "settings": {"LOG_LEVEL": "DEBUG"}}

    env = environment(the(helm.template("reviewer", values), "Deployment", "gca-reviewer"))

    assert ("a/b", "DEBUG", False) == (
        env["GITLAB_PROJECTS"],
        env["LOG_LEVEL"],
        "PUSH_CI_SKIP" in env,
    )


def test_a_job_is_described_by_its_values(helm):
    job = {
        "cpu": 2,
        "timeout": 900,
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["gitlab.example.com"]}],
        "nodeSelector": {"pool": "agents"},
        "tolerations": [{"key": "agents", "operator": "Exists"}],
        "extraEnv": {"HTTPS_PROXY": "http://proxy:3128", "DEPTH": 3},
        "imagePullSecrets": ["one", "two"],
        "image": {"registry": "registry.example.com", "digest": "sha256:" + "a" * 64},
    }
    values = {"job": job, "global": {"caConfigMap": "authorities"}}

    env = environment(the(helm.template("coder", values), "Deployment", "gca-coder"))

    image = f"registry.example.com/gitlab-copilot-agent/runner@sha256:{'a' * 64}"
    assert "kubernetes" == env["TASK_EXECUTOR"]
    assert image == env["K8S_JOB_IMAGE"]
    assert ("2", "1Gi", "2Gi") == tuple(
        env[f"K8S_JOB_{what}_LIMIT"] for what in ("CPU", "MEMORY", "STORAGE")
    )
    assert ("900", "600", "one,two", "authorities") == tuple(
        env[f"K8S_JOB_{what}"] for what in ("TIMEOUT", "TTL", "IMAGE_PULL_SECRETS", "CA_CONFIGMAP")
    )
    assert job["hostAliases"] == json.loads(env["K8S_JOB_HOST_ALIASES"])
    assert job["nodeSelector"] == json.loads(env["K8S_JOB_NODE_SELECTOR"])
    assert job["tolerations"] == json.loads(env["K8S_JOB_TOLERATIONS"])
    assert {"HTTPS_PROXY": "http://proxy:3128", "DEPTH": "3"} == json.loads(
        env["K8S_JOB_EXTRA_ENV"]
    )


def test_the_models_key_goes_to_jobs_and_not_to_the_service(helm):
    for place in (
        {"job": {"secrets": {"GITHUB_TOKEN": MODEL_KEY}}},
        {"secrets": {"GITHUB_TOKEN": MODEL_KEY}},
    ):
        deployment = the(helm.template("reviewer", place), "Deployment", "gca-reviewer")
        env = environment(deployment)

        secrets = json.loads(env["K8S_JOB_SECRETS"])
        assert MODEL_KEY == secrets["GITHUB_TOKEN"]
        assert {"name": "gca-gitlab-read", "key": "token"} == secrets["GITLAB_READ_TOKEN"]
        assert "model" not in json.dumps(deployment["spec"]["template"]["spec"]["volumes"])
        assert [] == [name for name in env if name.startswith("GITHUB_TOKEN")]


def test_a_jobs_clone_may_have_a_token_of_its_own(helm):
    other = {"name": "clone", "key": "token"}

    env = environment(
        the(
            helm.template("coder", {"job": {"secrets": {"GITLAB_READ_TOKEN": other}}}),
            "Deployment",
            "gca-coder",
        )
    )

    assert other == json.loads(env["K8S_JOB_SECRETS"])["GITLAB_READ_TOKEN"]


def test_a_secret_is_a_file_named_by_its_setting(helm):
    jira = {"name": "jira", "key": "token"}
    values = {"global": {"secrets": {"JIRA_API_TOKEN": jira}}}

    deployment = the(helm.template("publisher", values), "Deployment", "gca-publisher")

    spec = deployment["spec"]["template"]["spec"]
    volume = next(one for one in spec["volumes"] if one["name"] == "secrets")
    sources = [one["secret"] for one in volume["projected"]["sources"]]
    assert [
        {"name": "gca-gitlab-write", "items": [{"key": "token", "path": "GITLAB_TOKEN"}]},
        {"name": "jira", "items": [{"key": "token", "path": "JIRA_API_TOKEN"}]},
    ] == sources
    env = environment(deployment)
    assert "/etc/gca/secrets/JIRA_API_TOKEN" == env["JIRA_API_TOKEN_FILE"]
    assert [] == [name for name in env if name in {"JIRA_API_TOKEN", "GITLAB_TOKEN"}]


def test_a_reference_without_a_name_takes_a_secret_away(helm):
    values = {"global": {"secrets": {"GITLAB_WEBHOOK_SECRET": {"name": "", "key": "secret"}}}}

    env = environment(the(helm.template("ingest", values), "Deployment", "gca-ingest"))

    assert [] == [name for name in env if "WEBHOOK" in name]


@pytest.mark.parametrize(
    ("chart", "values", "words"),
    [
        ("ingest", {"settings": {"GITLAB_PROJEKTS": "a/b"}}, "'GITLAB_PROJEKTS' not allowed"),
        ("reviewer", {"global": {"settings": {"LOGLEVEL": "x"}}}, "'LOGLEVEL' not allowed"),
        ("ingest", {"settings": {"LOG_LEVEL": "LOUD"}}, "/settings/LOG_LEVEL"),
        ("ingest", {"settings": {"GITLAB_POLL_INTERVAL": 0}}, "/settings/GITLAB_POLL_INTERVAL"),
        ("ingest", {"secrets": {"GITLAB_READ_TOKEN": "glpat"}}, "/secrets/GITLAB_READ_TOKEN"),
        ("ingest", {"secrets": {"GITLAB_TOKEN": MODEL_KEY}}, "'GITLAB_TOKEN' not allowed"),
        ("publisher", {"secrets": {"GITHUB_TOKEN": MODEL_KEY}}, "'GITHUB_TOKEN' not allowed"),
        ("coder", {"job": {"cpus": 2}}, "'cpus' not allowed"),
        ("coder", {"job": {"image": {"digest": "latest"}}}, "/job/image/digest"),
        ("coder", {"job": {"egress": {"model": [{"cidr": "model"}]}}}, "/job/egress/model/0/cidr"),
        ("coder", {"job": {"egress": {"model": [{}]}}}, "/job/egress/model/0"),
        ("publisher", {"replica": 3}, "'replica' not allowed"),
        ("publisher", {"terminationGracePeriodSeconds": 20}, "/terminationGracePeriodSeconds"),
        ("publisher", {"global": {"natsUrl": "http://nats"}}, "/global/natsUrl"),
        ("publisher", {"global": {"prefix": "Bad_Name"}}, "/global/prefix"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(helm, chart, values, words):
    with pytest.raises(Refused) as refused:
        helm.template(chart, values)

    assert words in str(refused.value)


@pytest.mark.parametrize("place", ["settings", "global"])
def test_a_secret_among_the_settings_is_refused_and_not_shown(helm, place):
    settings = {"GITLAB_TOKEN": "glpat-canary"}
    values = {"settings": settings} if place == "settings" else {"global": {"settings": settings}}

    with pytest.raises(Refused) as refused:
        helm.template("publisher", values)

    assert "secrets.GITLAB_TOKEN: {name: …, key: …}" in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("chart", "name", "instead"),
    [
        ("ingest", "NATS_URL", "global.natsUrl"),
        ("publisher", "CA_BUNDLE", "global.caConfigMap"),
        ("publisher", "NATS_CREDENTIALS", "natsCredentials"),
    ],
)
def test_what_the_chart_sets_by_itself_says_which_value_to_set(helm, chart, name, instead):
    with pytest.raises(Refused, match=f"settings.{name}: set the value {instead} instead"):
        helm.template(chart, {"settings": {name: "x"}})


def test_a_missing_gitlab_and_a_missing_model_are_named(helm):
    with pytest.raises(Refused, match=r"settings\.GITLAB_URL: is not set"):
        helm.text("ingest", {})
    with pytest.raises(Refused, match=r"job\.secrets\.GITHUB_TOKEN: is not set"):
        helm.text("coder", {"settings": {"GITLAB_URL": "https://gitlab.example.com"}})


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_can_start_with_what_its_chart_tells_it(helm, service, tmp_path):
    env = environment(the(helm.template(service), "Deployment", f"gca-{service}"))
    for name, path in env.items():
        if path.startswith("/etc/gca/"):
            file = tmp_path / path.rsplit("/", 1)[-1]
            file.write_text("a-secret-of-the-test")
            env[name] = str(file)

    settings = load(CLASSES[service], env)

    assert "0.0.0.0" == settings.health_host
