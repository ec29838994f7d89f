"""Who may speak to whom (SR-19): read from the policies, on by default."""

from __future__ import annotations

import pytest

from tests.charts.helm import SERVICES, of_kind, the

pytestmark = pytest.mark.real
PART = "app.kubernetes.io/part-of"
COMPONENT = "app.kubernetes.io/component"
PRIVATE = [
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    *("100.64.0.0/10", "169.254.0.0/16"),
]


def peers(rules, side: str) -> list[tuple[str, tuple[int, ...]]]:
    """Each rule as who and which ports; everybody is `anyone`."""
    found = []
    for rule in rules:
        ports = tuple(dict.fromkeys(one["port"] for one in rule.get("ports", [])))
        found += [(named(peer), ports) for peer in rule.get(side, [None])]
    return found


def named(peer) -> str:
    if peer is None:
        return "anyone"
    if "ipBlock" in peer:
        return peer["ipBlock"]["cidr"]
    labels = peer.get("podSelector", {}).get("matchLabels", {})
    return labels.get(COMPONENT) or labels.get("k8s-app") or str(peer)


def policy(helm, chart, name, values=None):
    spec = the(helm.template(chart, values), "NetworkPolicy", name)["spec"]
    assert ["Ingress", "Egress"] == spec["policyTypes"]
    return peers(spec["ingress"], "from"), peers(spec["egress"], "to"), spec


@pytest.mark.parametrize("service", ["reviewer", "coder"])
def test_a_job_reaches_dns_the_task_door_and_public_https_and_nothing_else(helm, service):
    name = f"gca-runner-{service}"
    incoming, outgoing, spec = policy(helm, service, name)

    assert {
        PART: "gitlab-copilot-agent",
        COMPONENT: "runner",
        "gca/source": service,
    } == spec["podSelector"]["matchLabels"]
    assert [] == incoming
    assert [("kube-dns", (53,)), ("ingest", (8001,)), ("0.0.0.0/0", (443,))] == outgoing
    (block,) = [
        peer["ipBlock"] for rule in spec["egress"] for peer in rule["to"] if "ipBlock" in peer
    ]
    assert PRIVATE == block["except"]


def test_a_job_reaches_what_is_named_instead_of_the_internet(helm):
    proxy = {
        "namespaceSelector": {"matchLabels": {"team": "network"}},
        "podSelector": {"matchLabels": {COMPONENT: "proxy"}},
        "ports": [3128],
    }
    egress = {"model": [proxy], "gitlab": [{"cidr": "10.1.2.3/32", "ports": [443, 8443]}]}

    _, outgoing, _ = policy(helm, "coder", "gca-runner-coder", {"job": {"egress": egress}})

    assert [
        ("kube-dns", (53,)),
        ("ingest", (8001,)),
        ("proxy", (3128,)),
        ("10.1.2.3/32", (443, 8443)),
    ] == outgoing


def test_ingest_hears_webhooks_from_anyone_and_its_task_door_from_jobs_alone(helm):
    incoming, outgoing, _ = policy(helm, "ingest", "gca-ingest")

    assert [
        ("anyone", (8000,)),
        ("test", (8000,)),
        ("runner", (8001,)),
        ("test", (8081,)),
    ] == incoming
    assert [("kube-dns", (53,)), ("nats", (4222,)), ("0.0.0.0/0", (443,))] == outgoing


def test_ingest_may_hear_webhooks_from_the_ingress_controller_alone(helm):
    controller = {"namespaceSelector": {"matchLabels": {"name": "ingress"}}}
    values = {"networkPolicy": {"webhookFrom": [controller]}}

    incoming, _, _ = policy(helm, "ingest", "gca-ingest", values)

    assert [(str(controller), (8000,))] == incoming[:1]


@pytest.mark.parametrize("service", ["reviewer", "coder"])
def test_services_with_jobs_reach_nats_the_api_server_and_gitlab(helm, service):
    incoming, outgoing, _ = policy(helm, service, f"gca-{service}")

    assert ["test"] == [who for who, _ in incoming]
    assert [
        ("kube-dns", (53,)),
        ("nats", (4222,)),
        ("0.0.0.0/0", (443, 6443)),
        ("0.0.0.0/0", (443,)),
    ] == outgoing


def test_the_publisher_reaches_nats_gitlab_and_jira(helm):
    incoming, outgoing, _ = policy(helm, "publisher", "gca-publisher")

    assert [("test", (8084,))] == incoming
    assert [("kube-dns", (53,)), ("nats", (4222,)), ("0.0.0.0/0", (443,))] == outgoing


@pytest.mark.parametrize("service", SERVICES)
def test_no_pod_reaches_the_address_of_cloud_metadata(helm, service):
    for name, one in of_kind(helm.template(service), "NetworkPolicy").items():
        for rule in one["spec"]["egress"]:
            for peer in rule["to"]:
                if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0":
                    assert "169.254.0.0/16" in peer["ipBlock"]["except"], name


def test_common_values_of_policies_win_over_the_charts(helm):
    monitoring = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}
    outside = {"cidr": "10.9.8.7/32", "ports": [4223]}
    node_dns = {"cidr": "169.254.20.10/32"}
    shared = {"nats": [outside], "monitoring": [monitoring], "dns": [node_dns]}

    incoming, outgoing, _ = policy(
        helm, "publisher", "gca-publisher", {"global": {"networkPolicy": shared}}
    )

    assert (str(monitoring), (8084,)) in incoming
    assert [("169.254.20.10/32", (53,)), ("10.9.8.7/32", (4223,))] == outgoing[:2]


@pytest.mark.parametrize("service", SERVICES)
def test_policies_can_be_switched_off_for_all(helm, service):
    values = {"global": {"networkPolicy": {"enabled": False}}}

    assert {} == of_kind(helm.template(service, values), "NetworkPolicy")


@pytest.mark.parametrize("service", SERVICES)
def test_the_pod_of_helm_test_reaches_its_service_alone(helm, service):
    incoming, outgoing, _ = policy(helm, service, f"gca-{service}-test")

    assert [] == incoming
    assert ["kube-dns", service] == [who for who, _ in outgoing]
