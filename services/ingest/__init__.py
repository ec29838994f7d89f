"""Sees what happens in GitLab and logs it; hands tasks to Jobs and takes their results back."""
