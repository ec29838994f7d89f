"""Examples for tests of Jobs on Kubernetes: orders, settings, and objects as the API has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from libs.common.launching.kubernetes.pod import HostAlias, PodSettings, SecretKey, Toleration
from libs.common.launching.protocol import Launch, job_name

TASK_ID = "review-42-7-4f2b9c0d1e3a5b6c-0"
NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
Object = dict[str, Any]

PLAIN = PodSettings(
    source="reviewer",
    image="registry.example.com/gitlab-copilot-agent/runner:0.1.0",
    secrets={
        "GITLAB_READ_TOKEN": SecretKey(name="gca-gitlab-read", key="token"),
        "COPILOT_PROVIDER_API_KEY": SecretKey(name="gca-model", key="api-key"),
    },
    values={
        "COPILOT_PROVIDER_TYPE": "openai",
        "COPILOT_PROVIDER_BASE_URL": "https://model.example.com/v1",
        "COPILOT_MODEL": "gpt-5",
        "LOG_LEVEL": "INFO",
    },
)
FULL = PodSettings(
    source="coder",
    image="registry.example.com/gitlab-copilot-agent/runner@sha256:0a1b2c3d",
    pull_policy="Always",
    cpu="500m",
    memory="2Gi",
    storage="4Gi",
    ttl=3600,
    secrets={
        "GITLAB_READ_TOKEN": SecretKey(name="gca-gitlab-read", key="token"),
        "GITHUB_TOKEN": SecretKey(name="gca-github", key="token"),
    },
    values={"ALLOW_HTTP_GITLAB": "True", "HTTPS_PROXY": "http://proxy.example.com:3128"},
    ca_configmap="company-ca",
    host_aliases=(HostAlias(ip="10.0.0.7", hostnames=("gitlab.example.com",)),),
    node_selector={"kubernetes.io/arch": "amd64"},
    tolerations=(Toleration(key="agents", operator="Exists", effect="NoSchedule"),),
    extra_env={"TZ": "Europe/Berlin", "NO_PROXY": "model.example.com", "PRICE": "$(HOME)"},
    pull_secrets=("registry-login",),
)


def launch(kind: str = "review", task_id: str = TASK_ID) -> Launch:
    return Launch(
        job_name=job_name(kind, task_id),
        task_id=task_id,
        kind=kind,
        task_url=f"http://gca-task-door:8001/tasks/{task_id}",
        task_token="1767606300.0123abcd",
        timeout=1800,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def moment(before: timedelta) -> str:
    return (NOW - before).isoformat().replace("+00:00", "Z")


def job(*, age: timedelta = timedelta(), condition: Object | None = None) -> Object:
    return {
        "metadata": {"name": "gca-review-1", "uid": "job-1", "creationTimestamp": moment(age)},
        "spec": {"activeDeadlineSeconds": 1830},
        "status": {"conditions": [condition] if condition else []},
    }


def failed(reason: str = "PodFailurePolicy", message: str = "") -> Object:
    return {"type": "Failed", "status": "True", "reason": reason, "message": message}


def pod(status: Object, *, age: timedelta = timedelta(), **metadata: str) -> Object:
    container = {"resources": {"limits": {"memory": "1Gi"}}}
    return {
        "metadata": {
            "name": "gca-review-1-x",
            "uid": "pod-1",
            "creationTimestamp": moment(age),
            "ownerReferences": [{"kind": "Job", "uid": "job-1"}],
            **metadata,
        },
        "spec": {
            "nodeName": "node-7",
            "initContainers": [{"name": "clone", **container}],
            "containers": [{"name": "run", **container}],
        },
        "status": status,
    }


def step(name: str, **state: Object) -> Object:
    """A pod's status in which the step is `waiting`, `running` or `terminated`."""
    group = "initContainerStatuses" if name == "clone" else "containerStatuses"
    return {group: [{"name": name, "state": state}]}
