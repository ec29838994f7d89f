"""Strict stand-ins for the outside world: GitLab, Jira and the model."""
