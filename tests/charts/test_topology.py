"""The chart `topology`: a Job after each install and upgrade, as the user `topology`."""

from __future__ import annotations

from typing import Any

import pytest

from services.ops.__main__ import parser
from tests.charts.helm import Refused, of_kind, the

pytestmark = pytest.mark.real


def job(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    return the(manifests, "Job", "gca-topology")


def container(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    [found] = job(manifests)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_it_comes_after_installs_upgrades_and_rollbacks_and_stays_to_be_read(helm):
    annotations = job(helm.template("topology"))["metadata"]["annotations"]

    assert "post-install,post-upgrade,post-rollback" == annotations["helm.sh/hook"]
    assert "before-hook-creation" == annotations["helm.sh/hook-delete-policy"]


@pytest.mark.parametrize(
    ("values", "replicas", "wait"), [({}, None, 120), ({"replicas": 3, "waitSeconds": 30}, 3, 30)]
)
def test_it_runs_a_command_that_gca_knows(helm, values, replicas, wait):
    found = parser().parse_args(container(helm.template("topology", values))["args"])

    assert ("topology", "apply") == (found.command, found.action)
    assert (replicas, wait) == (found.replicas, found.wait)


def test_it_trusts_the_authorities_that_the_services_trust(helm):
    natsUrl, configMap = "tls://nats.example.com:4222", "authorities"  # noqa: N806  as in values
    manifests = helm.template(
        "topology", {"global": {"natsUrl": natsUrl, "caConfigMap": configMap}}
    )
    [volume] = [
        one for one in job(manifests)["spec"]["template"]["spec"]["volumes"] if one["name"] == "ca"
    ]
    env = {one["name"]: one["value"] for one in container(manifests)["env"]}

    assert "authorities" == volume["configMap"]["name"]
    assert ("tls://nats.example.com:4222", "/etc/gca/ca/ca.crt") == (
        env["NATS_URL"],
        env["CA_BUNDLE"],
    )
    mounts = {one["name"]: one["mountPath"] for one in container(manifests)["volumeMounts"]}
    assert "/etc/gca/ca" == mounts["ca"]


def test_its_tries_and_their_waits_are_bounded(helm):
    spec = job(helm.template("topology"))["spec"]

    assert 3 == spec["backoffLimit"]
    assert 600 == spec["activeDeadlineSeconds"]


def test_it_has_the_seed_of_its_own_user_and_nothing_else(helm):
    manifests = helm.template("topology")
    pod = job(manifests)["spec"]["template"]["spec"]
    volumes = {one["name"]: one for one in pod["volumes"]}

    assert "gca-nats-topology" == volumes["nats"]["secret"]["secretName"]
    assert {"nats", "tmp"} == volumes.keys()
    assert {
        "NATS_URL": "nats://gca-nats:4222",
        "NATS_CREDENTIALS": "/etc/gca/nats/nats.nk",
    } == {one["name"]: one["value"] for one in container(manifests)["env"]}
    assert False is pod["automountServiceAccountToken"]
    assert True is pod["securityContext"]["runAsNonRoot"]
    assert True is container(manifests)["securityContext"]["readOnlyRootFilesystem"]
    assert {} == of_kind(manifests, "Role") | of_kind(manifests, "Secret")


def test_nats_from_elsewhere_and_the_size_of_the_log_are_values(helm):
    manifests = helm.template(
        "topology",
        {
            "global": {"natsUrl": "nats://nats.example.com:4222", "prefix": "bot"},
            "eventsMaxBytes": "8Gi",
            "networkPolicy": {"nats": [{"cidr": "10.0.0.7/32"}]},
        },
    )
    [made] = of_kind(manifests, "Job").values()
    [found] = made["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one["value"] for one in found["env"]}
    [policy] = of_kind(manifests, "NetworkPolicy").values()

    assert "bot-topology" == made["metadata"]["name"]
    assert "nats://nats.example.com:4222" == environment["NATS_URL"]
    assert "8Gi" == environment["EVENTS_MAX_BYTES"]
    assert {"ipBlock": {"cidr": "10.0.0.7/32"}} == policy["spec"]["egress"][1]["to"][0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replicas": 2}, "/replicas"),
        ({"eventsMaxBytes": "lots"}, "/eventsMaxBytes"),
        ({"waitSeconds": 0}, "/waitSeconds"),
        ({"wait": 5}, "wait"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(helm, values, said):
    with pytest.raises(Refused) as caught:
        helm.template("topology", values)

    assert said in str(caught.value)
