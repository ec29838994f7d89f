"""The door to GitLab: the only importer of `gitlab`."""
