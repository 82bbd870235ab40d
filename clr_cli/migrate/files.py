"""The files in which cycles are looked for, and what writing to them keeps."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator

from clr_cli.migrate import notebook
from clr_cli.migrate.scan import migrate, rewritten
from clr_cli.migrate.source import MAX_BYTES, decoded, lines_of, read_bytes
from clr_cli.migrate.unread import in_text
from clr_core.adapter import suffix, write

CONFIGURATIONS = {
    *(".cfg", ".conf", ".gin", ".ini", ".json", ".jsonnet"),
    *(".sh", ".toml", ".yaml", ".yml"),
}
# Other people's code.
FOREIGN = {"__pycache__", "node_modules", "site-packages"}


class Document:
    """A file, its findings, and its content with their edits.

    Args:
        name: The name of the file.
        to: The framework of the replacements, or None for that of the code.
        data: The content, if it doesn't come from the file.

    Raises:
        OSError: The file can't be read.
        ValueError: It isn't code or a notebook, or is too large.
    """

    def __init__(self, name: str, to: str | None, data: bytes | None = None) -> None:
        kind = suffix(name)
        self.name = name
        self.unread: list[int] = []
        self._notebook: notebook.Notebook | None = None
        limit = notebook.MAX_BYTES if kind == ".ipynb" else MAX_BYTES
        self._data = read_bytes(name, limit) if data is None else data
        if kind in CONFIGURATIONS:
            self._text, self._encoding = self._data.decode("utf-8", "replace"), "utf-8"
            self.findings = in_text(self._text, name)
            return
        self._text, self._encoding = decoded(self._data, name)
        if kind == ".ipynb":
            self._notebook = notebook.Notebook(self._text, name)
            self.unread = self._notebook.unread
            self.findings = migrate(self._notebook.code, name, to, self._notebook.cells)
        else:
            self.findings = migrate(self._text, name, to)

    @property
    def rewritten(self) -> str:
        """The text with the edits of all findings.

        Raises:
            ValueError: It wouldn't be Python.
        """
        if self._notebook is not None:
            return self._notebook.rewritten(edit for each in self.findings for edit in each.edits)
        return rewritten(self._text, self.findings)

    def diff(self) -> list[str]:
        """The lines of a unified diff; none if nothing changes."""
        name = self.name.replace(os.sep, "/").lstrip("/")
        before, after = (lines_of(text) for text in (self._text, self.rewritten))
        found = []
        for line in difflib.unified_diff(before, after, f"a/{name}", f"b/{name}"):
            found.append(line.removesuffix("\n"))
            if not line.endswith("\n"):
                found.append("\\ No newline at end of file")
        return found

    def write(self) -> None:
        """Replace the file by its rewritten text, or leave it as it is.

        Raises:
            OSError: It can't be written.
            ValueError: It has changed since it was read, or its encoding can't hold the text.
        """
        text = self.rewritten
        if self._text.encode(self._encoding) != self._data:
            raise ValueError(f"`{self.name}` isn't rewritten: {self._encoding} wouldn't keep it")
        if read_bytes(self.name, notebook.MAX_BYTES) != self._data:
            raise ValueError(f"`{self.name}` isn't rewritten: it has changed since it was read")
        write(self.name, text.encode(self._encoding))


def in_folder(folder: str) -> Iterator[str]:
    """The code, notebooks and configurations in a folder, without hidden and foreign ones."""
    for path, inner, files in os.walk(folder):
        inner[:] = sorted(
            each
            for each in inner
            if not each.startswith(".")
            and each not in FOREIGN
            and not os.path.exists(os.path.join(path, each, "pyvenv.cfg"))
        )
        for file in sorted(files):
            name = os.path.join(path, file)
            kind = suffix(file)
            if file.startswith("."):
                continue
            # A larger file isn't a configuration, but data.
            if kind in (".py", ".ipynb") or (
                kind in CONFIGURATIONS
                and os.path.isfile(name)
                and os.path.getsize(name) <= MAX_BYTES
            ):
                yield name
