"""The door to Jira: the only importer of `httpx`."""
