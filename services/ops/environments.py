"""Which settings each service may see: pure. Used by `up` when it starts them.

The table is the walls of the design on one machine: only the publisher gets the write token, only
ingest the webhook secrets. `tests/unit/test_repository.py` holds it against the settings classes.
"""

from __future__ import annotations

from collections.abc import Mapping

from libs.common.launching.contract import PROXIES, STEP_SETTINGS

HEALTH_PORTS = {"ingest": 8081, "reviewer": 8082, "coder": 8083, "publisher": 8084}
"""Every service that `gca up` starts, with its own default for HEALTH_PORT."""
SERVICES = tuple(HEALTH_PORTS)
INHERITED = ("PATH", "HOME", "LANG", "TERM", "TMPDIR", "USER", "NO_COLOR", "SSL_CERT_FILE")
ALL = (
    "HEALTH_HOST",
    "NATS_URL",
    "NATS_CREDENTIALS",
    "LOG_LEVEL",
    "CA_BUNDLE",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)
GITLAB = ("GITLAB_URL", "ALLOW_HTTP_GITLAB")
JIRA = ("JIRA_URL", "JIRA_EMAIL", "JIRA_API_TOKEN", "JIRA_BEARER_TOKEN")
MODEL = STEP_SETTINGS["run"]
BUDGETS = (
    "MAX_TASKS_PER_HOUR",
    "MAX_TASKS_PER_HOUR_PLACE",
    "MAX_TASKS_PER_HOUR_USER",
    "MAX_TASKS_PER_HOUR_PROJECT",
    "MAX_TOKENS_PER_HOUR_PROJECT",
    "MAX_MINUTES_PER_HOUR_PROJECT",
)
KUBERNETES = (
    "TASK_EXECUTOR",
    "K8S_NAMESPACE",
    "K8S_JOB_IMAGE",
    "K8S_JOB_IMAGE_PULL_POLICY",
    "K8S_JOB_IMAGE_PULL_SECRETS",
    "K8S_JOB_CPU_LIMIT",
    "K8S_JOB_MEMORY_LIMIT",
    "K8S_JOB_STORAGE_LIMIT",
    "K8S_JOB_TIMEOUT",
    "K8S_JOB_START_TIMEOUT",
    "K8S_JOB_TTL",
    "K8S_JOB_SECRETS",
    "K8S_JOB_CA_CONFIGMAP",
    "K8S_JOB_HOST_ALIASES",
    "K8S_JOB_NODE_SELECTOR",
    "K8S_JOB_TOLERATIONS",
    "K8S_JOB_EXTRA_ENV",
)
OWN: dict[str, tuple[str, ...]] = {
    "ingest": (
        *GITLAB,
        "GITLAB_PROJECTS",
        "GITLAB_GROUPS",
        "AGENT_GITLAB_USERNAME",
        "HOST",
        "PORT",
        "TASK_DOOR_HOST",
        "TASK_DOOR_PORT",
        "TASK_DOOR_SECRET",
        "GITLAB_WEBHOOK_SECRET",
        "GITLAB_WEBHOOK_SIGNING_TOKEN",
        "GITLAB_READ_TOKEN",
        "GITLAB_POLL",
        "GITLAB_POLL_INTERVAL",
        "GITLAB_POLL_LOOK_BACK",
        "GITLAB_POLL_OVERLAP",
        "GITLAB_POLL_MOST",
        "HOOK_WATCH_SECONDS",
        *JIRA,
        "JIRA_TRIGGER_STATUS",
        "JIRA_POLL_INTERVAL",
        "JIRA_PROJECT_MAP",
        "JIRA_ALLOWED_USERS",
    ),
    "reviewer": (
        *GITLAB,
        *MODEL,
        "GITLAB_PROJECTS",
        "GITLAB_GROUPS",
        "AGENT_GITLAB_USERNAME",
        "GITLAB_READ_TOKEN",
        "TASK_DOOR_SECRET",
        "TASK_DOOR_URL",
        *KUBERNETES,
        "MAX_CONCURRENT_TASKS",
        "TASK_TIMEOUT",
        "REVIEW_DRAFTS",
        "MIN_ROLE_READ",
        "MIN_ROLE_WRITE",
        *BUDGETS,
        "CLONE_DIR",
        "TASK_STATE_DIR",
        "XDG_CACHE_HOME",
    ),
    "coder": (
        *GITLAB,
        *MODEL,
        "GITLAB_PROJECTS",
        "GITLAB_GROUPS",
        "AGENT_GITLAB_USERNAME",
        "GITLAB_READ_TOKEN",
        "TASK_DOOR_SECRET",
        "TASK_DOOR_URL",
        *KUBERNETES,
        "MAX_CONCURRENT_TASKS",
        "TASK_TIMEOUT",
        "MIN_ROLE_READ",
        "MIN_ROLE_WRITE",
        *BUDGETS,
        "CLONE_DIR",
        "TASK_STATE_DIR",
        "XDG_CACHE_HOME",
    ),
    "publisher": (
        *GITLAB,
        *JIRA,
        "GITLAB_TOKEN",
        "JIRA_IN_PROGRESS_STATUS",
        "JIRA_IN_REVIEW_STATUS",
        "PUSH_CI_SKIP",
        "PROTECTED_PATHS",
        "ALLOW_PROTECTED_PATHS",
        "COMMIT_AUTHOR",
        "CLONE_DIR",
        "LEASE_SECONDS",
    ),
}


def environment(
    service: str, settings: Mapping[str, str], own: Mapping[str, str]
) -> dict[str, str]:
    """The environment of `service`: the machine's few, its own settings, no one else's.

    `settings` is the operator's environment; its empty values count as not set.
    """
    names = (*ALL, *OWN[service])
    allowed = (*INHERITED, *names, *(f"{name}_FILE" for name in names))
    if service in ("reviewer", "coder"):
        allowed += PROXIES  # for the model, by its Jobs
    given = {name: settings[name] for name in allowed if settings.get(name)}
    return (
        given
        | {"HEALTH_PORT": own[f"{service}_health"], "GCA_LOG_JSON": "1"}
        | {name: value for name, value in own.items() if name in names and value}
    )


def of_machine(environ: Mapping[str, str]) -> dict[str, str]:
    """What a simulated run may take over: where programs are, and no peer, login or rule."""
    names = (*INHERITED, "COPILOT_CLI_PATH", "XDG_CACHE_HOME")
    return {name: environ[name] for name in names if environ.get(name)}


def read_token(settings: Mapping[str, str]) -> str:
    """The token for reading and cloning; falls back to the write token, which `up` warns of."""
    return settings.get("GITLAB_READ_TOKEN") or settings.get("GITLAB_TOKEN") or ""
