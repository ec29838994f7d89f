"""The chart `nats`: its servers start with what it renders, and know each user as the code does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from libs.common.errors import AgentError
from libs.common.jetstream import permissions
from libs.common.jetstream.access import Access
from libs.common.jetstream.apply import apply, diff
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.credentials import Keys, new_user
from libs.common.jetstream.server import binary
from libs.common.jetstream.topology import topology
from libs.common.leash import leashed
from tests.charts.helm import Helm, Refused, merged, of_kind, the
from tests.fixtures.nats import SMALL, never_closed
from tests.fixtures.ports import free_port

pytestmark = pytest.mark.real
KEYS = {name: new_user() for name in permissions.NAMES}
USERS = {"users": {name: keys.public for name, keys in KEYS.items()}}
START_SECONDS = 40


def rendered(helm: Helm, **values: Any) -> list[dict[str, Any]]:
    return helm.template("nats", USERS | values)


def config(manifests: list[dict[str, Any]]) -> str:
    text = the(manifests, "ConfigMap", "gca-nats")["data"]["nats.conf"]
    assert isinstance(text, str)
    return text


def container(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    [found] = the(manifests, "StatefulSet", "gca-nats")["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def environment(manifests: list[dict[str, Any]], name: str, password: str) -> dict[str, str]:
    """As the kubelet makes it, of references to what stands before."""
    found = {"POD_NAME": name, "ROUTES_SECRET": password}
    for one in container(manifests)["env"]:
        if "value" in one:
            found[one["name"]] = re.sub(r"\$\((\w+)\)", lambda match: found[match[1]], one["value"])
    return found


# --- the server's configuration ---------------------------------------------------------


@pytest.mark.parametrize("replicas", [1, 3])
def test_nats_server_takes_the_configuration(helm, tmp_path, replicas):
    manifests = rendered(helm, replicas=replicas)
    file = tmp_path / "nats.conf"
    file.write_text(config(manifests))

    done = subprocess.run(
        [str(binary()), "-t", "-c", str(file)],
        env=environment(manifests, "gca-nats-0", "12345"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    assert "is valid" in done.stderr


def test_sr_17_each_user_has_the_permissions_of_the_code_and_there_is_no_other(helm):
    users = [json.loads(line) for line in config(rendered(helm)).splitlines() if "nkey" in line]

    assert {KEYS[name].public: allowed for name, allowed in permissions.document().items()} == {
        user["nkey"]: user["permissions"] for user in users
    }


def test_more_users_are_the_operators_own(helm):
    admin = {"nkey": new_user().public}

    assert json.dumps(admin, separators=(",", ":")) in config(rendered(helm, extraUsers=[admin]))


def test_every_event_is_on_disk_before_it_counts(helm):
    assert "sync_interval: always" in config(rendered(helm))


def test_a_change_of_users_restarts_the_servers(helm):
    def mark(manifests: list[dict[str, Any]]) -> str:
        template = the(manifests, "StatefulSet", "gca-nats")["spec"]["template"]
        return str(template["metadata"]["annotations"]["gca/config"])

    other = {"users": USERS["users"] | {"ops": new_user().public}}

    assert mark(rendered(helm)) == mark(rendered(helm))
    assert mark(rendered(helm)) != mark(helm.template("nats", other))


@contextlib.asynccontextmanager
async def servers(helm: Helm, folder: Path, replicas: int) -> AsyncIterator[list[int]]:
    """The rendered servers, as processes on loopback; yields their client ports."""
    manifests = rendered(helm, replicas=replicas)
    ports = [free_port() for _ in range(replicas)]
    routes = [free_port() for _ in range(replicas)]
    processes = []
    try:
        for number, port in enumerate(ports):
            name = f"gca-nats-{number}"
            own = folder / name
            own.mkdir()
            text = config(manifests).replace("9Gi", "1Gi")
            for there, here in {
                "0.0.0.0:4222": f"127.0.0.1:{port}",
                "0.0.0.0:6222": f"127.0.0.1:{routes[number]}",
                'http: "0.0.0.0:8222"': "",
                "/run/nats": str(own),
                "/data": str(own / "data"),
            }.items():
                text = text.replace(there, here)
            (own / "nats.conf").write_text(text)
            env = environment(manifests, name, "12345")
            for other, route in enumerate(routes):
                where = f"gca-nats-{other}.gca-nats-headless:6222"
                env = {
                    key: value.replace(where, f"127.0.0.1:{route}") for key, value in env.items()
                }
            processes.append(
                await asyncio.create_subprocess_exec(
                    *leashed([str(binary()), "-c", str(own / "nats.conf"), "-l", str(own / "log")]),
                    env=env | {"PATH": os.environ["PATH"]},
                    stdin=asyncio.subprocess.DEVNULL,
                    process_group=0,
                )
            )
        yield ports
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def opening(
    folder: Path, ports: list[int], name: str, client: str
) -> contextlib.AbstractAsyncContextManager[Connection]:
    seed = folder / f"{name}.nk"
    keys: Keys = KEYS[name]
    seed.write_text(keys.seed)
    url = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
    return connected(url, name=client, on_closed=never_closed, access=Access(seed))


@pytest.mark.parametrize("replicas", [1, 3])
async def test_its_servers_take_the_topology_with_as_many_copies_as_there_are_servers(
    helm, tmp_path, replicas
):
    declared = topology(max_bytes=SMALL)
    async with (
        servers(helm, tmp_path, replicas) as ports,
        opening(tmp_path, ports, "topology", "gca-topology") as connection,
    ):
        async with asyncio.timeout(START_SECONDS):
            while True:
                with contextlib.suppress(AgentError):
                    await apply(connection, declared)
                    break
        assert (replicas > 1) is connection.is_clustered
        async with opening(tmp_path, ports, "ops", "gca") as operator:
            assert [] == await diff(operator, declared, replicas=replicas)
            assert [] == await diff(operator, declared)


# --- what is around it --------------------------------------------------------------------


def test_a_user_without_a_key_is_named_with_the_command_that_makes_keys(helm):
    with pytest.raises(Refused, match=r"users\.coder, users\.ops: no public key; `gca nats-users`"):
        helm.template("nats", {"users": {**USERS["users"], "coder": None, "ops": None}})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"users": {"ingest": KEYS["ingest"].seed}}, "users.ingest: must be a public nkey"),
        ({"users": {"ops": "UABC"}}, "users.ops: must be a public nkey"),
        ({"users": {"ingests": KEYS["ingest"].public}}, "ingests"),
        ({"replicas": 2}, "/replicas"),
        ({"store": {"size": "10GB"}}, "/store/size"),
        ({"store": {"sise": "10Gi"}}, "sise"),
        ({"terminationGracePeriodSeconds": 5}, "/terminationGracePeriodSeconds"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name_and_a_seed_is_not_shown(helm, values, said):
    with pytest.raises(Refused) as caught:
        helm.template("nats", merged(USERS, values))

    assert said in str(caught.value)
    assert KEYS["ingest"].seed not in str(caught.value)


def test_a_pod_is_closed_and_holds_no_seed(helm):
    manifests = rendered(helm, replicas=3)
    pod = the(manifests, "StatefulSet", "gca-nats")["spec"]["template"]["spec"]

    assert False is pod["automountServiceAccountToken"]
    assert True is pod["securityContext"]["runAsNonRoot"]
    assert {"type": "RuntimeDefault"} == pod["securityContext"]["seccompProfile"]
    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == container(manifests)["securityContext"]
    assert {} == of_kind(manifests, "Secret")
    assert "SU" not in {text[:2] for text in re.findall(r"\b[A-Z2-7]{58}\b", json.dumps(manifests))}


def test_its_image_is_pinned_and_a_digest_or_another_image_wins(helm):
    ours = {"registry": "", "repository": "gitlab-copilot-agent/nats", "tag": "test"}
    digest = "sha256:" + "0" * 64

    assert "docker.io/nats:2.15.1-alpine" == container(rendered(helm))["image"]
    assert "gitlab-copilot-agent/nats:test" == container(rendered(helm, image=ours))["image"]
    pinned = container(rendered(helm, image={"digest": digest}))["image"]
    assert f"docker.io/nats@{digest}" == pinned


def test_one_server_has_no_routes_and_needs_no_secret(helm):
    manifests = rendered(helm)

    assert "cluster {" not in config(manifests)
    assert "secretKeyRef" not in json.dumps(manifests)
    assert {} == of_kind(manifests, "PodDisruptionBudget")
    assert "lifecycle" not in container(manifests)


def test_three_servers_go_one_by_one_and_hand_over_first(helm):
    manifests = rendered(helm, replicas=3)
    stateful = the(manifests, "StatefulSet", "gca-nats")["spec"]

    assert 1 == the(manifests, "PodDisruptionBudget", "gca-nats")["spec"]["maxUnavailable"]
    assert "Parallel" == stateful["podManagementPolicy"]
    stop = container(manifests)["lifecycle"]["preStop"]["exec"]["command"]
    assert ["nats-server", "--signal", "ldm=/run/nats/nats.pid"] == stop
    assert 45 <= stateful["template"]["spec"]["terminationGracePeriodSeconds"]


def test_the_store_is_a_volume_that_outlives_the_release_unless_it_is_for_tests(helm):
    kept = the(rendered(helm), "StatefulSet", "gca-nats")["spec"]
    [claim] = kept["volumeClaimTemplates"]
    tests = the(rendered(helm, store={"ephemeral": True}), "StatefulSet", "gca-nats")["spec"]

    assert "10Gi" == claim["spec"]["resources"]["requests"]["storage"]
    assert "Retain" == kept["persistentVolumeClaimRetentionPolicy"]["whenDeleted"]
    assert "volumeClaimTemplates" not in tests
    assert "emptyDir" in {v["name"]: v for v in tests["template"]["spec"]["volumes"]}["data"]


def test_sr_17_services_reach_it_and_no_runner_does(helm):
    policy = the(rendered(helm, replicas=3), "NetworkPolicy", "gca-nats")["spec"]
    clients, routes = policy["ingress"]

    assert [4222] == [port["port"] for port in clients["ports"]]
    [peer] = clients["from"]
    [components] = peer["podSelector"]["matchExpressions"]
    assert ["ingest", "reviewer", "coder", "publisher", "topology", "ops"] == components["values"]
    assert [6222] == [port["port"] for port in routes["ports"]]
    assert "nats" == routes["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
    assert 8222 not in [port["port"] for rule in policy["ingress"] for port in rule["ports"]]


def test_who_monitors_it_is_a_value_also_one_for_all_charts(helm):
    prometheus = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}
    own = rendered(helm, networkPolicy={"monitoring": [prometheus]})
    shared = rendered(helm, **{"global": {"networkPolicy": {"monitoring": [prometheus]}}})
    off = rendered(helm, **{"global": {"networkPolicy": {"enabled": False}}})

    for manifests in (own, shared):
        rules = the(manifests, "NetworkPolicy", "gca-nats")["spec"]["ingress"]
        assert {"from": [prometheus], "ports": [{"port": 8222, "protocol": "TCP"}]} in rules
    assert {} == of_kind(off, "NetworkPolicy")


def test_the_monitoring_port_is_behind_the_headless_service_alone(helm):
    services = of_kind(rendered(helm), "Service")

    ports = {name: [p["port"] for p in one["spec"]["ports"]] for name, one in services.items()}
    assert {"gca-nats": [4222], "gca-nats-headless": [4222, 6222, 8222]} == ports


def test_the_permissions_file_has_a_value_for_each_user_in_the_schema():
    schema = json.loads((Path(__file__).parents[2] / "charts/nats/values.schema.json").read_text())

    assert list(permissions.NAMES) == list(schema["properties"]["users"]["properties"])
