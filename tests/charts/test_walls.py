"""What the manifests allow: no more than each service needs (SR-16, SR-21, SR-40, SR-41)."""

from __future__ import annotations

import json
import re

import pytest

from libs.common.service import DRAIN_SECONDS
from tests.charts.helm import SERVICES, environment, of_kind, pods, the

pytestmark = pytest.mark.real
EVERYTHING = {
    "global": {
        "secrets": {
            "JIRA_API_TOKEN": {"name": "gca-jira", "key": "token"},
            "JIRA_BEARER_TOKEN": {"name": "gca-jira-bearer", "key": "token"},
            "GITLAB_WEBHOOK_SIGNING_TOKEN": {"name": "gca-signing", "key": "token"},
            "COPILOT_PROVIDER_API_KEY": {"name": "gca-provider", "key": "key"},
        }
    }
}
JOBS = ["reviewer", "coder"]


def secrets(spec) -> set[str]:
    """Names of the Secrets that a pod mounts."""
    named = set()
    for volume in spec["volumes"]:
        named |= {one["secret"]["name"] for one in volume.get("projected", {}).get("sources", [])}
        named |= {volume["secret"]["secretName"]} if "secret" in volume else set()
    return named


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (
            "ingest",
            {
                *("gca-gitlab-read", "gca-webhook", "gca-signing", "gca-task-door"),
                *("gca-jira", "gca-jira-bearer", "gca-nats-ingest"),
            },
        ),
        ("reviewer", {"gca-gitlab-read", "gca-task-door", "gca-nats-reviewer"}),
        ("coder", {"gca-gitlab-read", "gca-task-door", "gca-nats-coder"}),
        (
            "publisher",
            {"gca-gitlab-write", "gca-jira", "gca-jira-bearer", "gca-nats-publisher"},
        ),
    ],
)
def test_each_service_mounts_its_own_secrets_and_no_others(helm, service, expected):
    deployment = the(helm.template(service, EVERYTHING), "Deployment", f"gca-{service}")

    assert expected == secrets(deployment["spec"]["template"]["spec"])


@pytest.mark.parametrize("service", SERVICES)
def test_no_chart_makes_a_secret_or_has_one_in_an_environment(helm, service):
    manifests = helm.template(service, EVERYTHING)

    assert {} == of_kind(manifests, "Secret")
    assert "secretKeyRef" not in json.dumps(manifests)


@pytest.mark.parametrize("service", SERVICES)
def test_every_pod_is_as_closed_as_a_pod_can_be_sr_21(helm, service):
    for name, spec in pods(helm.template(service)).items():
        assert {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        } == spec["securityContext"], name
        for container in spec["containers"]:
            assert {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            } == container["securityContext"], name
            assert "memory" in container["resources"]["limits"], name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        assert [] == [one for one in spec.get("volumes", []) if "hostPath" in one], name
        assert spec["enableServiceLinks"] is False, name


