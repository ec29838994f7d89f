"""Which ends of a Job another launch would only repeat, as long as the settings are the same."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.common.launching import exits
from libs.common.launching.kubernetes.finality import ends_the_same
from libs.common.launching.kubernetes.manifest import job_manifest
from libs.common.launching.kubernetes.pod import SecretKey, octets
from libs.common.launching.kubernetes.pods import Pods
from libs.common.launching.protocol import Job
from tests.unit.launching.kubernetes_examples import PLAIN, launch, pod

MANIFEST = job_manifest(launch(), PLAIN, started_at=0.0)


def ended(reason: str, code: int = 137, step: str = "run") -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": reason}}
    group = "initContainerStatuses" if step == "clone" else "containerStatuses"
    return pod({"phase": "Failed", group: [{"name": step, "state": state}]})


def waits(reason: str) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": "said"}}
    return pod({"phase": "Pending", "initContainerStatuses": [{"name": "clone", "state": state}]})


@pytest.mark.parametrize(
    ("of", "final"),
    [
        (ended("OOMKilled"), True),
        (ended("OOMKilled", step="clone"), True),
        (ended("Error"), False),
        (ended("Error", code=70), False),
        (waits("InvalidImageName"), True),
        (waits("ErrImagePull"), True),
        (waits("ImagePullBackOff"), True),
        (waits("CreateContainerConfigError"), True),
        (waits("CreateContainerError"), False),
        (waits("ContainerCreating"), False),
    ],
)
def test_what_a_repeat_would_not_mend_is_final(of, final):
    assert final == ends_the_same(MANIFEST, Pods(here=(of,)), PLAIN)
    assert final == ends_the_same(MANIFEST, Pods(gone=(of,)), PLAIN)


def test_a_pod_that_no_node_takes_may_find_one_at_the_next_launch():
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    unscheduled = pod({"phase": "Pending", "conditions": [condition]})

    assert not ends_the_same(MANIFEST, Pods(here=(unscheduled,)), PLAIN)


@pytest.mark.parametrize(
    ("of", "mended"),
    [
        (ended("OOMKilled"), {"memory": "2Gi"}),
        (waits("ImagePullBackOff"), {"image": "runner:2"}),
        (
            waits("CreateContainerConfigError"),
            {"secrets": {"GITLAB_READ_TOKEN": SecretKey(name="other", key="token")}},
        ),
    ],
)
def test_a_setting_that_was_mended_is_worth_another_launch(of, mended):
    settings = msgspec.structs.replace(PLAIN, **mended)

    assert not ends_the_same(MANIFEST, Pods(here=(of,)), settings)


def test_the_same_limit_in_the_apis_own_writing_is_the_same():
    settings = msgspec.structs.replace(PLAIN, memory="1024Mi")

    assert ends_the_same(MANIFEST, Pods(here=(ended("OOMKilled"),)), settings)
    assert (2**30, 5 * 10**8, None) == (octets("1024Mi"), octets("500M"), octets("12"))


def test_the_newest_pods_end_counts():
    lost, newest = ended("OOMKilled"), ended("Error", code=70)

    assert not ends_the_same(MANIFEST, Pods(gone=(lost,), here=(newest,)), PLAIN)


def test_a_job_whose_launcher_knows_it_is_not_launched_again():
    killed = Job(job_name="a", task_id="a", phase="exited", exit_code=137)

    assert not exits.is_final(killed)
    assert exits.is_final(msgspec.structs.replace(killed, final=True))
