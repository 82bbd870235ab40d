"""Bounded reads, and writes that replace a file whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from clr_core._arguments import received

_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends.


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


def read_text(name: str, limit: int) -> str:
    """Read a file of at most `limit` bytes of UTF-8, with or without a byte order mark.

    Raises:
        OSError: There is no such file, it can't be read, or it isn't a regular one.
        ValueError: It is larger, or isn't UTF-8.
    """
    try:
        # Without O_NONBLOCK a named pipe would wait for its writer.
        descriptor = os.open(name, os.O_RDONLY | _BINARY | getattr(os, "O_NONBLOCK", 0))
        try:
            status = os.fstat(descriptor)
            _check_regular(status)
            if status.st_size > limit:
                raise ValueError(f"it has {status.st_size} bytes, and may have at most {limit}")
            data = b""
            # A file's stated size need not be true: in /proc it is 0.
            while len(data) <= limit and (more := os.read(descriptor, limit + 1 - len(data))):
                data += more
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _of_file(error, name) from None
    if len(data) > limit:
        raise ValueError(f"it has more than {limit} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it isn't UTF-8 text: {error.reason} at byte {error.start}") from None


def write(name: str, data: bytes) -> None:
    """Replace the content of a file by `data`, or leave the file as it is.

    A new file is written beside the old one and takes its place in one step, with its permissions.
    Symbolic links are followed.

    Raises:
        OSError: It can't be written. An existing file is unchanged.
    """
    try:
        _replace(os.path.realpath(name) if os.path.islink(name) else name, data)
    except OSError as error:
        raise _of_file(error, name) from None


def _replace(name: str, data: bytes) -> None:
    old = _replaceable(name)
    folder = os.path.dirname(name)
    temporary = os.path.join(folder, f".clr-{os.urandom(8).hex()}.tmp")
    # A replacement must not be readable by others before it has the old file's permissions.
    mode = 0o666 if old is None else 0o600
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            # Otherwise a system crash may leave an empty file under the new name.
            os.fsync(file.fileno())
        if old is not None:
            if hasattr(os, "chown"):
                with suppress(PermissionError):  # Only root gives files away.
                    os.chown(temporary, old.st_uid, old.st_gid)
            os.chmod(temporary, stat.S_IMODE(old.st_mode))
        os.replace(temporary, name)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder or os.curdir)


def _replaceable(name: str) -> os.stat_result | None:
    """The status of the file to be replaced, None if there is none; raises if it is protected."""
    try:
        status = os.stat(name)
    except FileNotFoundError:
        return None
    _check_regular(status)
    # Replacing needs write access to the folder only, so a read-only file must be checked for.
    if not os.access(name, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    return status


def _check_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file")


def _sync_folder(folder: str) -> None:
    """Make the new name survive a system crash, if the system can."""
    with suppress(OSError):  # The file itself is complete by now.
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _of_file(error: OSError, name: str) -> OSError:
    """The same error about the file that the caller named."""
    return OSError(error.errno, error.strerror, name)
