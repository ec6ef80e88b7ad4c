"""The README's guide for a server, as the commands that it gives, word by word."""

import re
from pathlib import Path

__all__ = ["blocks"]

_README = Path(__file__).parents[2] / "README.md"
_TITLE = "On a server"


def blocks() -> list[str]:
    """Return the guide's blocks of shell commands, in order; each is to be run to its end."""
    section = _README.read_text().partition(f"\n## {_TITLE}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
