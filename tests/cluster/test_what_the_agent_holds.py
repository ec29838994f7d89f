"""SR-16, SR-17, SR-18, SR-21: what is in the pod of a running session, and what its shell sees."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.cluster.installed import PATIENCE, STORY, Installed, is_running
from tests.cluster.people import Opened

pytestmark = STORY
LOOK = r"""
import json, os, pathlib
seen = {"environment": dict(os.environ), "mounts": pathlib.Path("/proc/mounts").read_text()}
seen["uid"] = os.getuid()
seen["status"] = pathlib.Path("/proc/self/status").read_text()
for path in pathlib.Path("/proc").glob("[0-9]*/*"):
    # This process itself has the environment of the pod's spec, as whoever may exec gets it.
    if path.name in ("environ", "cmdline") and path.parent.name != str(os.getpid()):
        try:
            seen[str(path)] = path.read_bytes().decode("utf-8", "replace")
        except OSError as error:
            seen[str(path)] = type(error).__name__
files = {}
for top in ("/work", "/tmp", "/etc/gca", "/var/run/secrets", "/run", "/home", "/root"):
    for folder, _, names in os.walk(top):
        for name in names:
            path = pathlib.Path(folder, name)
            try:
                files[str(path)] = path.read_bytes()[:200_000].decode("utf-8", "replace")
            except OSError as error:
                files[str(path)] = type(error).__name__
seen["files"] = files
seen["writable"] = [
    top for top in ("/", "/app", "/opt", "/etc", "/usr", "/var", "/work", "/tmp")
    if os.access(top, os.W_OK)
]
print(json.dumps(seen))
"""


async def hanging_session(system: Installed) -> tuple[Opened, dict[str, Any]]:
    """A coding session whose model does not answer, and its pod."""
    mr = await system.gitlab.draft()
    await system.gitlab.comment(mr, "/copilot SCRIPT: hang")
    return mr, await system.pod_of(await system.task_of(mr), is_running)


async def looked(system: Installed) -> tuple[dict[str, Any], str]:
    """The pod of such a session, and what is seen from its container `run`."""
    mr, pod = await hanging_session(system)
    name = pod["metadata"]["name"]
    try:
        return pod, await system.kubectl("exec", name, "-c", "run", "--", "python", "-c", LOOK)
    finally:
        await system.gitlab.close(mr)


async def test_sr_16_sr_17_a_running_agent_container_holds_no_login_of_gitlab_jira_hooks_or_nats(
    system,
):
    _, said = await looked(system)
    seen = json.loads(said)
    assert "/work/repo" in said, "the clone was not seen, so nothing is shown by this"
    others = {key: value for key, value in system.logins.items() if "canary" in value}
    for of, secret in others.items():
        text = json.dumps(seen | {"environment": {}}) if of == "model" else said
        assert secret not in text, f"the login {of} shows"
    assert "SU" not in seen["files"].get("/etc/gca/nats/nats.nk", "")
    assert [] == [path for path in seen["files"] if "/etc/gca/" in path and "/ca/" not in path]
    assert [] == [path for path in seen["files"] if "serviceaccount" in path]
    assert "serviceaccount" not in seen["mounts"]
    assert not [key for key in seen["environment"] if key.startswith(("NATS", "JIRA", "GITLAB"))]


async def test_sr_21_the_running_container_is_as_small_as_its_spec_says(system):
    pod, said = await looked(system)
    seen = json.loads(said)
    status = dict(line.split(":\t", 1) for line in seen["status"].splitlines() if ":\t" in line)
    assert 10001 == seen["uid"]
    assert ["/work", "/tmp"] == seen["writable"]
    assert ("0" * 16, "0" * 16) == (status["CapEff"].strip(), status["CapBnd"].strip())
    assert ("1", "2") == (status["NoNewPrivs"].strip(), status["Seccomp"].strip())
    spec = pod["spec"]
    assert False is spec["automountServiceAccountToken"]
    limits = {"cpu", "memory", "ephemeral-storage"}
    for container in (*spec["initContainers"], *spec["containers"]):
        assert limits <= set(container["resources"]["limits"])


async def test_sr_18_a_coding_session_s_shell_sees_no_login_at_all_not_even_the_model_s(system):
    mr = await system.gitlab.draft()
    note = await system.gitlab.comment(mr, "/copilot SCRIPT: look")
    pod = await system.pod_of(await system.task_of(mr))
    await system.answer_to(mr, note, seconds=PATIENCE)

    bodies = await system.model.seen("requests?about=SCRIPT:+look")
    loot = "\n".join(str(one) for body in bodies for one in body["messages"])
    assert "PATH=" in loot, "the shell told nothing, so nothing is shown by this"
    assert re.search(r"memory of \d+", loot), "no process was looked into: nothing is shown"
    for of, secret in system.logins.items():
        assert not ("canary" in secret and secret in loot), f"the shell sees the login {of}"
    token = next(
        one["value"]
        for one in pod["spec"]["containers"][0]["env"]
        if one["name"] == "GCA_TASK_TOKEN"
    )
    assert token not in loot, "the shell sees the task's token"


async def test_a_closed_merge_request_ends_its_job_and_pod_within_seconds(system):
    mr, pod = await hanging_session(system)

    await system.gitlab.close(mr)

    async def gone() -> bool:
        pods = await system.kubectl.pods("runner")
        return pod["metadata"]["name"] not in {one["metadata"]["name"] for one in pods}

    await system.kubectl.until(gone, "the pod to be on its way out", seconds=20)
