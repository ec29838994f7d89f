"""The door to git: child processes with a clean environment and no token in sight."""
