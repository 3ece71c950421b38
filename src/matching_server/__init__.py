"""The advisor matching service."""
