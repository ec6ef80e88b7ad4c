"""A text, such as a peer's config, as a QR code with error correction M.

Knows nothing of what the text says, nor where the code is shown or kept.
"""

import io

import segno

from peers.errors import Invalid

__all__ = ["png", "svg", "terminal"]

# White on black from the fixed part of the 256 colours: half blocks in the terminal's own colours
# come out inverted, and unreadable to many phones, on a light background.
_WHITE_ON_BLACK = "\x1b[38;5;231;48;5;16m"
_RESET = "\x1b[0m"

_PIXELS_A_MODULE = 8


def terminal(text: str) -> str:
    """Return the code as lines of half blocks with colours of their own, each ended by a line end.

    Raises Invalid when the text is empty or longer than a code holds: 2331 bytes.
    """
    out = io.StringIO()
    _code(text).terminal(out, compact=True)
    return "".join(f"{_WHITE_ON_BLACK}{line}{_RESET}\n" for line in out.getvalue().splitlines())


def png(text: str) -> bytes:
    """Return the code as a PNG image, black on white.

    Raises Invalid as `terminal` does.
    """
    return _image(text, "png")


def svg(text: str) -> bytes:
    """Return the code as an SVG document in UTF-8, black on white.

    Raises Invalid as `terminal` does.
    """
    return _image(text, "svg")


def _image(text: str, kind: str) -> bytes:
    out = io.BytesIO()
    _code(text).save(out, kind=kind, scale=_PIXELS_A_MODULE, light="white")
    return out.getvalue()


def _code(text: str) -> segno.QRCode:
    if not text:
        raise Invalid("nothing to put into a QR code, expected some text")
    try:
        return segno.make_qr(text, error="m")
    except segno.DataOverflowError as error:
        raise Invalid(
            f"{len(text)} characters do not fit into a QR code, expected at most 2331 bytes; "
            "hand the text over as a file"
        ) from error
