"""Input files, read as data, and output files, written completely or not at all."""

from rnnspec.files.output import (
    NO_WORKING_FOLDER,
    Inputs,
    check_folder,
    check_target,
    check_target_folder,
    has_working_folder,
    publish,
    publish_folder,
    reported,
    staged,
    write_file,
)

__all__ = [
    "NO_WORKING_FOLDER",
    "Inputs",
    "check_folder",
    "check_target",
    "check_target_folder",
    "has_working_folder",
    "publish",
    "publish_folder",
    "reported",
    "staged",
    "write_file",
]
