"""What a release holds beside its packages: `python -m wgctl.cli.release FOLDER`.

Writes man pages and completion scripts below FOLDER, as /usr/local has them. Loads every module of
ours for that: Python leaves the bytecode of what it loads, which no role may write later.
"""

import gc
import importlib
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import peers
import wgctl
from wgctl.cli import manual, root
from wgctl.cli.completion import script

__all__ = ["documents", "load", "main"]

_COMPLETIONS = {
    "bash": "share/bash-completion/completions/wgctl",
    "zsh": "share/zsh/site-functions/_wgctl",
    "fish": "share/fish/vendor_completions.d/wgctl.fish",
}

_LOADED_LATER = (
    "anyio._backends._asyncio",
    "cryptography.hazmat.backends.openssl.backend",
    "pydantic.dataclasses",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "uvicorn.lifespan.off",
    "uvicorn.loops.asyncio",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
"""What libraries load when a role runs, and not when it is loaded."""


def documents() -> Mapping[str, str]:
    """Return the text of every file by its place."""
    pages = {f"share/man/man1/{name}": text for name, text in manual.pages().items()}
    return pages | {place: f"{script(shell, root)}\n" for shell, place in _COMPLETIONS.items()}


def load() -> None:
    """Import what roles and commands need, but for the library that only migrations do."""
    for name in (*_modules(), *_LOADED_LATER):
        importlib.import_module(name)


def main(folder: Path) -> None:
    """Write every file below `folder`, and load everything."""
    for place, text in documents().items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    load()


def _modules() -> Iterator[str]:
    for package in (peers, wgctl):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                yield found.name


if __name__ == "__main__":
    # All that is loaded stays to the end: hundreds of collections would find nothing.
    gc.disable()
    main(Path(sys.argv[1]))
