"""The Job: two steps, `clone` and `run`, that share a folder and no secret."""