@pytest.mark.parametrize("service", ["ingest", "publisher"])
def test_services_without_jobs_have_no_rights_and_no_token_of_the_cluster(helm, service):
    manifests = helm.template(service)

    rights = {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
    assert set() == rights & {one["kind"] for one in manifests}
    account = the(manifests, "ServiceAccount", f"gca-{service}")
    assert account["automountServiceAccountToken"] is False
    assert [False] == [
        spec["automountServiceAccountToken"]
        for name, spec in pods(manifests).items()
        if name.startswith("Deployment")
    ]


@pytest.mark.parametrize("service", JOBS)
def test_services_with_jobs_may_run_jobs_and_read_pods_in_one_namespace(helm, service):
    manifests = helm.template(service)

    role = the(manifests, "Role", f"gca-{service}")
    rules = {
        (*rule["apiGroups"], *rule["resources"]): sorted(rule["verbs"]) for rule in role["rules"]
    }
    assert {
        ("batch", "jobs"): ["create", "delete", "get", "list", "watch"],
        ("", "pods"): ["get", "list", "watch"],
        ("", "pods/log"): ["get"],
    } == rules
    assert {} == of_kind(manifests, "ClusterRole") | of_kind(manifests, "ClusterRoleBinding")
    binding = the(manifests, "RoleBinding", f"gca-{service}")
    assert [("ServiceAccount", f"gca-{service}", "agents")] == [
        (one["kind"], one["name"], one["namespace"]) for one in binding["subjects"]
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_every_image_is_pinned_and_a_digest_wins_sr_40(helm, service):
    digest = "sha256:" + "0" * 64
    image = {"registry": "registry.example.com", "tag": "1.2.3", "digest": digest}

    plain = {
        one["image"] for spec in pods(helm.template(service)).values() for one in spec["containers"]
    }
    pinned = {
        one["image"]
        for spec in pods(helm.template(service, {"image": image})).values()
        for one in spec["containers"]
    }

    (tagged,) = plain
    assert re.fullmatch(rf"gitlab-copilot-agent/{service}:\d+\.\d+\.\d+", tagged)
    assert {f"registry.example.com/gitlab-copilot-agent/{service}@{digest}"} == pinned


def test_one_registry_and_its_logins_serve_all_images(helm):
    shared = {"imageRegistry": "mirror.example.com/", "imagePullSecrets": [{"name": "login"}]}

    manifests = helm.template("coder", {"global": shared})

    images = [one["image"] for spec in pods(manifests).values() for one in spec["containers"]]
    env = environment(the(manifests, "Deployment", "gca-coder"))
    images += [env["K8S_JOB_IMAGE"]]
    assert [] == [one for one in images if not one.startswith("mirror.example.com/gitlab-")]
    assert [[{"name": "login"}]] * 2 == [
        one["imagePullSecrets"] for one in pods(manifests).values()
    ]
    assert "login" == env["K8S_JOB_IMAGE_PULL_SECRETS"]


def test_authorities_of_ones_own_are_mounted_and_named(helm):
    deployment = the(
        helm.template("publisher", {"global": {"caConfigMap": "authorities"}}),
        "Deployment",
        "gca-publisher",
    )

    assert "/etc/gca/ca/ca.crt" == environment(deployment)["CA_BUNDLE"]
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    assert ["authorities"] == [one["configMap"]["name"] for one in volumes if "configMap" in one]


def test_the_task_door_has_no_way_in_from_outside_sr_41(helm):
    ingress = {"enabled": True, "host": "hooks.example.com", "tlsSecret": "certificate"}

    manifests = helm.template("ingest", {"ingress": ingress, "service": {"type": "LoadBalancer"}})

    ports = {
        name: (
            one["spec"].get("type", "ClusterIP"),
            [port["port"] for port in one["spec"]["ports"]],
        )
        for name, one in of_kind(manifests, "Service").items()
    }
    assert {
        "gca-ingest": ("LoadBalancer", [8000]),
        "gca-ingest-health": ("ClusterIP", [8081]),
        "gca-task-door": ("ClusterIP", [8001]),
    } == ports
    rule = the(manifests, "Ingress", "gca-ingest")["spec"]
    (path,) = rule["rules"][0]["http"]["paths"]
    assert ("/webhook", "Exact", "gca-ingest", "webhook") == (
        path["path"],
        path["pathType"],
        path["backend"]["service"]["name"],
        path["backend"]["service"]["port"]["name"],
    )
    assert [{"hosts": ["hooks.example.com"], "secretName": "certificate"}] == rule["tls"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_pod_has_longer_to_end_than_the_drain_takes(helm, service):
    spec = the(helm.template(service), "Deployment", f"gca-{service}")["spec"]["template"]["spec"]

    before = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {})
    needed = DRAIN_SECONDS + before.get("seconds", 0)
    assert spec["terminationGracePeriodSeconds"] >= needed + 10


@pytest.mark.parametrize("service", SERVICES)
def test_probes_ask_what_the_service_answers(helm, service):
    spec = the(helm.template(service), "Deployment", f"gca-{service}")["spec"]["template"]["spec"]

    (container,) = spec["containers"]
    assert ("/healthz", "/healthz", "/readyz") == tuple(
        container[f"{probe}Probe"]["httpGet"]["path"]
        for probe in ("startup", "liveness", "readiness")
    )
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert {"ingest": 8081, "reviewer": 8082, "coder": 8083, "publisher": 8084}[service] == ports[
        "health"
    ]
