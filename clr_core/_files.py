"""Bounded reads, and writes that replace a file whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from clr_core._arguments import received


def file_name(path: object, suffixes: tuple[str, ...]) -> str:
    """Return `path` as text, or raise an error that lists the suffixes it may have.

    >>> file_name("run.JSON", (".json",))
    'run.JSON'
    """
    name = path_name(path)
    if suffix(name) not in suffixes or "\0" in name:
        *others, last = suffixes
        listed = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(f"`path` must end in {listed}. {received('path', name)}")
    return name


def path_name(path: object) -> str:
    """Return `path` as text, or raise a TypeError if it isn't a path."""
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"`path` must be a path. {received('path', path)}")
    return os.fsdecode(path)


def suffix(name: str) -> str:
    """The suffix of a file name in lower case, such as ".json"."""
    return os.path.splitext(name)[1].lower()


def check_regular_file(name: str) -> None:
    """Raise a ValueError unless this is a regular file: reading a pipe would wait for ever.

    Raises:
        OSError: There is no such file.
    """
    if not stat.S_ISREG(os.stat(name).st_mode):
        raise ValueError("it isn't a regular file")


def read_bytes(name: str, limit: int) -> bytes:
    """Read a file of at most `limit` bytes.

    Raises:
        OSError: There is no such file, it can't be read, or it isn't a regular one.
        ValueError: It is larger.
    """
    status = os.stat(name)
    _check_regular(status, name)  # A named pipe would wait for its writer.
    if status.st_size > limit:
        raise ValueError(f"it has {status.st_size} bytes, and may have at most {limit}")
    with open(name, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"it has more than {limit} bytes")
    return data


def read_text(name: str, limit: int) -> str:
    """Read a file of at most `limit` bytes of UTF-8, with or without a byte order mark.

    Raises:
        OSError: There is no such file, it can't be read, or it isn't a regular one.
        ValueError: It is larger, or isn't UTF-8.
    """
    try:
        return read_bytes(name, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it isn't UTF-8 text: {error.reason} at byte {error.start}") from None


def write(name: str, data: bytes) -> None:
    """Replace the content of a file by `data`, or leave the file as it is.

    A new file is written beside the old one and takes its place in one step, with its permissions.
    Symbolic links are followed.

    Raises:
        OSError: It can't be written. An existing file is unchanged.
    """
    target = os.path.realpath(name)
    old = os.stat(target) if os.path.lexists(target) else None
    if old is not None:
        _check_regular(old, name)
        # Replacing needs write access to the folder only, so a read-only file must be checked for.
        if not os.access(target, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), name)
    temporary = os.path.join(os.path.dirname(target), f".clr-{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # Otherwise a system crash may leave an empty file.
        if old is not None:
            os.chmod(temporary, stat.S_IMODE(old.st_mode))
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):  # About the file that the caller named.
            raise OSError(error.errno, error.strerror, name) from None
        raise


def _check_regular(status: os.stat_result, name: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", name)
