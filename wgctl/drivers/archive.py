"""The file of a back-up: a tar archive under xz, which any `tar` opens, read only when it is whole.

xz has a SHA-256 of what it holds and a checksum of every header, so that a file that was cut off or
in which a bit has turned is told from a whole one before anything in it is believed. What the
members mean is `wgctl.daemon.backup`.
"""

import io
import json
import lzma
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from wgctl.core.errors import Invalid, Unavailable

__all__ = [
    "AUTHORITY",
    "AUTHORITY_KEY",
    "CONFIG",
    "KEY",
    "STORE",
    "Manifest",
    "pack",
    "unpack",
]

FORMAT = 1
MANIFEST = "manifest.json"
STORE = "store.sqlite"
KEY = "gateway.key"
AUTHORITY = "authority.pem"
AUTHORITY_KEY = "authority.key"
CONFIG = "wgctl.toml"

_NAMES = frozenset({MANIFEST, STORE, KEY, AUTHORITY, AUTHORITY_KEY, CONFIG})
_FOLDER = "wgctl-backup"
_MODE = 0o600
_CHUNK_BYTES = 1024 * 1024
# A file that asks for more than xz's own default settings take is not ours.
_MEMORY_BYTES = 128 * 1024 * 1024
# A store of 100 MB takes 6 s at level 1 and 60 s at the default level, for a tenth less.
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a back-up says of itself: who made it, when (seconds since 1970), at which revision."""

    wgctl: str
    made_at: int
    epoch: str
    revision: int
    format: int = FORMAT


def pack(into: IO[bytes], manifest: Manifest, members: Mapping[str, Path]) -> None:
    """Write a back-up with the files `members`, by their names in it, to a stream."""
    with (
        lzma.LZMAFile(into, "wb", check=lzma.CHECK_SHA256, preset=_LEVEL) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        document = json.dumps(asdict(manifest), indent=2).encode() + b"\n"
        tar.addfile(_header(MANIFEST, len(document), manifest.made_at), io.BytesIO(document))
        for name, path in members.items():
            with path.open("rb") as file:
                size = path.stat().st_size
                tar.addfile(_header(name, size, manifest.made_at), file)


def unpack(path: Path, into: Path) -> Manifest:
    """Write the files of the back-up at `path` into the folder `into`; return what it says.

    Raises Invalid, with nothing believed, when it is cut off, damaged or no back-up, and
    Unavailable when a newer wgctl made it.
    """
    plain = into / "plain.tar"
    try:
        _inflate(path, plain)
        with tarfile.open(plain, "r:") as tar:
            manifest = _manifest(path, tar)
            for member in tar:
                _extract(path, tar, member, into)
    except (lzma.LZMAError, EOFError) as error:
        raise Invalid(f"{path} is no whole back-up ({error}): {_EXPECTED}") from error
    except (tarfile.TarError, KeyError) as error:
        raise Invalid(f"{path} is no back-up of wgctl's ({error}): {_EXPECTED}") from error
    finally:
        plain.unlink(missing_ok=True)
    if not (into / STORE).exists():
        raise Invalid(f"{path} has no store in it: {_EXPECTED}")
    return manifest


_EXPECTED = "expected a file that wgctl backup made, unchanged"


def _inflate(path: Path, plain: Path) -> None:
    inflater = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_BYTES)
    with path.open("rb") as packed, plain.open("xb") as file:
        while not inflater.eof:
            chunk = packed.read(_CHUNK_BYTES) if inflater.needs_input else b""
            if inflater.needs_input and not chunk:
                raise EOFError("it ends too soon")
            file.write(inflater.decompress(chunk, _CHUNK_BYTES))
        if inflater.unused_data or packed.read(1):
            raise EOFError("something follows its end")


def _manifest(path: Path, tar: tarfile.TarFile) -> Manifest:
    file = tar.extractfile(f"{_FOLDER}/{MANIFEST}")
    try:
        found = json.load(file) if file is not None else None
        if isinstance(found, dict) and isinstance(found.get("format"), int):
            if found["format"] > FORMAT:
                raise Unavailable(
                    f"{path} has format {found['format']}, expected at most {FORMAT}: "
                    "a newer wgctl made it; install that one"
                )
            return Manifest(
                wgctl=str(found["wgctl"]),
                made_at=int(found["made_at"]),
                epoch=str(found["epoch"]),
                revision=int(found["revision"]),
            )
    except ValueError as error:
        raise Invalid(f"{path}: its manifest cannot be read ({error}): {_EXPECTED}") from error
    raise Invalid(f"{path}: its manifest names no format: {_EXPECTED}")


def _extract(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    """Write one file under the name that it must have: a path in an archive is never followed."""
    name = member.name.removeprefix(f"{_FOLDER}/")
    if name not in _NAMES or not member.isreg():
        raise Invalid(f"{path} holds {member.name!a}, which is no part of a back-up: {_EXPECTED}")
    file = tar.extractfile(member)
    if file is None or name == MANIFEST:
        return
    try:
        with (into / name).open("xb") as out:
            (into / name).chmod(_MODE)
            while chunk := file.read(_CHUNK_BYTES):
                out.write(chunk)
    except FileExistsError:
        raise Invalid(f"{path} holds {name} twice: {_EXPECTED}") from None


def _header(name: str, size: int, made_at: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(f"{_FOLDER}/{name}")
    header.size, header.mtime, header.mode = size, made_at, _MODE
    return header
