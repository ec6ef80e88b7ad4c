"""Where a peer's tunnel is handed over: on stdout, in a file, in files of a folder, as a QR code.

Leaves the texts to `wgctl.cli.form`.
"""

import grp
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from peers.errors import InvalidName
from peers.names import Label, interface_of, parse_interface
from wgctl.cli.files import NewFile, new_file
from wgctl.cli.form import DNS_CHOICES, FORMATS, Document, Form
from wgctl.cli.output import note
from wgctl.core.errors import Invalid

__all__ = ["Handout", "Wish", "form_options", "qr_option", "wanted"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_IMAGES = (".png", ".svg")

# systemd-networkd is no root: it reads a key as a member of its group.
_NETWORKD_GROUP = "systemd-network"
_OWNERS_ALONE, _AND_GROUPS, _EVERYBODYS = 0o600, 0o640, 0o644


@dataclass(frozen=True, slots=True)
class Wish:
    """What the options say, as they say it."""

    out: str | None
    format: str
    interface: str | None
    dns: str
    qr: bool = False


@dataclass(frozen=True, slots=True)
class Handout:
    """What was asked for. `path` None: stdout; a folder where the format has several files."""

    path: Path | None
    form: Form
    qr: bool

    @property
    def needs_forwarding(self) -> bool:
        """Whether the peer will ask the network's resolver for every name."""
        return self.form.dns == "full"

    @contextmanager
    def opened(self) -> Iterator[tuple[NewFile, ...]]:
        """Take the names of the files before anything else is done; none for stdout."""
        with ExitStack() as stack:
            yield tuple(stack.enter_context(new_file(path)) for path in self._paths())

    def text(self, documents: Sequence[Document]) -> str:
        """Return what goes to stdout; several documents each have their name in a comment."""
        if len(documents) == 1:
            return documents[0].text
        named = (f"# {self.form.interface}{suffix}\n{text}" for suffix, text in documents)
        return "\n".join(named)

    def deliver(self, documents: Sequence[Document], files: Sequence[NewFile]) -> None:
        """Write the documents or their code to the files, or to stdout."""
        if not files:
            click.echo(self._content(self.text(documents)), nl=False)
        for document, file in zip(documents, files, strict=bool(files)):
            mode, group = _access(document.suffix)
            file.finish(self._content(document.text), mode=mode, group=group)

    def tell(self) -> None:
        """Say on stderr what the one who gets this has to know."""
        if self.qr and self.form.dns == "split":
            note("phones cannot ask for some names only: the code is without DNS (--dns full)")
        if self.path is not None and not self.qr:
            self._tell_of_place(self.path)

    def _tell_of_place(self, path: Path) -> None:
        match self.form.format:
            case "wg-quick":
                _tell_of_name(path)
            case "networkd" if _group() is None:
                note(
                    f"systemd-networkd reads the key as group {_NETWORKD_GROUP}: there, chgrp "
                    f"{_NETWORKD_GROUP} and chmod 0640 {self.form.interface}.netdev"
                )
            case "networkmanager" if path.suffix != ".nmconnection":
                note(f"NetworkManager takes {path.name!a} for no connection: end it .nmconnection")

    def _paths(self) -> tuple[Path, ...]:
        if self.path is None:
            return ()
        suffixes = FORMATS[self.form.format]
        if len(suffixes) == 1:
            return (self.path,)
        return tuple(self.path / f"{self.form.interface}{suffix}" for suffix in suffixes)

    def _content(self, text: str) -> bytes:
        if not self.qr:
            return text.encode()
        from peers.formats import qr

        if self.path is None:
            return qr.terminal(text).encode()
        return qr.png(text) if self.path.suffix.lower() == ".png" else qr.svg(text)


def form_options(default: str | None) -> Callable[[_Command], _Command]:
    """Take where a tunnel goes and in which form; without a default format it may be None."""
    options = (
        click.option(
            "-o",
            "out",
            metavar="FILE",
            help="Write to a new file, for networkd into a folder; - is stdout.",
        ),
        click.option(
            "--format",
            type=click.Choice(list(FORMATS)),
            default=default,
            show_default=default or "that of FILE",
            help="What takes the tunnel up; json is for programs.",
        ),
        click.option(
            "--interface",
            metavar="NAME",
            help="The tunnel's interface; wg-quick has its file's name.",
        ),
        click.option(
            "--dns",
            type=click.Choice(DNS_CHOICES),
            default=DNS_CHOICES[0],
            show_default=True,
            help="Which names go through the tunnel: the network's own, all, none.",
        ),
    )

    def take(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return take


def qr_option(command: _Command) -> _Command:
    """Take whether a code is drawn."""
    return click.option(
        "--qr", is_flag=True, help="A QR code: in the terminal, or -o x.png or x.svg."
    )(command)


def wanted(wish: Wish, name: Label, *, as_json: bool, own_key: bool) -> Handout:
    """Return what is asked for peer `name`; raises Invalid for what does not go together."""
    if wish.out == "":
        raise Invalid("-o has an empty name, expected a file, or - for stdout")
    path = None if wish.out in {None, "-"} else Path(str(wish.out))
    if wish.qr:
        _refuse_for_code(path, wish.format, as_json=as_json, own_key=own_key)
    interface = _interface(wish, name)
    if path is not None and len(FORMATS[wish.format]) > 1 and not path.is_dir():
        raise Invalid(f"-o {str(path)!a} is no folder: make it first, {wish.format} has two files")
    form = Form(wish.format, interface, wish.dns, hooks=not wish.qr)
    return Handout(path=path, form=form, qr=wish.qr)


def _refuse_for_code(path: Path | None, form: str, *, as_json: bool, own_key: bool) -> None:
    if form != "wg-quick":
        raise Invalid(f"--qr is a wg-quick config, which phones read: leave --format {form} out")
    if own_key:
        raise Invalid("--qr needs the private key, which --public-key leaves with its owner")
    if path is None and as_json:
        raise Invalid("--qr and --json both write to stdout: expected -o FILE.png or FILE.svg")
    if path is not None and path.suffix.lower() not in _IMAGES:
        raise Invalid(f"-o {str(path)!a} with --qr, expected a name that ends in .png or .svg")


def _interface(wish: Wish, name: Label) -> str:
    if wish.interface is None:
        return interface_of(name)
    if wish.format == "wg-quick":
        raise Invalid("--interface: wg-quick takes the name of its file, -o INTERFACE.conf")
    try:
        return parse_interface(wish.interface)
    except InvalidName as error:
        raise InvalidName(f"--interface: {error}") from error


def _tell_of_name(path: Path) -> None:
    try:
        parse_interface(path.stem)
    except InvalidName:
        note(f"wg-quick takes {path.stem!a} for no interface: rename it, 15 characters at most")


def _access(suffix: str) -> tuple[int, int | None]:
    """Return the mode and the group of a file: none but its reader's may be wider than 0600."""
    if suffix == ".network":
        return _EVERYBODYS, None
    group = _group() if suffix == ".netdev" else None
    return (_OWNERS_ALONE if group is None else _AND_GROUPS), group


def _group() -> int | None:
    """Return networkd's group where there is one and we may give files to it."""
    if os.geteuid() != 0:
        return None
    try:
        return grp.getgrnam(_NETWORKD_GROUP).gr_gid
    except KeyError:
        return None
