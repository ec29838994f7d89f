"""Decides whether a finding's suggestion may become a one-click change (SR-29).

Called by `render`. The code is published byte for byte or not at all.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from libs.common.diff import Refusal, suggestion_fence
from libs.common.events.tasks import Finding
from services.publisher.firewall import quick_actions
from services.publisher.firewall.inline import defuse_marker
from services.publisher.firewall.invisible import normal_lines, visible
from services.publisher.firewall.policy import Policy
from services.publisher.firewall.secrets import find_secret


def suggestion_block(finding: Finding, policy: Policy) -> str | None:
    """The fence to put below the comment; None when the suggestion has to be dropped.

    Only lines of the finding itself, on the new side, at a position in the diff.
    """
    if finding.suggestion is None or finding.position is None or finding.side != "new":
        return None
    start = finding.line if finding.suggestion_start is None else finding.suggestion_start
    end = finding.end_line if finding.suggestion_end is None else finding.suggestion_end
    anchor = finding.position.end.new_line
    if anchor is None or not finding.line <= start <= end <= finding.end_line:
        return None
    paths = (finding.file, finding.position.new_path, finding.position.old_path)
    if finding.file not in paths[1:] or any(is_protected(p, policy) for p in paths):
        return None
    code = normal_lines(finding.suggestion)
    if not is_publishable(code, policy):
        return None
    fence = suggestion_fence(code, anchor_end=anchor, start=start, end=end)
    return None if isinstance(fence, Refusal) else fence


def is_protected(path: str, policy: Policy) -> bool:
    """By the whole path, whatever the case of its letters; a bare name counts in every folder."""
    folded = path.casefold().removeprefix("./")
    name = PurePosixPath(folded).name
    return any(
        fnmatchcase(folded, rule) or ("/" not in rule and fnmatchcase(name, rule))
        for rule in (pattern.casefold().replace("**", "*") for pattern in policy.protected_paths)
    )


def is_publishable(code: str, policy: Policy) -> bool:
    """Code that no step of the firewall would have to touch."""
    if len(code) > policy.max_chars or visible(code) != code or defuse_marker(code) != code:
        return False
    if find_secret(code, policy.secrets) is not None:
        return False
    long_fence = "```" in code
    return not (
        long_fence and any(quick_actions.starts_command_in_code(line) for line in code.split("\n"))
    )
