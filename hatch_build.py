"""The description of the package on an index: the README, in which no relative link would work."""

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https://)([^)]+)\)")


def description(readme: str, version: str, source: str | None) -> str:
    """The README with absolute links and pictures, or without them if there is no repository.

    Args:
        readme: The text of `README.md`.
        version: The version, whose tag the links lead to.
        source: The address of the repository, `Source` in `project.urls`.
    """
    if source is None:
        return LINK.sub(lambda link: "" if link[1] else link[2], readme)
    folder = {"!": f"{source}/raw/v{version}", "": f"{source}/blob/v{version}"}
    return LINK.sub(lambda link: f"{link[1]}[{link[2]}]({folder[link[1]]}/{link[3]})", readme)


class Description(MetadataHookInterface):
    """Sets the field `readme`."""

    def update(self, metadata: dict) -> None:
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        source = metadata.get("urls", {}).get("Source")
        text = description(text, metadata["version"], source)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
