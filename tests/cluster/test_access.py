"""RBAC: what each service account may do, as the API server itself answers."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from tests.cluster.installed import SERVICES, STORY

pytestmark = STORY
JOBS = {("jobs.batch", verb) for verb in ("create", "get", "list", "watch", "delete")}
PODS = {("pods", verb) for verb in ("get", "list", "watch")} | {("pods/log", "get")}
ALLOWED = {"reviewer": JOBS | PODS, "coder": JOBS | PODS}
RESOURCES = (
    *("jobs.batch", "pods", "pods/log", "pods/exec", "pods/attach", "pods/portforward"),
    *("secrets", "configmaps", "serviceaccounts", "serviceaccounts/token", "services"),
    *("deployments.apps", "cronjobs.batch", "roles.rbac.authorization.k8s.io"),
    *("rolebindings.rbac.authorization.k8s.io", "networkpolicies.networking.k8s.io"),
    *("persistentvolumeclaims", "events", "nodes", "namespaces"),
)
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


@pytest.mark.parametrize("service", [*SERVICES, "nats", "topology", "default"])
async def test_a_service_account_may_do_what_it_needs_and_nothing_else(system, service):
    account = service if service == "default" else f"gca-{service}"
    found = await _matrix(system.kubectl, account, system.kubectl.namespace)

    assert ALLOWED.get(service, set()) == found


@pytest.mark.parametrize("service", ["reviewer", "coder"])
async def test_no_right_reaches_into_another_namespace(system, service):
    assert set() == await _matrix(system.kubectl, f"gca-{service}", "kube-system")


async def _matrix(kubectl, account: str, namespace: str) -> set[tuple[str, str]]:
    """All that this account may do there, of the table above, as `kubectl auth can-i` asks it."""
    user = f"system:serviceaccount:{kubectl.namespace}:{account}"
    pairs = list(itertools.product(RESOURCES, VERBS))
    reviews = [_review(user, namespace, *pair) for pair in pairs]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": reviews})
    answers = _documents(await kubectl("create", "-f", "-", "-o", "json", stdin=listed))
    assert len(pairs) == len(answers)
    return {pair for pair, one in zip(pairs, answers, strict=True) if one["status"].get("allowed")}


def _documents(text: str) -> list[dict[str, Any]]:
    """kubectl prints one JSON document after the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        document, at = decoder.raw_decode(text, at)
        found.append(document)
    return found


def _review(user: str, namespace: str, resource: str, verb: str) -> dict[str, object]:
    path, _, group = resource.partition(".")
    name, _, part = path.partition("/")
    asked = {"namespace": namespace, "verb": verb, "group": group, "resource": name}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": asked | {"subresource": part}},
    }
