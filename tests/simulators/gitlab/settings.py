"""What a test or operator may turn on the simulator: ages, limits and moods of a GitLab server.

Read by every part of the simulator; changed by tests on `gitlab.settings` while it runs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ServerSettings:
    """Knobs with the defaults of a healthy, recent, self-managed server. Times are in seconds."""

    version: str = "18.4.1"
    external_url: str | None = None  # what links show; None means the address it listens on

    prepare_delay: float = 0.0  # a new merge request has no diff for so long
    sha_lag: float = 0.0  # after a push the API shows the old head for so long
    hook_before_diff: bool = False  # the open hook of older servers, sent before the diff exists
    null_diff_refs: bool = False  # as after a failed diff: never filled
    drafts_status: int | None = None  # 403 or 404: the draft notes API is not for us
    read_only: bool = False  # a Geo secondary or maintenance: writes are refused

    # A project whose CI file runs on merge requests; ci.skip does not hold those pipelines back.
    merge_request_pipelines: bool = False

    webhook_timeout: float = 10.0
    webhook_body_limit: int = 25 * 1024 * 1024
    auto_disable_hooks: bool = False  # off by default on self-managed servers
    iso_hook_times: bool = False  # newest servers write ISO 8601 in webhook bodies
    legacy_hooks: bool = False  # <= 16.10: no note action, no draft in changes, silent retarget
    push_event_hooks_limit: int = 3  # a push touching more refs sends no push hook

    notes_per_minute: int = 300  # application limit, per user
    requests_per_minute: int | None = None  # Rack::Attack, off by default on self-managed

    always_show_limits: bool = False  # RateLimit-* on every answer, as gitlab.com sends them

    max_patch_bytes: int = 200 * 1024
    max_files: int = 1000
    max_lines: int = 50_000
    hidden_note_words: tuple[str, ...] = ()  # notes with such a word are redacted after paging
