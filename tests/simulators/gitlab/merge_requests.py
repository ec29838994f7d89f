"""The life of a merge request: open, new versions after pushes, close, reopen, merge, edit.

Called by the REST endpoints, by quick actions, by git pushes and by the control side; each
change is stored, noted as GitLab notes it, and told to the webhooks.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from . import events, hook_bodies
from .pipelines import start_for_merge_request
from .positions import Refreshed, trace
from .repository import EMPTY_TREE, ZERO_SHA
from .state import (
    STATE_IDS,
    DiffVersion,
    MergeRequest,
    Note,
    new_discussion_id,
    without_draft,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .state import Project, User
    from .world import World

TOUCH_INTERVAL = timedelta(minutes=1)


def open_merge_request(  # the fields of the form
    world: World,
    author: User,
    *,
    source_project: Project,
    project: Project,
    source_branch: str,
    target_branch: str,
    title: str,
    description: str = "",
    allow_collaboration: bool = False,
    labels: Iterable[str] = (),
) -> MergeRequest:
    """Store it, give it its first version, and fire `open` when GitLab would."""
    now = world.clock.now()
    iid = max(project.merge_requests, default=0) + 1
    merge_request = MergeRequest(
        id=world.next_id(),
        iid=iid,
        project=project,
        source_project=source_project,
        source_branch=source_branch,
        target_branch=target_branch,
        title=title,
        description=description,
        author=author,
        created_at=now,
        updated_at=now,
        labels=list(labels),
        # GitLab keeps the flag of forks only.
        allow_collaboration=allow_collaboration and source_project is not project,
    )
    project.merge_requests[iid] = merge_request
    visible = now + timedelta(seconds=world.settings.prepare_delay)
    add_version(world, merge_request, visible_at=visible)
    start_for_merge_request(world, merge_request, author)
    if world.settings.hook_before_diff:
        events.merge_request_event(world, merge_request, author, "open", _opened(merge_request))
        _prepare_later(world, merge_request, author, fire=False)
    else:
        _prepare_later(world, merge_request, author, fire=True)
    return merge_request


def _opened(merge_request: MergeRequest) -> dict[str, Any]:
    return {"title": {"previous": "", "current": merge_request.title}}


def _prepare_later(world: World, merge_request: MergeRequest, user: User, *, fire: bool) -> None:
    version = merge_request.versions[-1]

    def prepare() -> None:
        created = merge_request.created_at
        merge_request.prepared_at = merge_request.updated_at = world.clock.now()
        changes = {
            "merge_status": {"previous": "preparing", "current": "checking"},
            "updated_at": _times(world, created, merge_request.updated_at),
            "prepared_at": _times(world, None, merge_request.prepared_at),
        }
        if fire:
            events.merge_request_event(world, merge_request, user, "open", changes)

    async def wait() -> None:
        await world.clock.sleep_until(version.visible_at)
        prepare()

    if version.visible_at <= world.clock.now():
        prepare()
    else:
        world.webhooks.run_later(asyncio.get_running_loop().create_task(wait()))


def _times(world: World, previous: Any, current: Any) -> dict[str, Any]:
    return {
        "previous": hook_bodies.hook_time(world, previous),
        "current": hook_bodies.hook_time(world, current),
    }


def add_version(world: World, merge_request: MergeRequest, *, visible_at: Any = None) -> None:
    """Read both branches and store a new diff version; refs/merge-requests/:iid/head follows."""
    repository = merge_request.project.repository
    source = merge_request.source_project
    head = source.repository.branch(merge_request.source_branch) if source else None
    head = head or merge_request.head_sha
    if source is not None and source is not merge_request.project:
        repository.fetch_from(source.repository, head)
    start = repository.branch(merge_request.target_branch) or head
    base = repository.merge_base(start, head) or EMPTY_TREE
    now = world.clock.now()
    version = DiffVersion(world.next_id(), base, start, head, now, visible_at or now)
    merge_request.versions.append(version)
    repository.set_ref(f"refs/merge-requests/{merge_request.iid}/head", head)
    repository.set_ref(f"refs/keep-around/{head}", head)


def branch_moved(world: World, project: Project, user: User, branch: str, after: str) -> None:
    """Refresh the open merge requests of a branch, as RefreshService does after a push.

    A deleted source branch closes them.
    """
    for merge_request in _open_from(world, project, branch):
        if after == ZERO_SHA:
            system_note(world, merge_request, user, f"deleted the `{branch}` branch")
            change_state(world, merge_request, user, "closed")
        elif after != merge_request.head_sha:
            refresh(world, merge_request, user)
    if after != ZERO_SHA:
        _mark_merged(world, project, user, branch, after)


def _open_from(world: World, project: Project, branch: str) -> list[MergeRequest]:
    everything = (m for p in world.projects.values() for m in p.merge_requests.values())
    return [
        m
        for m in everything
        if m.source_project is project and m.source_branch == branch and m.state == "opened"
    ]


def _mark_merged(world: World, project: Project, user: User, branch: str, after: str) -> None:
    """Close as merged what was merged by pushing to the target branch."""
    for merge_request in project.merge_requests.values():
        same = merge_request.state == "opened" and merge_request.target_branch == branch
        version = merge_request.versions[-1]
        if not same or version.head_sha == version.base_sha:
            continue
        if project.repository.is_ancestor(version.head_sha, after):
            change_state(world, merge_request, user, "merged")


def refresh(world: World, merge_request: MergeRequest, user: User) -> None:
    """Take the new head: version, positions, system note, `update` hook with oldrev."""
    old = merge_request.versions[-1]
    lag = timedelta(seconds=world.settings.sha_lag)
    add_version(world, merge_request, visible_at=world.clock.now() + lag)
    follow_positions(merge_request, old, merge_request.versions[-1])
    previous = touch(world, merge_request)
    span = f"{old.head_sha}..{merge_request.head_sha}"
    count = len(merge_request.project.repository.commits(span))
    words = f"added {count} commit{'s' if count != 1 else ''}"
    system_note(world, merge_request, user, f"{words}\n\n* {merge_request.head_sha[:8]}")
    changes = {"updated_at": _times(world, previous, merge_request.updated_at)}
    events.merge_request_event(world, merge_request, user, "update", changes, oldrev=old.head_sha)
    start_for_merge_request(world, merge_request, user)


def follow_positions(merge_request: MergeRequest, old: DiffVersion, new: DiffVersion) -> None:
    """Move diff notes with their lines; those whose line changed keep it and are outdated."""
    repository = merge_request.project.repository
    pushed = Refreshed(
        heads=repository.diff(old.head_sha, new.head_sha),
        bases=repository.diff(old.base_sha, new.base_sha),
        current=repository.diff(new.base_sha, new.head_sha),
        base_sha=new.base_sha,
        start_sha=new.start_sha,
        head_sha=new.head_sha,
    )
    for note in merge_request.notes:
        if note.position is None or note.outdated:
            continue
        moved = trace(note.position, pushed)
        note.outdated = moved is None
        note.position = moved or note.position


def touch(world: World, merge_request: MergeRequest) -> Any:
    """Set updated_at; return what it was."""
    previous, merge_request.updated_at = merge_request.updated_at, world.clock.now()
    return previous


def touch_for_note(world: World, merge_request: MergeRequest) -> None:
    """As a note touches what it is on: at most once a minute (GitLab's ThrottledTouch)."""
    if world.clock.now() - merge_request.updated_at > TOUCH_INTERVAL:
        touch(world, merge_request)


def system_note(world: World, merge_request: MergeRequest, user: User, body: str) -> None:
    now = world.clock.now()
    merge_request.notes.append(
        Note(world.next_id(), body, user, new_discussion_id(), now, now, system=True)
    )


def change_state(world: World, merge_request: MergeRequest, user: User, state: str) -> None:
    """Close, reopen (`opened`) or mark merged, with the hook of that change."""
    previous_state, merge_request.state = merge_request.state, state
    now = world.clock.now()
    merge_request.closed_at = now if state == "closed" else None
    merge_request.merged_at = now if state == "merged" else None
    if state == "opened":
        _reload_diff(world, merge_request)
    previous = touch(world, merge_request)
    word, action = {
        "closed": ("closed", "close"),
        "opened": ("reopened", "reopen"),
        "merged": ("merged", "merge"),
    }[state]
    system_note(world, merge_request, user, word)
    changes = {
        "state_id": {"previous": STATE_IDS[previous_state], "current": STATE_IDS[state]},
        "updated_at": _times(world, previous, now),
    }
    events.merge_request_event(world, merge_request, user, action, changes)


def _reload_diff(world: World, merge_request: MergeRequest) -> None:
    source = merge_request.source_project
    tip = source.repository.branch(merge_request.source_branch) if source else None
    old = merge_request.versions[-1]
    if tip and tip != old.head_sha:
        add_version(world, merge_request)
        follow_positions(merge_request, old, merge_request.versions[-1])


def merge(world: World, merge_request: MergeRequest, user: User) -> None:
    """Merge into the target branch with a merge commit."""
    repository = merge_request.project.repository
    target = repository.branch(merge_request.target_branch) or ZERO_SHA
    tree = repository.text("merge-tree", "--write-tree", target, merge_request.head_sha)
    who = ["-c", f"user.name={user.name}", "-c", f"user.email={user.username}@example.com"]
    sha = repository.text(
        *who,
        "commit-tree",
        tree.splitlines()[0],
        "-p",
        target,
        "-p",
        merge_request.head_sha,
        "-m",
        f"Merge branch '{merge_request.source_branch}' into '{merge_request.target_branch}'",
    )
    repository.set_ref(f"refs/heads/{merge_request.target_branch}", sha)
    merge_request.merge_commit_sha = sha
    change_state(world, merge_request, user, "merged")


def edit(world: World, merge_request: MergeRequest, user: User, **fields: Any) -> None:
    """Change title, description, target_branch, labels, people; one hook names the changes."""
    changes: dict[str, Any] = {}
    was_draft = merge_request.draft
    for name, value in fields.items():
        previous = getattr(merge_request, name)
        if previous == value:
            continue
        setattr(merge_request, name, value)
        changes.update(_change(world, merge_request, name, previous, value))
    if was_draft != merge_request.draft and not world.settings.legacy_hooks:
        changes["draft"] = {"previous": was_draft, "current": merge_request.draft}
    if "target_branch" in fields and fields["target_branch"] is not None:
        _retarget(world, merge_request)
    previous_time = touch(world, merge_request)
    if changes and "labels" not in changes and "merge_status" not in changes:
        changes["updated_at"] = _times(world, previous_time, merge_request.updated_at)
    events.merge_request_event(world, merge_request, user, "update", changes)


def _change(
    world: World, merge_request: MergeRequest, name: str, previous: Any, value: Any
) -> dict[str, Any]:
    if name == "target_branch" and world.settings.legacy_hooks:
        # Recorded from a real server: a retarget shows nothing but a new merge check.
        return {"merge_status": {"previous": "can_be_merged", "current": "unchecked"}}
    if name == "labels":
        blocks = [
            [hook_bodies.label_block(merge_request.project, title) for title in titles]
            for titles in (previous, value)
        ]
        return {"labels": {"previous": blocks[0], "current": blocks[1]}}
    if name in {"assignees", "reviewers"}:
        people = [[hook_bodies.user_block(u) for u in users] for users in (previous, value)]
        return {name: {"previous": people[0], "current": people[1]}}
    return {name: {"previous": previous, "current": value}}


def _retarget(world: World, merge_request: MergeRequest) -> None:
    old = merge_request.versions[-1]
    add_version(world, merge_request)
    follow_positions(merge_request, old, merge_request.versions[-1])


def set_draft(world: World, merge_request: MergeRequest, user: User, *, draft: bool) -> None:
    title = without_draft(merge_request.title)
    edit(world, merge_request, user, title=f"Draft: {title}" if draft else title)


def approve(world: World, merge_request: MergeRequest, user: User) -> None:
    merge_request.approved_by.append(user)
    system_note(world, merge_request, user, "approved this merge request")
    events.merge_request_event(world, merge_request, user, "approved")


def unapprove(world: World, merge_request: MergeRequest, user: User) -> None:
    merge_request.approved_by.remove(user)
    system_note(world, merge_request, user, "unapproved this merge request")
    events.merge_request_event(world, merge_request, user, "unapproved")
