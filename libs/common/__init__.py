"""Shared by all services: events, the log, the doors to NATS, GitLab, git, and launching."""
