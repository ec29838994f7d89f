"""Decides which merge requests get a review, and keeps a Job running for each open review task."""
