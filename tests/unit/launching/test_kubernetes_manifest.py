"""The Job's manifest: golden files, and the rules that no setting may break (SR-16, 18, 21)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from libs.common.launching import contract
from libs.common.launching.kubernetes.manifest import SLACK_SECONDS, job_manifest
from libs.common.launching.kubernetes.pod import PodSettings, SecretKey, selector
from tests.unit.launching.kubernetes_examples import FULL, PLAIN, launch

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "jobs"
STARTED_AT = 1767603600.0
CASES = {
    "review": (launch(), PLAIN),
    "coding": (launch("coding", "coding-SHOP-12-10042"), FULL),
}
EVERY_SECRET = {
    name: SecretKey(name="s", key="k")
    for name in ("GITLAB_READ_TOKEN", "GITHUB_TOKEN", "COPILOT_PROVIDER_API_KEY")
}


def made(case: str = "review", **changes: object) -> dict:
    order, settings = CASES[case]
    return job_manifest(order, msgspec.structs.replace(settings, **changes), started_at=STARTED_AT)


def pod_of(manifest: dict) -> dict:
    return manifest["spec"]["template"]["spec"]


def containers(manifest: dict) -> dict[str, dict]:
    pod = pod_of(manifest)
    return {each["name"]: each for each in (*pod["initContainers"], *pod["containers"])}


def environment(manifest: dict, step: str) -> dict[str, str]:
    return {
        each["name"]: each.get("value", "(secret)") for each in containers(manifest)[step]["env"]
    }


@pytest.mark.parametrize("case", CASES)
def test_golden_job(case):
    path = GOLDEN / f"{case}.json"
    text = json.dumps(made(case), indent=2) + "\n"
    if os.environ.get("GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    assert path.read_text(encoding="utf-8") == text


def test_sr_16_each_step_sees_its_own_secrets_and_no_other():
    manifest = made(secrets=EVERY_SECRET)
    seen = {
        step: {e["name"] for e in containers(manifest)[step]["env"] if "valueFrom" in e}
        for step in ("clone", "run")
    }

    assert seen == {
        "clone": {"GITLAB_READ_TOKEN"},
        "run": {"GITHUB_TOKEN", "COPILOT_PROVIDER_API_KEY"},
    }


def test_sr_16_settings_of_one_step_do_not_reach_the_other():
    names = {name for step in contract.STEP_SETTINGS.values() for name in step}
    manifest = made(secrets={}, values=dict.fromkeys(names, "x") | {"NATS_URL": "nats://n"})

    for step in get_args(contract.Step):
        others = names - set(contract.STEP_SETTINGS[step])
        assert set(environment(manifest, step)) & (others | {"NATS_URL"}) == set()


def test_sr_16_no_pod_gets_a_service_account_token_or_links_to_services():
    pod = pod_of(made("coding"))

    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert "serviceAccountName" not in pod
    assert {next(iter(v.keys() - {"name"})) for v in pod["volumes"]} == {"emptyDir", "configMap"}


@pytest.mark.parametrize("case", CASES)
def test_sr_21_the_pod_has_no_rights_and_bounded_resources(case):
    manifest = made(case)
    pod = pod_of(manifest)

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & set(pod)
    for each in containers(manifest).values():
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
        }
        assert set(each["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}
        assert set(each["resources"]["requests"]) == {"cpu", "memory", "ephemeral-storage"}
    for volume in pod["volumes"]:
        assert volume.get("configMap") or volume["emptyDir"]["sizeLimit"]


def test_sr_21_a_job_ends_and_goes_by_itself():
    spec = made()["spec"]

    assert spec["activeDeadlineSeconds"] == launch().timeout + SLACK_SECONDS
    assert spec["ttlSecondsAfterFinished"] == 600


def test_only_a_pod_that_the_cluster_took_away_is_made_anew():
    spec = made()["spec"]

    assert spec["backoffLimit"] == 0
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore", "FailJob"]
    assert spec["podFailurePolicy"]["rules"][0]["onPodConditions"] == [{"type": "DisruptionTarget"}]


def test_the_service_s_watch_finds_its_jobs_and_their_pods_and_no_other_s():
    manifest = made()
    wanted = dict(each.split("=") for each in selector("reviewer").split(","))

    for labels in (
        manifest["metadata"]["labels"],
        manifest["spec"]["template"]["metadata"]["labels"],
    ):
        assert wanted.items() <= labels.items()
    assert selector("coder") != selector("reviewer")


def test_job_and_pod_lead_to_the_task():
    manifest = made()
    meta = manifest["metadata"]

    assert meta["annotations"]["gca/task-id"] == launch().task_id
    assert meta["annotations"]["gca/task-subject"] == f"task.*.*.*.{launch().task_id}"
    assert meta["labels"]["gca/task-id"] == launch().task_id
    assert manifest["spec"]["template"]["metadata"] == {
        "labels": meta["labels"],
        "annotations": meta["annotations"],
    }


def test_an_id_that_is_no_label_is_an_annotation_only():
    order = launch("review", "review-" + "x" * 80)
    meta = job_manifest(order, PLAIN, started_at=STARTED_AT)["metadata"]

    assert "gca/task-id" not in meta["labels"]
    assert meta["annotations"]["gca/task-id"] == order.task_id


def test_sr_18_the_pod_is_the_wall_of_the_step_run_only():
    assert environment(made(), "run")["GCA_WALL"] == "pod"
    assert "GCA_WALL" not in environment(made(), "clone")


def test_both_steps_share_the_deadline_and_the_folder():
    for step in ("clone", "run"):
        told = environment(made(), step)
        assert told["GCA_STARTED_AT"] == str(STARTED_AT)
        assert told["GCA_TASK_TIMEOUT"] == "1800"
        assert told["GCA_WORK_DIR"] == "/work"
        assert told["HOME"] == "/work/home"


def test_proxies_reach_only_the_step_that_speaks_to_the_model():
    manifest = made("coding")

    assert environment(manifest, "run")["HTTPS_PROXY"] == "http://proxy.example.com:3128"
    assert environment(manifest, "run")["NO_PROXY"] == "model.example.com"
    assert not {"HTTPS_PROXY", "NO_PROXY"} & set(environment(manifest, "clone"))


def test_a_dollar_in_a_value_is_a_dollar():
    assert environment(made("coding"), "run")["PRICE"] == "$$(HOME)"


def test_the_authorities_are_a_file_for_both_steps_and_read_only():
    manifest = made("coding")
    for step in ("clone", "run"):
        assert environment(manifest, step)["CA_BUNDLE"] == "/etc/gca/ca/ca.crt"
        [mount] = [m for m in containers(manifest)[step]["volumeMounts"] if m["name"] == "ca"]
        assert mount == {"name": "ca", "mountPath": "/etc/gca/ca", "readOnly": True}
    assert "CA_BUNDLE" not in environment(made(), "run")


@pytest.mark.parametrize(
    ("limit", "request_"), [("1", "250m"), ("500m", "125m"), ("1.5", "375m"), ("1m", "1m")]
)
def test_a_quarter_of_the_processor_time_is_reserved(limit, request_):
    for each in containers(made(cpu=limit)).values():
        assert each["resources"]["requests"]["cpu"] == request_


def test_the_smallest_settings_make_a_job():
    manifest = job_manifest(
        launch(), PodSettings(source="reviewer", image="runner:1"), started_at=STARTED_AT
    )
    assert not {"imagePullSecrets", "hostAliases", "nodeSelector"} & set(pod_of(manifest))
