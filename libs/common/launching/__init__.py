"""From a wanted run to a Job and back: the port, the local launcher, slots, the reconciler."""
