"""The patch policy: what a proposed change may do to a repository (SR-32, SR-34). Pure.

Called by the publisher through `libs.common.git.change`, twice: with the patch before git reads it,
and with the tree that would be committed. Both must pass; the tree is what counts, since a patch
can lie about it.
"""

from __future__ import annotations

from services.publisher.patches.names import is_protected_path, name_problem
from services.publisher.patches.policy import MAINTAINER, PatchPolicy
from services.publisher.patches.text import PatchText, UnreadablePatch, read_patch

__all__ = [
    "MAINTAINER",
    "PatchPolicy",
    "PatchText",
    "UnreadablePatch",
    "is_protected_path",
    "name_problem",
    "read_patch",
]
