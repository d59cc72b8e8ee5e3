"""Members of zip archives, whose sizes are held."""

from __future__ import annotations

import zipfile

LONGEST_JSON = 2**23
"""The most bytes of JSON that are parsed; as objects they may take 30 times as much."""

_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return the bytes of a member.

    ZipFile.read unpacks all there is, whatever size is declared, and so does any read of what is
    packed with bzip2 or LZMA.

    Raises:
        KeyError: there is no such member.
        ValueError: it declares more than ``most`` bytes or has fewer, or is packed in another way.
        BadZipFile: it is broken. Broken headers may let out other exceptions too.
    """
    member = archive.getinfo(name)
    if member.compress_type not in _PLAIN:
        raise ValueError(f"{name}: expected deflate or no compression, received another")
    if member.file_size > most:
        raise ValueError(f"{name} has {member.file_size:,} bytes, at most {most:,} are read")
    with archive.open(member) as stream:
        data = stream.read(member.file_size)
    if len(data) != member.file_size:
        raise ValueError(f"{name}: expected {member.file_size:,} bytes, received {len(data):,}")
    return data
