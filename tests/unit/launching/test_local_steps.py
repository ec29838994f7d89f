"""What the two steps of a local Job may see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from libs.common.launching import contract
from libs.common.launching.local_steps import LocalSettings, local_steps
from libs.common.launching.protocol import Launch
from libs.common.launching.state import Step

LAUNCH = Launch(
    job_name="gca-review-1",
    task_id="review-42-7-abc-0",
    kind="review",
    task_url="http://127.0.0.1:8001/tasks/review-42-7-abc-0",
    task_token="1.token",
    timeout=600,
    traceparent="00-trace",
)
SECRETS = {"GITLAB_READ_TOKEN": "read", "GITHUB_TOKEN": "model", "COPILOT_PROVIDER_API_KEY": "key"}
NEVER = {"GITLAB_TOKEN": "write", "TASK_DOOR_SECRET": "door", "NATS_CREDENTIALS": "nats"}
SETTINGS = LocalSettings(
    python="/venv/bin/python",
    clones=Path("/state/clones"),
    environment={"PATH": "/bin", "HOME": "/root", "LD_PRELOAD": "evil.so", **NEVER, **SECRETS},
    values={**SECRETS, **NEVER, "COPILOT_MODEL": "gpt", "CA_BUNDLE": "/ca.pem", "LOG_LEVEL": ""},
)


def steps() -> tuple[Step, Step]:
    clone, run = local_steps(LAUNCH, settings=SETTINGS, started_at=1_700_000_000.5)
    return clone, run


def test_steps_are_clone_then_run_of_the_runner():
    assert [(step.name, step.argv) for step in steps()] == [
        ("clone", ("/venv/bin/python", "-m", "services.runner", "clone")),
        ("run", ("/venv/bin/python", "-m", "services.runner", "run")),
    ]


def test_clone_has_the_read_token_and_nothing_of_the_model_sr_16():
    clone, _ = steps()
    told = contract.to_environment(contract.from_environment(clone.environment))
    inherited = {"PATH": "/bin", "HOME": "/root"}
    assert clone.environment == {**inherited, "GITLAB_READ_TOKEN": "read", **told}


def test_run_has_the_model_key_and_no_gitlab_token_sr_16():
    _, run = steps()
    assert run.environment["GITHUB_TOKEN"] == "model"
    assert run.environment["COPILOT_PROVIDER_API_KEY"] == "key"
    assert "GITLAB_READ_TOKEN" not in run.environment


def test_neither_sees_what_the_launcher_knows_beyond_the_allow_list_sr_37():
    for step in steps():
        assert [name for name in (*NEVER, "LD_PRELOAD") if name in step.environment] == []


def test_only_run_takes_over_the_proxies_since_they_are_for_the_model():
    proxies = dict.fromkeys(contract.PROXIES, "http://proxy:3128")
    settings = replace(SETTINGS, environment={**proxies, "ALL_PROXY": "x"})

    clone, run = local_steps(LAUNCH, settings=settings, started_at=0.0)

    assert [name for name in clone.environment if name in proxies] == []
    assert {name: run.environment[name] for name in proxies} == proxies
    assert "ALL_PROXY" not in run.environment


def test_both_are_told_the_same_task_and_deadline():
    told = [contract.from_environment(step.environment) for step in steps()]
    assert told[0] == told[1]
    assert told[0] == contract.Contract(
        task_url=LAUNCH.task_url,
        task_token="1.token",
        work_dir=Path("/state/clones/gca-review-1"),
        timeout=600,
        started_at=1_700_000_000.5,
        traceparent="00-trace",
        ca_bundle="/ca.pem",
    )


def test_empty_settings_are_left_out():
    assert "LOG_LEVEL" not in steps()[0].environment


def test_secrets_do_not_show_in_texts_of_steps_and_settings_sr_37():
    shown = repr(steps()) + repr(SETTINGS)
    assert [secret for secret in ("'read'", "'model'", "'key'", "1.token") if secret in shown] == []
