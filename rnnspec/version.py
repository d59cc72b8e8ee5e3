"""The version of rnnspec, and how it is installed while there is no release."""

__version__ = "0.1.0"

PLACE = "in a clone of rnnspec"
"""Where ``install_command`` works: pip would look for the extra on an index."""


def install_command(extra: str) -> str:
    """Return the command that installs what an extra needs."""
    return f"pip install '.[{extra}]'"


def ways_to_install(extra: str, requirement: str) -> str:
    """Return that command with its place, or the one that installs the requirements alone."""
    return f"{install_command(extra)} {PLACE}, or pip install {requirement}"
