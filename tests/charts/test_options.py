"""Each option on and off: what appears, what goes, and that all of them fit together."""

from __future__ import annotations

import itertools
import re

import pytest

from tests.charts.helm import CHARTS, LEAST, SERVICES, Refused, the

pytestmark = pytest.mark.real
EVERY = (*SERVICES, "library", "nats", "topology", "stack")
OPTIONS = {
    "ingest": {
        "autoscaling": "HorizontalPodAutoscaler",
        "ingress": "Ingress",
        "podDisruptionBudget": "PodDisruptionBudget",
        "networkPolicy": "NetworkPolicy",
        "serviceMonitor": "ServiceMonitor",
    },
    "publisher": {
        "keda": "ScaledObject",
        "podDisruptionBudget": "PodDisruptionBudget",
        "networkPolicy": "NetworkPolicy",
        "serviceMonitor": "ServiceMonitor",
    },
    "reviewer": {
        "podDisruptionBudget": "PodDisruptionBudget",
        "networkPolicy": "NetworkPolicy",
        "serviceMonitor": "ServiceMonitor",
    },
}
MATRIX = [
    pytest.param(service, dict(zip(options, choice, strict=True)), id=f"{service}-{number}")
    for service, options in OPTIONS.items()
    for number, choice in enumerate(itertools.product((True, False), repeat=len(options)))
]


@pytest.mark.parametrize("chart", EVERY)
def test_helm_lints_the_chart(helm, chart):
    assert "0 chart(s) failed" in helm.run("lint", str(CHARTS / chart), "--strict")


@pytest.mark.parametrize(("service", "chosen"), MATRIX)
def test_an_option_brings_its_manifest_and_no_other(helm, service, chosen):
    values = {name: {"enabled": on} for name, on in chosen.items()}
    values.setdefault("ingress", {}).update({"host": "hooks.example.com"})
    values = {name: value for name, value in values.items() if name in OPTIONS[service]}

    kinds = {one["kind"] for one in helm.template(service, values)}

    optional = {*OPTIONS[service].values()}
    assert {OPTIONS[service][name] for name, on in chosen.items() if on} == kinds & optional


def test_what_scales_by_itself_has_no_fixed_number_of_replicas(helm):
    ingest = helm.template("ingest", {"autoscaling": {"enabled": True, "maxReplicas": 9}})
    publisher = helm.template("publisher", {"keda": {"enabled": True}})

    assert "replicas" not in the(ingest, "Deployment", "gca-ingest")["spec"]
    assert "replicas" not in the(publisher, "Deployment", "gca-publisher")["spec"]
    scaler = the(ingest, "HorizontalPodAutoscaler", "gca-ingest")["spec"]
    assert (2, 9, "gca-ingest") == (
        scaler["minReplicas"],
        scaler["maxReplicas"],
        scaler["scaleTargetRef"]["name"],
    )
    (trigger,) = the(publisher, "ScaledObject", "gca-publisher")["spec"]["triggers"]
    assert "nats-jetstream" == trigger["type"]
    assert {
        "natsServerMonitoringEndpoint": "gca-nats-headless.agents.svc:8222",
        "account": "$G",
        "stream": "EVENTS",
        "consumer": "publisher",
        "lagThreshold": "20",
    } == trigger["metadata"]


@pytest.mark.parametrize("service", SERVICES)
def test_where_pods_run_is_the_operators_choice(helm, service):
    chosen = {
        "replicas": 3,
        "nodeSelector": {"pool": "services"},
        "tolerations": [{"key": "services", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["gitlab.example.com"]}],
        "podAnnotations": {"example.com/team": "agents"},
        "topologySpread": {"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
    }

    deployment = the(helm.template(service, chosen), "Deployment", f"gca-{service}")["spec"]

    template = deployment["template"]
    kept = ("nodeSelector", "tolerations", "affinity", "hostAliases")
    assert {name: chosen[name] for name in kept} == {name: template["spec"][name] for name in kept}
    assert (3, chosen["podAnnotations"]) == (
        deployment["replicas"],
        template["metadata"]["annotations"],
    )
    (spread,) = template["spec"]["topologySpreadConstraints"]
    assert ("zone", "DoNotSchedule") == (spread["topologyKey"], spread["whenUnsatisfiable"])


@pytest.mark.parametrize("service", SERVICES)
def test_another_prefix_names_everything_and_everything_that_is_asked_for(helm, service):
    text = helm.text(
        service,
        {
            "global": {
                "prefix": "bots",
                "settings": {"GITLAB_URL": "https://gitlab.example.com"},
                "secrets": {"GITHUB_TOKEN": {"name": "model", "key": "token"}},
            }
        },
    )

    given = {"gca-gitlab-read", "gca-gitlab-write", "gca-webhook", "gca-task-door"}
    left = set(re.findall(r"gca-[a-z-]+", text))
    assert set() == left - given


def test_nats_elsewhere_is_named_once(helm):
    manifests = helm.template("coder", {"global": {"natsUrl": "tls://nats.example.com:4222"}})

    (container,) = the(manifests, "Deployment", "gca-coder")["spec"]["template"]["spec"][
        "containers"
    ]
    urls = [one["value"] for one in container["env"] if one["name"] == "NATS_URL"]
    assert ["tls://nats.example.com:4222"] == urls


def test_nats_without_users_needs_no_credentials(helm):
    manifests = helm.template("coder", {"natsCredentials": {"enabled": False}})

    assert "nats.nk" not in str(manifests)


def test_an_ingress_without_a_host_is_refused(helm):
    with pytest.raises(Refused, match=r"ingress\.host: is not set"):
        helm.template("ingest", {"ingress": {"enabled": True}})


def test_an_older_kubernetes_is_refused(helm):
    with pytest.raises(Refused, match=r"requires kubeVersion: >=1\.31\.0"):
        helm.run("template", "gca", str(CHARTS / "ingest"), "--kube-version", "1.30", values=LEAST)
