"""Jobs on Kubernetes: the manifest, the one client, the shared watch, and why a Job ended."""
