"""The door to NATS JetStream: the only importer of `nats`."""
