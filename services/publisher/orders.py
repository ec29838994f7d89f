"""From a proposed change to the order for one commit: what it says, where it goes, by which rules.

Pure; called by `changes`. Targets come from the request only, the result brings content (SR-35).
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from libs.common.errors import Permanent
from libs.common.events.tasks import ChangesProposed, PushTarget, Requester, TaskRequested
from libs.common.git.change import PushOrder
from libs.common.git.commit import CommitText
from services.publisher.firewall import SUMMARY_CHARS, Policy, bare
from services.publisher.firewall.policy import PROTECTED_PATHS
from services.publisher.patches import PatchPolicy
from services.publisher.rules import Rules

_PUSH_SECONDS = 300.0
_SUBJECT_CHARS = 100


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A change, its patch at hand; `at` is when its event was appended, the same on every read."""

    result: ChangesProposed
    patch: bytes
    at: datetime


def target_of(request: TaskRequested) -> PushTarget:
    """Where the commit goes; raises `Permanent` when the task may not push at all."""
    if request.push is None:
        raise Permanent(f"task {request.task_id} has no branch to push to")
    return request.push


def push_order(
    proposal: Proposal, request: TaskRequested, rules: Rules, policy: Policy
) -> PushOrder:
    """The same order each time it is made, so that the commit is the same, too."""
    target = target_of(request)
    name = hashlib.sha256(request.task_id.encode()).hexdigest()[:20]
    return PushOrder(
        folder=rules.clones / f"push-{name}",
        clone_url=target.clone_url,
        branch=target.branch,
        new_branch=target.new_branch,
        base_sha=request.head_sha,
        patch=proposal.patch,
        commit=_commit_text(proposal, request, rules, policy),
        task_id=request.task_id,
        never_to=target.never_to,
        push_options=rules.push_options,
        timeout=_PUSH_SECONDS,
        ca_bundle=rules.ca_bundle,
        allow_http=rules.allow_http,
        allow_file=rules.allow_file,
    )


def patch_policy(request: TaskRequested, rules: Rules, ci_files: tuple[str, ...]) -> PatchPolicy:
    """What this person's change may touch (SR-32)."""
    return PatchPolicy(
        protected_paths=(*PROTECTED_PATHS, *rules.protected_paths),
        ci_includes=ci_files,
        allow_protected=rules.allow_protected,
        requester_access=request.requester.access_level if request.requester else 0,
    )


def asked_by(requester: Requester | None) -> str:
    """The person, as a trailer and an audit line name them (SR-36)."""
    if requester is None:
        return "nobody"
    account = (
        f"GitLab user {requester.user_id}"
        if requester.user_id
        else f"Jira account {requester.account_id}"
    )
    return f"{requester.name} ({account})"


def _commit_text(
    proposal: Proposal, request: TaskRequested, rules: Rules, policy: Policy
) -> CommitText:
    result = proposal.result
    subject = bare(
        result.subject.partition("\n")[0],
        policy=msgspec.structs.replace(policy, max_chars=_SUBJECT_CHARS),
    )
    body = bare(result.summary, policy=msgspec.structs.replace(policy, max_chars=SUMMARY_CHARS))
    by = bare(asked_by(request.requester), policy=policy)
    return CommitText(
        author=rules.author,
        when=int(proposal.at.timestamp()),
        subject=subject.text,
        body=body.text,
        trailers=(("Requested-by", by.text),),
    )
