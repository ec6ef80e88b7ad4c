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

# The largest code, version 40, with correction M (ISO/IEC 18004, table 7).
_MAX_BYTES = 2331


def terminal(text: str) -> str:
    """Return the code as lines of half blocks with colours of their own, each ended by a line end.

    Raises Invalid unless the text is 1 to 2331 bytes of UTF-8, which is what a code holds.
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
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        lone = ord(text[error.start])
        raise Invalid(f"character U+{lone:04X}, half a pair, expected text") from error
    if not 1 <= size <= _MAX_BYTES:
        raise Invalid(
            f"{size} bytes, expected 1 to {_MAX_BYTES} in a QR code: hand the text over as a file"
        )
    return segno.make_qr(text, error="m", encoding="utf-8")
