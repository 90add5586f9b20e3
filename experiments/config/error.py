"""The error of everything that a user has configured or typed."""


class ConfigError(ValueError):
    """A configuration that cannot be used: one line naming file, key and fix."""
