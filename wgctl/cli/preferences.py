"""What a user wrote down once instead of typing it each time: org, network, config.

Which of flag, environment and this file wins is `wgctl.cli.options`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from wgctl.core.errors import Denied, Invalid

__all__ = ["Preferences", "preferences_path", "read_preferences"]


@dataclass(frozen=True, slots=True)
class Preferences:
    """The keys of the file, as written; None: the file does not say."""

    org: str | None = None
    network: str | None = None
    config: str | None = None


def preferences_path(environment: Mapping[str, str]) -> Path:
    """Return where the user's file is, whether it exists or not."""
    # The XDG base directory specification: a relative path is invalid and is ignored.
    home = Path(environment.get("XDG_CONFIG_HOME", ""))
    if not home.is_absolute():
        home = Path(environment.get("HOME", "/")) / ".config"
    return home / "wgctl" / "config.toml"


def read_preferences(path: Path) -> Preferences:
    """Read the file at `path`; a missing one says nothing.

    Raises Invalid for what is not TOML, an unknown key or a value that is no text, and Denied when
    the file may not be read.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return Preferences()
    except PermissionError as error:
        raise Denied(f"no permission to read {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: not TOML: {error}") from error
    known = [field.name for field in fields(Preferences)]
    for key, value in document.items():
        if key not in known:
            raise Invalid(f"{path}: unknown key {key!a}, expected {', '.join(known)}")
        if not isinstance(value, str) or not value:
            raise Invalid(f"{path}: {key}: expected a text in quotes")
    return Preferences(**document)
