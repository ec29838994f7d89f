"""How a change can fail to reach its branch, and what a server says to a push, as decisions.

Raised by `change`; the publisher turns them into a reply. None of them is worth a second try with
the same order, except `MaybePushed`: look again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from libs.common.errors import Permanent, Temporary, cut
from libs.common.git.command import Ended
from libs.common.git.errors import AuthFailed, GitError, HostAway, RefGone, failure, scrub
from libs.common.git.tree import PatchRefusal


class ChangeRefused(GitError, Permanent):
    """The policy said no; nothing was committed or pushed."""

    def __init__(self, refusal: PatchRefusal) -> None:
        super().__init__(refusal.sentence)
        self.refusal = refusal


class PatchDoesNotApply(GitError, Permanent):
    """The patch does not fit the commit it should go on."""


class NothingToPush(GitError, Permanent):
    """The patch leaves the tree as it is."""


class MovedBranch(GitError, Permanent):
    """The branch is not where the order expects it; `tip` is where it is, empty when not known."""

    def __init__(self, reason: str, *, tip: str = "") -> None:
        super().__init__(reason)
        self.tip = tip


class BranchTaken(MovedBranch):
    """A branch that should be new exists, and holds nothing of this task."""


class PushDeclined(GitError, Permanent):
    """The server does not let us push there; `said` are its words, safe to show."""

    def __init__(self, reason: str, *, said: str = "") -> None:
        super().__init__(reason)
        self.said = said


class ProtectedBranch(PushDeclined):
    """A protected branch, by our list or by the server's rules."""


class MaybePushed(GitError, Temporary):
    """No answer to the push: the same order again finds out, and pushes nothing twice."""

    maybe_done = True


_MOVED = (
    "stale info",
    "fetch first",
    "non-fast-forward",
    "already exists",
    "cannot lock ref",
    "failed to update ref",
    "incorrect old value",
)
_STATUS = re.compile(r"^!\t[^\t]*\t\[([a-z ]+)\](?: \((.*)\))?$", re.MULTILINE)
_DECORATION = re.compile(r"^(?:GitLab:|error:|=+|\*+)\s*")


def push_failure(ended: Ended, *, what: str, secrets: Iterable[str] = ()) -> GitError:
    """The error that an ended `git push --porcelain` stands for. Pure."""
    secrets = tuple(secrets)
    stderr = ended.stderr.decode(errors="replace")
    said = server_words(stderr, secrets)
    status = _STATUS.search(ended.stdout.decode(errors="replace"))
    if status:
        return _refused(status[1], status[2] or "", said=said, what=what)
    if "does not support push options" in stderr:
        return PushDeclined(f"{what}: the server takes no push options; set PUSH_CI_SKIP=false")
    error = failure(stderr, what=what, secrets=secrets)
    if isinstance(error, AuthFailed):
        return token_refused(what, said)
    if isinstance(error, RefGone):
        return error
    # Whatever else it was, it may have been after the server had everything.
    return MaybePushed(
        str(error), delay=15.0, peer="gitlab" if isinstance(error, HostAway) else None
    )


def token_refused(what: str, said: str = "") -> AuthFailed:
    """The publisher's token is another than the one `errors` tells about."""
    hint = f" ({said})" if said else ""
    return AuthFailed(
        f"{what}: GitLab refused the token; check GITLAB_TOKEN (write_repository){hint}"
    )


def server_words(stderr: str, secrets: Iterable[str] = ()) -> str:
    """What the server itself said, on one line and without its decoration."""
    remote = (
        line.strip().removeprefix("remote:").strip()
        for line in stderr.splitlines()
        if line.strip().startswith("remote:")
    )
    plain = (_DECORATION.sub("", line).strip() for line in remote)
    return cut(scrub(" ".join(line for line in plain if line), secrets), 200)


def _refused(kind: str, reason: str, *, said: str, what: str) -> GitError:
    if kind == "remote failure":
        return MaybePushed(f"{what}: the server did not say how it ended", delay=15.0)
    # A branch named like a folder of the new one: it will be in the way next time, too.
    in_the_way = "cannot create" in said
    if any(words in reason for words in _MOVED) and not in_the_way:
        return MovedBranch(f"{what}: the branch moved meanwhile")
    if kind == "rejected":
        return PushDeclined(f"{what}: git did not push ({cut(reason, 100)})")
    words = said or cut(reason, 100) or "no reason given"
    meant = "protected branch" in f"{said} {reason}".lower()
    declined = ProtectedBranch if meant else PushDeclined
    return declined(f"{what}: GitLab declined it: {words}", said=words)
