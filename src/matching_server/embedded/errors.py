"""What can keep an embedded server from starting."""


class EmbeddedError(Exception):
    """An embedded server could not be started; the message is one sentence for a person."""


class DataDirectoryInUse(EmbeddedError):
    """Another process runs servers in this data directory."""
