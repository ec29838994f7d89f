"""What a person is told when a change does not reach its branch. Pure; called by `changes`."""

from __future__ import annotations

from libs.common.events.tasks import Outcome
from libs.common.git import errors
from libs.common.git import push_errors as push
from services.publisher.firewall import Policy
from services.publisher.replies import Reply, not_pushed
from services.publisher.wording import plain

_SENTENCES: tuple[tuple[type[errors.GitError], Outcome, str, str], ...] = (
    (
        push.BranchTaken,
        "refused",
        "branch taken",
        (
            "A branch of that name exists already and holds other work. "
            "Delete or rename it, then ask again."
        ),
    ),
    (
        push.MovedBranch,
        "refused",
        "branch moved",
        (
            "The branch got other commits meanwhile, and the change does not fit on top of them. "
            "Please look at them, and ask again if you still want it."
        ),
    ),
    (
        push.ProtectedBranch,
        "refused",
        "protected branch",
        (
            "GitLab protects that branch against the agent's pushes. "
            "Please ask in a merge request that comes from a branch of its own."
        ),
    ),
    (
        push.PatchDoesNotApply,
        "failed",
        "patch does not apply",
        "What the session handed in does not fit the commit it was made for. Please ask again.",
    ),
    (
        push.NothingToPush,
        "refused",
        "nothing to push",
        "What the session handed in leaves all files as they are. Other words may help.",
    ),
    (
        errors.RefGone,
        "refused",
        "branch gone",
        "The branch, or the commit it was asked for, is not there any more.",
    ),
    (
        errors.AuthFailed,
        "failed",
        "token refused",
        (
            "GitLab does not let the agent push there. An operator should look at GITLAB_TOKEN: it "
            "needs the scope api or write_repository, and the role Developer."
        ),
    ),
)


def declined(error: errors.GitError, policy: Policy) -> Reply:
    """The reply for any failure that another try does not heal; first match wins."""
    if isinstance(error, push.ChangeRefused):
        refusal = error.refusal
        return not_pushed("refused", f"patch policy: {refusal.rule}", refusal.sentence)
    for kind, outcome, why, sentence in _SENTENCES:
        if isinstance(error, kind):
            return not_pushed(outcome, why, sentence)
    if isinstance(error, push.PushDeclined):
        said = plain(error.said or str(error), policy).rstrip(".")
        return not_pushed("failed", "push declined", f"GitLab did not take the push: {said}.")
    return not_pushed(
        "failed", "git failed", "git failed on the agent's side; an operator finds it by the task."
    )
