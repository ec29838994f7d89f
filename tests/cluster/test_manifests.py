"""What the charts and the launcher make is taken by the real API server, with no warning.

A dry run on the server: schema, defaults, admission, and the Pod Security Standard `restricted`.
Kinds of operators (ServiceMonitor, PrometheusRule, ScaledObject) are not in it: their definitions
are not in this cluster.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from libs.common.jetstream import permissions
from libs.common.jetstream.credentials import new_user
from tests.cluster.helm import CHARTS, SIMULATORS, Helm
from tests.cluster.installed import STORY, merged
from tests.cluster.tools import ROOT

pytestmark = STORY
SERVICES = ("ingest", "reviewer", "coder", "publisher")
USERS = {"nats": {"users": {name: new_user().public for name in permissions.NAMES}}}
GOLDEN = sorted((ROOT / "tests" / "data" / "golden" / "jobs").glob("*.json"))
MATRIX: dict[str, dict[str, Any]] = {
    "default": {},
    "three NATS servers": {"nats": {"replicas": 3}},
    "a NATS of their own": {
        "global": {"natsUrl": "nats://nats.example.com:4222"},
        "nats": {"enabled": False},
    },
    "no policies": {"global": {"networkPolicy": {"enabled": False}}},
    "no budgets": {name: {"podDisruptionBudget": {"enabled": False}} for name in SERVICES},
    "autoscaling and ingress": {
        "ingest": {
            "autoscaling": {"enabled": True},
            "ingress": {
                "enabled": True,
                "className": "nginx",
                "host": "agent.example.com",
                "tlsSecret": "agent-tls",
            },
        }
    },
    "a node port": {"ingest": {"service": {"type": "NodePort", "nodePort": 30080}}},
    "placement": {
        name: {
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "agents", "operator": "Exists", "effect": "NoSchedule"}],
            "hostAliases": [{"ip": "10.0.0.7", "hostnames": ["gitlab.example.com"]}],
        }
        for name in SERVICES
    },
    "digests": {
        name: {"image": {"digest": "sha256:" + "0" * 64}, "replicas": 3} for name in SERVICES
    },
    "dashboard": {"dashboard": {"enabled": True}},
    "coder alone off": {"coder": {"enabled": False}},
}


@pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX.keys())
async def test_the_stack_is_taken_with(empty, helm_binary, values):
    helm = Helm(helm_binary, empty.kubeconfig, empty.namespace, (SIMULATORS / "stack.yaml",))

    rendered = await helm.rendered("gca", CHARTS / "stack", merged(USERS, values))

    await taken(empty, rendered)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_is_taken_alone(empty, helm_binary, service):
    helm = Helm(helm_binary, empty.kubeconfig, empty.namespace)
    values = {"settings": {"GITLAB_URL": "https://gitlab.example.com"}}
    if service in ("reviewer", "coder"):
        values["job"] = {"secrets": {"GITHUB_TOKEN": {"name": "gca-model", "key": "token"}}}

    await taken(empty, await helm.rendered(f"gca-{service}", CHARTS / service, values))


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda file: file.stem)
async def test_sr_21_a_job_of_ours_is_taken(empty, golden):
    await taken(empty, golden.read_text())


async def test_there_are_golden_jobs():
    assert GOLDEN


async def taken(kubectl, manifests: str) -> None:
    """By the server's dry run, with no warning, such as of a field it does not know."""
    dry = ("apply", "--dry-run=server", "--warnings-as-errors", "--validate=strict", "-f", "-")
    answer = await kubectl.attempt(*dry, stdin=manifests, seconds=90)
    assert answer.code == 0, answer.said
    assert "arning" not in answer.err, answer.err
    assert answer.out.strip(), json.dumps(answer.said)
