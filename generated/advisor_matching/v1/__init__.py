"""Messages and stubs of package advisor_matching.v1."""
