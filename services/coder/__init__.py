"""Decides which commands and issues become work, and keeps a Job running for each open task."""
