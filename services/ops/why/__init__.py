"""Why a merge request has no review, why a command or an issue did nothing: pure decisions."""
