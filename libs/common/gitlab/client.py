"""GitLab's REST API for coroutines, as one client.

Built in the wiring of ingest, the reviewer and the coder (read token) and of the publisher (write
token).
"""

from __future__ import annotations

from libs.common.gitlab.changes import Changes
from libs.common.gitlab.merge_requests import MergeRequests
from libs.common.gitlab.people import People
from libs.common.gitlab.repositories import Repositories
from libs.common.gitlab.writing import Writing


class GitLabClient(People, Repositories, MergeRequests, Changes, Writing):
    """All calls with one token; `connection` says how they fail and how to close this."""
