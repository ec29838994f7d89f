"""What `gca up` hands to each service, beside its settings."""

from __future__ import annotations

import pytest

from libs.common.launching.contract import PROXIES
from services.ops.environments import OWN, environment, of_machine

SETTINGS = dict.fromkeys(PROXIES, "http://proxy:3128") | {"PATH": "/bin", "ALL_PROXY": "x"}


@pytest.mark.parametrize("service", OWN)
def test_only_who_starts_jobs_gets_the_proxies_since_they_are_for_the_model(service):
    given = environment(service, SETTINGS, {f"{service}_health": "1"})

    assert {name for name in given if "proxy" in name.lower()} == (
        set(PROXIES) if service in {"reviewer", "coder"} else set()
    )


def test_the_demo_takes_over_where_programs_are_and_nothing_of_real_peers():
    environ = {
        "PATH": "/opt/bin",
        "COPILOT_CLI_PATH": "/opt/copilot",
        "XDG_CACHE_HOME": "/opt/cache",
        "GITLAB_URL": "https://gitlab.example.com",
        "GITLAB_TOKEN": "canary",
        "GITHUB_TOKEN": "canary",
        "JIRA_URL": "https://jira.example.com",
        "NATS_URL": "nats://real",
        "HOME": "",
    }

    assert {"PATH", "COPILOT_CLI_PATH", "XDG_CACHE_HOME"} == set(of_machine(environ))
