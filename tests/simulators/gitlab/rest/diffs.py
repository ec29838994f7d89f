"""Versions, diffs, changes, raw diffs and commits of a merge request."""

from __future__ import annotations

from aiohttp import web

from tests.simulators.gitlab import views
from tests.simulators.gitlab.api import Call, endpoint, reply
from tests.simulators.gitlab.errors import not_found
from tests.simulators.gitlab.pagination import page_of

from .merge_requests import ONE


def routes() -> list[web.RouteDef]:
    return [
        web.get(ONE + "/versions", endpoint(versions)),
        web.get(ONE + "/versions/{version_id}", endpoint(one_version)),
        web.get(ONE + "/commits", endpoint(commits)),
        web.get(ONE + "/diffs", endpoint(diffs)),
        web.get(ONE + "/changes", endpoint(changes)),
        web.get(ONE + "/raw_diffs", endpoint(raw_diffs)),
    ]


async def versions(call: Call) -> web.Response:
    record = call.merge_request()
    shown = record.shown_versions(call.world.clock.now())
    return page_of(call, shown, lambda page: [views.version(call.world, record, v) for v in page])


async def one_version(call: Call) -> web.Response:
    record = call.merge_request()
    wanted = call.path_number("version_id")
    shown = record.shown_versions(call.world.clock.now())
    version = next((v for v in shown if v.id == wanted), None)
    if version is None:
        raise not_found()
    repository = record.project.repository
    files = views.within_limits(call.world.settings, call.world.diff(record, version))
    unidiff = call.flag("unidiff")
    settings = call.world.settings
    return reply(
        {
            **views.version(call.world, record, version),
            "commits": [
                views.commit(record.project, one)
                for one in repository.commits(f"{version.base_sha}..{version.head_sha}")
            ],
            "diffs": [views.file_diff(settings, file, unidiff=unidiff) for file in files],
        }
    )


async def commits(call: Call) -> web.Response:
    record = call.merge_request()
    shown = record.shown_versions(call.world.clock.now())
    span = f"{shown[0].base_sha}..{shown[0].head_sha}" if shown else ""
    found = record.project.repository.commits(span) if span else []
    return page_of(call, found, lambda page: [views.commit(record.project, one) for one in page])


async def diffs(call: Call) -> web.Response:
    record = call.merge_request()
    settings = call.world.settings
    shown = record.shown_versions(call.world.clock.now())
    files = views.within_limits(settings, call.world.diff(record, shown[0])) if shown else []
    unidiff = call.flag("unidiff")
    return page_of(
        call, files, lambda page: [views.file_diff(settings, f, unidiff=unidiff) for f in page]
    )


async def changes(call: Call) -> web.Response:
    record = call.merge_request()
    settings = call.world.settings
    shown = record.shown_versions(call.world.clock.now())
    files = call.world.diff(record, shown[0]) if shown else []
    raw = call.flag("access_raw_diffs")
    kept = files if raw else views.within_limits(settings, files)
    unidiff = call.flag("unidiff")
    listed = [views.file_diff(settings, file, limits=not raw, unidiff=unidiff) for file in kept]
    overflow = len(kept) < len(files)
    whole = views.single_merge_request(call.world, record)
    return reply({**whole, "changes": listed, "overflow": overflow})


async def raw_diffs(call: Call) -> web.Response:
    record = call.merge_request()
    shown = record.shown_versions(call.world.clock.now())
    if not shown:
        return web.Response(text="")
    text = record.project.repository.raw_diff(shown[0].base_sha, shown[0].head_sha)
    return web.Response(body=text, content_type="text/plain")
