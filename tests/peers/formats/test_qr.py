import re
import struct
import zlib
from itertools import groupby
from xml.etree import ElementTree as ET

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st

from peers.errors import Invalid
from peers.formats import qr

CONFIG = """\
[Interface]
PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=
Address = fdaa:1234:5678:10::2/128
MTU = 1420

[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
AllowedIPs = fdaa:1234:5678::/48
Endpoint = vpn.example.org:51820
PersistentKeepalive = 15
"""
LONGEST = "x" * 2331

Pixels = list[list[bool]]
"""Rows of pixels, True where it is light."""

WHITE, BLACK = b"\xff", b"\x00"
BLOCKS = {"█": (True, True), "▀": (True, False), "▄": (False, True), " ": (False, False)}


def decoded(pixels: Pixels) -> list[zxingcpp.Barcode]:
    """Read a code that is dark on light, four dots a pixel."""
    rows = [b"".join((WHITE if light else BLACK) * 4 for light in row) * 4 for row in pixels]
    image = memoryview(b"".join(rows)).cast("B", (len(pixels) * 4, len(pixels[0]) * 4))
    return list(zxingcpp.read_barcodes(image, try_invert=False))


def text_of(pixels: Pixels) -> str:
    (code,) = decoded(pixels)
    return str(code.text)


def pixels_of_terminal(shown: str) -> Pixels:
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.splitlines()]
    halves = [[BLOCKS[block] for block in line] for line in lines]
    return [[pair[half] for pair in line] for line in halves for half in (0, 1)]


def pixels_of_png(image: bytes) -> Pixels:
    """Unpack a PNG of one bit a pixel, its rows plain or "up" (RFC 2083), as segno writes it."""
    chunks, rest = {}, image.removeprefix(b"\x89PNG\r\n\x1a\n")
    while rest:
        (size,) = struct.unpack(">I", rest[:4])
        chunks[rest[4:8]] = rest[8 : 8 + size]
        rest = rest[size + 12 :]
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (1, 0)
    raw, size = zlib.decompress(chunks[b"IDAT"]), (width + 7) // 8
    rows, above = [], bytes(size)
    for start in range(0, height * (size + 1), size + 1):
        kind, row = raw[start], raw[start + 1 : start + 1 + size]
        assert kind in {0, 2}
        above = bytes(a + b & 0xFF for a, b in zip(row, above, strict=True)) if kind else row
        rows.append(above)
    return [[bool(row[x // 8] >> (7 - x % 8) & 1) for x in range(width)] for row in rows]


def pixels_of_svg(image: bytes) -> Pixels:
    """Draw the strokes of segno's SVG: `M x y` to start, `h` to draw, `m` to move on."""
    root = ET.fromstring(image)  # noqa: S314  # what is read was made a line before
    group = root[0]
    side = int(root.attrib["width"]) // 8
    assert group.attrib["transform"] == "scale(8)"
    background, strokes = (path.attrib for path in group)
    assert background["fill"] == "#fff"
    assert strokes["stroke"] == "#000"
    pixels, x, y = [[True] * side for _ in range(side)], 0, 0
    for command, numbers in re.findall(r"([Mmh])([-0-9. ]+)", strokes["d"]):
        first, *second = (int(float(number)) for number in numbers.split())
        if command == "h":
            pixels[y][x : x + first] = [False] * first
            x += first
        else:
            x, y = (first, *second) if command == "M" else (x + first, y + second[0])
    return pixels


@pytest.mark.parametrize("text", ["a", CONFIG, LONGEST, "B\u00fcro \u4f60\u597d"])
def test_each_form_reads_back(text: str) -> None:
    assert text_of(pixels_of_terminal(qr.terminal(text))) == text
    assert text_of(pixels_of_png(qr.png(text))) == text
    assert text_of(pixels_of_svg(qr.svg(text))) == text


@settings(max_examples=20)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=300))
def test_any_printable_text_reads_back_from_the_terminal(text: str) -> None:
    assert text_of(pixels_of_terminal(qr.terminal(text))) == text


def test_the_terminal_code_brings_its_colours_and_gives_them_back() -> None:
    """In the terminal's own colours the code would be inverted on one kind of background."""
    lines = qr.terminal(CONFIG).splitlines()
    inside = {line.removeprefix("\x1b[38;5;231;48;5;16m").removesuffix("\x1b[0m") for line in lines}

    assert all(set(line) <= set(BLOCKS) for line in inside)
    assert len({len(line) for line in lines}) == 1
    assert qr.terminal(CONFIG).endswith("\n")


def test_a_config_fits_on_a_terminal_of_80_columns() -> None:
    rows = pixels_of_terminal(qr.terminal(CONFIG))

    assert len(rows[0]) <= 80


def test_the_code_corrects_errors_at_level_m_or_better() -> None:
    (code,) = decoded(pixels_of_png(qr.png(LONGEST)))

    assert code.ec_level == "M"


def test_the_code_keeps_a_quiet_border_of_four_modules() -> None:
    for pixels, module in (
        (pixels_of_terminal(qr.terminal(CONFIG)), 1),
        (pixels_of_png(qr.png(CONFIG)), 8),
        (pixels_of_svg(qr.svg(CONFIG)), 1),
    ):
        light_rows = next(len(list(rows)) for light, rows in groupby(pixels, all) if light)
        assert light_rows == 4 * module


@pytest.mark.parametrize("form", [qr.terminal, qr.png, qr.svg])
@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "0 bytes, expected 1 to 2331"),
        ("\u00e9" * 1200, "2400 bytes, expected 1 to 2331"),
        ("x" * 2332, "2332 bytes, expected 1 to 2331"),
        ("\ud800", r"U\+D800, half a pair"),
    ],
)
def test_what_is_no_code_is_refused(form: type[str], text: str, rule: str) -> None:
    with pytest.raises(Invalid, match=rule):
        form(text)
