"""Why a Job ended, or cannot begin, from what the API says of it and its pods."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.common.launching import exits
from libs.common.launching.contract import ExitCode
from libs.common.launching.kubernetes.pods import Pods
from libs.common.launching.kubernetes.reasons import Verdict, judge
from libs.common.launching.protocol import Job
from tests.unit.launching.kubernetes_examples import NOW, failed, job, moment, pod, step

PATIENCE = timedelta(minutes=3)
LONG = timedelta(minutes=4)
SHORT = timedelta(minutes=1)


def verdict(of: dict, *here: dict, gone: tuple[dict, ...] = (), **more: object) -> Verdict:
    return judge(of, Pods(here=here, gone=gone, **more), now=NOW, patience=PATIENCE)


def terminated(name: str, code: int, reason: str = "Error", message: str = "") -> dict:
    state = {"exitCode": code, "reason": reason, "message": message}
    return {"phase": "Failed", **step(name, terminated=state)}


def test_a_complete_job_finished():
    done = {"type": "Complete", "status": "True"}

    assert verdict(job(condition=done)) == Verdict(
        phase="exited", reason="run finished", exit_code=0
    )


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        (terminated("run", 70), "run failed by an internal error, see its log", 70),
        (terminated("clone", 13), "clone failed and said so at the task door", 13),
        (terminated("run", 3), "run ended with exit code 3", 3),
        (terminated("run", 139), "run was killed by signal 11", 139),
        (terminated("run", 143), "run was stopped", 143),
        (
            terminated("run", 137, "OOMKilled"),
            "run was killed because it needed more than 1Gi of memory; raise K8S_JOB_MEMORY_LIMIT",
            137,
        ),
        (
            terminated("clone", 128, "StartError", 'exec: "python": not found'),
            'clone could not be started from K8S_JOB_IMAGE: exec: "python": not found',
            None,
        ),
        (
            {
                "phase": "Failed",
                "reason": "Evicted",
                "message": "Pod ephemeral local storage usage exceeds the total limit of "
                "containers 2Gi.",
            },
            (
                "was ended because it used more disk than it may: Pod ephemeral local storage "
                "usage exceeds the total limit of containers 2Gi; raise K8S_JOB_STORAGE_LIMIT"
            ),
            None,
        ),
        (
            {
                "phase": "Failed",
                "reason": "Evicted",
                "message": 'Usage of EmptyDir volume "work" exceeds the limit "2Gi".',
            },
            (
                'was ended because it used more disk than it may: Usage of EmptyDir volume "work" '
                'exceeds the limit "2Gi"; raise K8S_JOB_STORAGE_LIMIT'
            ),
            None,
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."},
            "was evicted from its node: The node was low on memory",
            None,
        ),
        (
            {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no device"},
            "its pod failed: UnexpectedAdmissionError: no device",
            None,
        ),
    ],
)
def test_a_failed_job_ends_with_its_pod_s_reason(status, reason, code):
    found = verdict(job(condition=failed()), pod(status))

    assert (found.phase, found.reason, found.exit_code) == ("exited", reason, code)


def test_a_pod_that_is_gone_still_tells_why():
    found = verdict(job(condition=failed()), gone=(pod(terminated("run", 70)),))

    assert found.exit_code == 70


def test_the_newest_pod_counts():
    older, newer = pod(terminated("run", 70), age=LONG), pod(terminated("run", 11), age=SHORT)

    assert verdict(job(condition=failed()), older, newer).exit_code == 11


def test_a_pod_that_the_cluster_ended_is_no_fault_of_the_step():
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    found = verdict(
        job(condition=failed()), pod({**terminated("run", 137), "conditions": [condition]})
    )

    assert found.exit_code is None
    assert "EvictionByEvictionAPI" in found.reason


def test_a_failed_job_whose_pod_has_said_nothing_is_unsure():
    found = verdict(job(condition=failed("BackoffLimitExceeded", "it failed")), pod({}))

    assert found.unsure
    assert found.reason == "its pod is gone without a word: BackoffLimitExceeded: it failed"


def test_a_job_past_its_deadline_is_final_and_names_the_setting():
    found = verdict(job(condition=failed("DeadlineExceeded")), pod({"phase": "Running"}))

    assert found == Verdict(
        phase="exited",
        reason="was ended at the deadline of 1830 seconds (K8S_JOB_TIMEOUT)",
        exit_code=exits.DEADLINE,
    )
    ended = Job(job_name="x", task_id="y", phase="exited", exit_code=found.exit_code)
    assert exits.is_final(ended)
    assert exits.failure_reason(ended) == "timeout"


def test_a_deadline_before_the_start_says_what_was_waited_for():
    waiting = {"reason": "ContainerCreating"}
    late = verdict(
        job(condition=failed("DeadlineExceeded")),
        gone=(pod({"phase": "Pending", **step("clone", waiting=waiting)}),),
    )
    podless = verdict(job(condition=failed("DeadlineExceeded")))

    assert "before it started" in late.reason
    assert "K8S_JOB_CA_CONFIGMAP" in late.reason
    assert "no pod was made for it" in podless.reason


UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient memory.",
        }
    ],
}


def waits(reason: str, message: str = "") -> dict:
    return {"phase": "Pending", **step("clone", waiting={"reason": reason, "message": message})}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (waits("ErrImagePull", "manifest unknown"), ("K8S_JOB_IMAGE", "manifest unknown")),
        (waits("ImagePullBackOff", 'Back-off pulling image "x"'), ("K8S_JOB_IMAGE", "Back-off")),
        (
            waits("CreateContainerConfigError", 'secret "gca-model" not found'),
            ("K8S_JOB_SECRETS", "gca-model"),
        ),
        (waits("CreateContainerError", "no such file"), ("clone cannot be started", "no such")),
        (UNSCHEDULABLE, ("Insufficient memory", "K8S_JOB_MEMORY_LIMIT", "K8S_JOB_NODE_SELECTOR")),
    ],
)
def test_what_a_job_waits_for_is_told_at_first_and_ends_it_later(status, words):
    early = verdict(job(age=SHORT), pod(status, age=SHORT))
    late = verdict(job(age=LONG), pod(status, age=LONG))

    assert (early.phase, late.phase) == ("running", "exited")
    assert late.exit_code is None
    for word in words:
        assert word in early.waits_for
        assert word in late.reason
    assert not exits.is_final(Job(job_name="x", task_id="y", phase="exited"))


def test_what_takes_a_few_seconds_is_no_trouble():
    assert verdict(job(age=timedelta(seconds=4))) == Verdict(phase="running")
    assert verdict(job(), pod(waits("ErrImagePull"), age=timedelta(seconds=4))) == Verdict(
        phase="running"
    )


def test_an_image_that_can_never_be_one_ends_the_job_at_once():
    found = verdict(job(), pod(waits("InvalidImageName", "couldn't parse image name")))

    assert found.phase == "exited"
    assert "K8S_JOB_IMAGE is no name of an image" in found.reason


def test_a_job_without_a_pod_waits_from_when_the_last_one_went():
    assert verdict(job(age=LONG)).phase == "exited"
    assert "quota" in verdict(job(age=LONG)).reason
    assert verdict(job(age=LONG), none_since=NOW - SHORT).phase == "running"


def test_a_running_pod_runs_however_long():
    assert verdict(job(age=LONG), pod({"phase": "Running"}, age=LONG)) == Verdict(phase="running")


def test_a_pod_that_should_have_gone_long_ago_is_lost_with_its_node():
    lost = pod({"phase": "Running"}, age=LONG, deletionTimestamp=moment(timedelta(seconds=40)))
    going = pod({"phase": "Running"}, age=LONG, deletionTimestamp=moment(timedelta(seconds=10)))

    found = verdict(job(age=LONG), lost)
    assert (found.phase, found.exit_code) == ("exited", None)
    assert found.reason == "its pod is lost: node node-7 does not answer any more"
    assert verdict(job(age=LONG), going).phase == "running"


def test_no_reason_is_longer_than_a_line_of_the_log():
    found = verdict(job(age=LONG), pod(waits("ErrImagePull", "x" * 9000), age=LONG))

    assert len(found.reason) <= 256


def test_every_named_exit_code_has_words():
    for code in ExitCode:
        found = verdict(job(condition=failed()), pod(terminated("run", code or 1)))
        assert found.reason
