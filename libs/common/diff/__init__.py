"""Unified diffs and the positions of their lines, as GitLab counts them. Pure."""
