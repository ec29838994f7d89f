"""The umbrella: the same as its parts installed alone, in one release; its golden file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.charts.helm import ROOT, SERVICES, of_kind, pods

pytestmark = pytest.mark.real
GOLDEN = ROOT / "tests/data/golden/charts/stack.yaml"
COMPONENT = "app.kubernetes.io/component"
PART = {"app.kubernetes.io/part-of": "gitlab-copilot-agent"}


def by_name(manifests):
    return {(one["kind"], one["metadata"]["name"]): one for one in manifests}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_the_same_in_the_stack_and_alone(helm, service):
    alone = by_name(helm.template(service))
    together = by_name(helm.template("stack"))

    assert alone == {key: together.get(key) for key in alone}


@pytest.mark.parametrize("part", [*SERVICES, "nats", "topology"])
def test_a_part_can_be_left_out(helm, part):
    with_it = by_name(helm.template("stack"))
    without = by_name(helm.template("stack", {part: {"enabled": False}}))

    gone = {name for _, name in with_it.keys() - without.keys()}
    others = {f"gca-{other}" for other in (*SERVICES, "nats", "topology") if other != part}
    assert f"gca-{part}" in gone
    assert set() == gone & others


def test_no_two_manifests_have_one_name(helm):
    manifests = helm.template("stack")

    assert len(manifests) == len(by_name(manifests))


def test_every_manifest_is_in_the_releases_namespace_and_labelled_as_ours(helm):
    for one in helm.template("stack"):
        assert "agents" == one["metadata"]["namespace"], one["metadata"]["name"]
        assert PART.items() <= one["metadata"]["labels"].items(), one["metadata"]["name"]


def test_what_no_policy_allows_is_denied(helm):
    policies = of_kind(helm.template("stack"), "NetworkPolicy")

    assert {
        "podSelector": {"matchLabels": PART},
        "policyTypes": ["Ingress", "Egress"],
    } == policies["gca-default-deny"]["spec"]


def test_policies_can_be_switched_off_for_all(helm):
    values = {"global": {"networkPolicy": {"enabled": False}}}

    assert {} == of_kind(helm.template("stack", values), "NetworkPolicy")


def test_whoever_may_speak_to_a_part_of_ours_is_heard_there(helm):
    """A connection needs two policies: one lets it out, one lets it in."""
    policies = [one["spec"] for one in of_kind(helm.template("stack"), "NetworkPolicy").values()]
    asked = {
        (component(policy), component_of(peer), port["port"])
        for policy in policies
        for rule in policy.get("egress", [])
        for peer in rule.get("to", [])
        for port in rule["ports"]
        if component_of(peer)
    }

    heard = {
        (who, component(policy), port["port"])
        for policy in policies
        for rule in policy.get("ingress", [])
        for who in let_in(rule, {who for who, _, _ in asked})
        for port in rule.get("ports", [])
    }
    assert {("reviewer", "nats", 4222), ("runner", "ingest", 8001)} <= asked
    assert set() == asked - heard
    assert [] == [one for one in heard if one[0] == "runner" and one[2] not in {8000, 8001}]


def component(policy) -> str:
    return policy["podSelector"].get("matchLabels", {}).get(COMPONENT, "")


def component_of(peer) -> str:
    """The part of ours that a peer selects; empty for others."""
    if "namespaceSelector" in peer:
        return ""
    return peer.get("podSelector", {}).get("matchLabels", {}).get(COMPONENT, "")


def let_in(rule, everybody: set[str]) -> set[str]:
    if "from" not in rule:
        return everybody
    found = set()
    for peer in rule["from"]:
        found |= {component_of(peer)}
        for term in peer.get("podSelector", {}).get("matchExpressions", []):
            if term["key"] == COMPONENT:
                named = set(term["values"])
                found |= named if term["operator"] == "In" else everybody - named
    return found


def test_no_pod_but_those_that_start_jobs_gets_a_token_of_the_cluster(helm):
    given = {
        name
        for name, spec in pods(helm.template("stack")).items()
        if spec.get("automountServiceAccountToken") is not False
    }

    assert {"Deployment gca-reviewer", "Deployment gca-coder"} == given


def test_the_default_stack_is_the_golden_file(helm):
    text = yaml.safe_dump_all(helm.template("stack"), sort_keys=True, width=100)
    if os.environ.get("GOLDEN"):
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        Path(GOLDEN).write_text(text)

    assert GOLDEN.read_text() == text
