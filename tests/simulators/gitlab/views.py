"""Records as the REST API shows them. Called by the endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from .diffs import FileDiff
    from .repository import Commit
    from .settings import ServerSettings
    from .state import (
        DiffVersion,
        MergeRequest,
        Project,
        User,
    )
    from .world import World


def iso(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def user(world: World, person: User) -> dict[str, Any]:
    return {
        "id": person.id,
        "username": person.username,
        "public_email": person.public_email,
        "name": person.name,
        "state": person.state,
        "locked": False,
        "avatar_url": None,
        "web_url": f"{world.external_url}/{person.username}",
    }


def full_user(world: World, person: User) -> dict[str, Any]:
    return {**user(world, person), "bot": person.bot, "bio": "", "location": ""}


def project(record: Project) -> dict[str, Any]:
    namespace, _, path = record.path_with_namespace.rpartition("/")
    return {
        "id": record.id,
        "description": None,
        "name": record.name,
        "name_with_namespace": record.path_with_namespace.replace("/", " / "),
        "path": path,
        "path_with_namespace": record.path_with_namespace,
        "created_at": iso(record.created_at),
        "default_branch": record.default_branch,
        "ssh_url_to_repo": f"git@gitlab.example.com:{record.path_with_namespace}.git",
        "http_url_to_repo": record.http_url,
        "web_url": record.web_url,
        "archived": record.archived,
        "visibility": record.visibility,
        "empty_repo": False,
        "merge_requests_access_level": "enabled",
        "namespace": {"full_path": namespace, "path": namespace.rsplit("/", 1)[-1]},
        "ci_config_path": record.ci_config_path or None,
        "forked_from_project": project(record.forked_from) if record.forked_from else None,
    }


# --- merge requests -------------------------------------------------------------


def merge_request(world: World, record: MergeRequest) -> dict[str, Any]:
    """Return what a list shows; one merge request alone has more."""
    source = record.source_project
    return {
        "id": record.id,
        "iid": record.iid,
        "project_id": record.project.id,
        "title": record.title,
        "description": record.description,
        "state": record.state,
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "merged_at": iso(record.merged_at),
        "closed_at": iso(record.closed_at),
        "prepared_at": iso(record.prepared_at),
        "target_branch": record.target_branch,
        "source_branch": record.source_branch,
        "user_notes_count": sum(1 for note in record.notes if not note.system),
        "author": user(world, record.author),
        "assignees": [user(world, person) for person in record.assignees],
        "assignee": user(world, record.assignees[0]) if record.assignees else None,
        "reviewers": [user(world, person) for person in record.reviewers],
        "source_project_id": source.id if source else None,
        "target_project_id": record.project.id,
        "labels": list(record.labels),
        "draft": record.draft,
        "work_in_progress": record.draft,
        "merge_status": "unchecked",
        "detailed_merge_status": _merge_status(world, record),
        "sha": shown_sha(world, record),
        "merge_commit_sha": record.merge_commit_sha,
        "squash_commit_sha": None,
        "discussion_locked": record.discussion_locked or None,
        "reference": f"!{record.iid}",
        "references": {
            "short": f"!{record.iid}",
            "relative": f"!{record.iid}",
            "full": f"{record.project.path_with_namespace}!{record.iid}",
        },
        "web_url": record.web_url,
        "has_conflicts": False,
        "blocking_discussions_resolved": all(
            discussion.resolved for discussion in record.discussions() if discussion.resolvable
        ),
        **_collaboration(record),
    }


def _collaboration(record: MergeRequest) -> dict[str, bool]:
    """Return the keys that only merge requests of forks have."""
    names = ("allow_collaboration", "allow_maintainer_to_push") if record.for_fork else ()
    return dict.fromkeys(names, record.allow_collaboration)


def single_merge_request(world: World, record: MergeRequest) -> dict[str, Any]:
    versions = record.shown_versions(world.clock.now())
    ready = versions and not world.settings.null_diff_refs
    return {
        **merge_request(world, record),
        "changes_count": changes_count(world, record, versions[0]) if ready else None,
        "diff_refs": versions[0].diff_refs if ready else None,
        "merge_error": None,
        "first_contribution": False,
        "head_pipeline": None,
        "user": {"can_merge": True},
    }


def shown_sha(world: World, record: MergeRequest) -> str:
    versions = record.shown_versions(world.clock.now())
    return versions[0].head_sha if versions else record.head_sha


def _merge_status(world: World, record: MergeRequest) -> str:
    versions = record.shown_versions(world.clock.now())
    if record.state != "opened":
        return "not_open"
    if not versions or record.prepared_at is None:
        return "preparing"
    if record.draft:
        return "draft_status"
    return "commits_status" if versions[0].head_sha == versions[0].base_sha else "mergeable"


def changes_count(world: World, record: MergeRequest, version: DiffVersion) -> str:
    count = len(world.diff(record, version))
    most = world.settings.max_files
    return f"{most}+" if count > most else str(count)


# --- diffs ------------------------------------------------------------------------


def too_large(settings: ServerSettings, file: FileDiff) -> bool:
    return len(file.text.encode(errors="replace")) > settings.max_patch_bytes


def _collapsed(settings: ServerSettings, file: FileDiff) -> bool:
    size = len(file.text.encode(errors="replace"))
    return size > settings.max_patch_bytes // 10 and not too_large(settings, file)


def file_diff(
    settings: ServerSettings, file: FileDiff, *, limits: bool = True, unidiff: bool = False
) -> dict[str, Any]:
    large = limits and too_large(settings, file)
    collapsed = limits and _collapsed(settings, file)
    text = "" if large or collapsed else file.text
    if unidiff and text.startswith("@@"):
        old = "/dev/null" if file.new_file else f"a/{file.old_path}"
        new = "/dev/null" if file.deleted_file else f"b/{file.new_path}"
        text = f"--- {old}\n+++ {new}\n{text}"
    return {
        "diff": text,
        "collapsed": collapsed,
        "too_large": large,
        "new_path": file.new_path,
        "old_path": file.old_path,
        "a_mode": file.a_mode,
        "b_mode": file.b_mode,
        "new_file": file.new_file,
        "renamed_file": file.renamed_file,
        "deleted_file": file.deleted_file,
        "generated_file": False,
    }


def within_limits(settings: ServerSettings, files: list[FileDiff]) -> list[FileDiff]:
    """Return the files that fit the limits of a diff: its number of files and lines."""
    kept, lines = [], 0
    for file in files[: settings.max_files]:
        lines += file.text.count("\n")
        if lines > settings.max_lines:
            break
        kept.append(file)
    return kept


def version(world: World, record: MergeRequest, diff_version: DiffVersion) -> dict[str, Any]:
    files = world.diff(record, diff_version)
    overflow = len(within_limits(world.settings, files)) < len(files)
    return {
        "id": diff_version.id,
        "head_commit_sha": diff_version.head_sha,
        "base_commit_sha": diff_version.base_sha,
        "start_commit_sha": diff_version.start_sha,
        "created_at": iso(diff_version.created_at),
        "merge_request_id": record.id,
        "state": ("overflow" if overflow else "collected") if files else "empty",
        "real_size": changes_count(world, record, diff_version),
        "patch_id_sha": None,
    }


def commit(record: Project, one: Commit) -> dict[str, Any]:
    return {
        "id": one.sha,
        "short_id": one.sha[:8],
        "created_at": one.date,
        "parent_ids": list(one.parents),
        "title": one.title,
        "message": one.message,
        "author_name": one.author_name,
        "author_email": one.author_email,
        "authored_date": one.date,
        "committer_name": one.author_name,
        "committer_email": one.author_email,
        "committed_date": one.date,
        "trailers": {},
        "web_url": f"{record.web_url}/-/commit/{one.sha}",
    }
