"""The version of rnnspec, and how it and the packages beside it are installed."""

__version__ = "1.0.0"

RELEASED = False
"""True once PyPI has rnnspec, as ``.ci/release`` writes; before, only a clone is installed."""


def install_command(extra: str) -> str:
    """Return the command that installs what an extra needs."""
    return f"pip install '{'rnnspec' if RELEASED else '.'}[{extra}]'"


def place_commands(commands: str) -> str:
    """Return such commands with the place where they work, if it is only one."""
    return commands if RELEASED else f"{commands} in a clone of rnnspec"


def ways_to_install(extra: str, requirement: str) -> str:
    """Return that command, or, while there is only a clone, what installs the requirements too."""
    command = place_commands(install_command(extra))
    return command if RELEASED else f"{command}, or pip install {requirement}"


def install_package(project: str, folder: str) -> str:
    """Return how to install a package beside rnnspec, which must have the same version.

    It is ``project`` on PyPI, and in ``folder`` of a clone.
    """
    if RELEASED:
        return f"pip install {project}=={__version__}"
    return f"in a clone of rnnspec, pip install ./{folder}"
