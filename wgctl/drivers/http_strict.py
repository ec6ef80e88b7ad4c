"""HTTP/1.1 as RFC 9112 has it: what two readers could take for two things is no request.

A head is held to one grammar, then parsed by llhttp; requests are taken one after the other. How an
answer is written is uvicorn's, and what it is the application's.
"""

import asyncio
import contextlib
import re
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

__all__ = ["MOST_HEADER_LINES", "MOST_HEAD_BYTES", "StrictProtocol"]

MOST_HEAD_BYTES = 2**16
"""A request line and its headers, with the empty line after them: what h11 holds, too."""

MOST_HEADER_LINES = 100
"""As many as Apache takes and Python's http.client; browsers send about twenty."""

_END = b"\r\n\r\n"
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"

# Possessive: what does not match costs no more than what does. A target is a path without fragment:
# RFC 9112, section 3.2.2, has servers take whole URLs too, which clients send to proxies alone.
_HEAD = re.compile(
    rb"(?!CONNECT )" + _TOKEN + rb" (/[!-\"$-~]*+) HTTP/1\.([01])\r\n"
    rb"(?:" + _TOKEN + rb":[\t -~\x80-\xff]*+\r\n)*+\r\n"
)

# In no head at all, wherever its lines end: a line that ends in half, or a control character.
_NEVER = re.compile(rb"(?<!\r)\n|\r[^\n]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_LINES_BESIDE = 2
"""The request line, and the empty one."""

_CHUNKS = -1
_LENGTH = re.compile(rb"[0-9]{1,18}")
_ONCE = (b"host", b"content-length", b"transfer-encoding")


class StrictProtocol(HttpToolsProtocol):
    """A connection that asks, once or again and again; none of it may become another protocol.

    Refused, with 400 and the end of the connection: all that the grammar of RFC 9112 does not have,
    what it lets a server take all the same (half line ends, folded headers), a target that is no
    path, a head of more than `MOST_HEAD_BYTES` or `MOST_HEADER_LINES`, a second Host, and any doubt
    of where a body ends. A body in chunks is not read: the application sees an empty one beside its
    Transfer-Encoding, and the connection ends with the answer.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what uvicorn gives to its own."""
        super().__init__(*args, **kwargs)
        self._kept = bytearray()
        """What came and is not parsed: part of a head, or what came before an answer was whole."""
        self._looked_at = 0
        """How many octets of `_kept` are in order, and have no end of a head in them."""
        self._body_left = 0
        self._asked = False
        """Whether a head has come; before that there is no `cycle`."""
        self._lasts = True
        """Whether another request may follow the one that was parsed last."""

    def data_received(self, data: bytes) -> None:
        """Take part of a request, or of many."""
        # What had arrived before a close is read all the same.
        if self.transport.is_closing() or not (self._lasts or self._body_left):
            return
        self._unset_keepalive_if_required()
        self._kept += data
        self._go_on()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, without the white space around it."""
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        """Note what llhttp forgets at the end of a message."""
        self._lasts = self.parser.should_keep_alive()
        self.scope["method"] = self.parser.get_method().decode()

    def on_message_complete(self) -> None:
        """Leave it to `_go_on` when a body is whole."""

    def on_response_complete(self) -> None:
        """Go on with what came in the meantime."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._go_on()

    def _go_on(self) -> None:
        """Parse as much as may be parsed: the next head when the answer before it is whole."""
        while self._kept:
            if self._body_left:
                self._take_body()
            elif not self._lasts:
                self._kept.clear()
            elif self._asked and not self.cycle.response_complete:
                self.flow.pause_reading()
                return
            elif (head := self._whole_head()) is None:
                return
            elif not self._begin(head):
                self._refuse()
                return

    def _take_body(self) -> None:
        part = self._kept[: self._body_left]
        del self._kept[: len(part)]
        self._body_left -= len(part)
        if self.cycle.response_complete:
            return
        self.cycle.body += part
        self.cycle.more_body = self._body_left > 0
        if len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def _whole_head(self) -> bytes | None:
        """Return the next head, with the empty line at its end; None if there is none, or never."""
        # An end may come in up to four parts, and half a line's end is no fault yet.
        begin = max(0, self._looked_at - len(_END) + 1)
        end = self._kept.find(_END, begin)
        length = len(self._kept) if end < 0 else end + len(_END)
        hopeless = end < 0 and _NEVER.search(self._kept, begin)
        if hopeless or length > MOST_HEAD_BYTES:
            self._refuse()
            return None
        self._looked_at = length if end < 0 else 0
        if end < 0:
            return None
        head = bytes(self._kept[:length])
        del self._kept[:length]
        return head

    def _begin(self, head: bytes) -> bool:
        """Begin with the answer to a request; return whether `head` is one's."""
        form = _HEAD.fullmatch(head)
        if form is None or head.count(b"\n") - _LINES_BESIDE > MOST_HEADER_LINES:
            return False
        target, minor = form.groups()
        # A parser for each: whatever one head made of it is of no meaning to the next.
        self.parser = httptools.HttpRequestParser(self)
        try:
            # To change to another protocol is not done here: a request as any other.
            with contextlib.suppress(httptools.HttpParserUpgrade):
                self.parser.feed_data(head)
        except httptools.HttpParserError:
            return False
        length = _body_length(self.headers, minor)
        if length is None:
            return False
        raw_path, _, self.scope["query_string"] = target.partition(b"?")
        root = self.root_path
        self.scope["raw_path"] = root.encode() + raw_path
        self.scope["path"] = root + unquote(raw_path.decode())
        self.scope["http_version"] = f"1.{minor.decode()}"
        self._body_left = max(0, length)
        self._lasts = self._lasts and minor == b"1" and length != _CHUNKS
        expect = dict(self.headers).get(b"expect", b"").lower()
        self._answer(expected=minor == b"1" and expect == b"100-continue")
        return True

    def _answer(self, *, expected: bool) -> None:
        """Let the application answer; `expected` if the body comes when it has been asked for."""
        self._unset_keepalive_if_required()
        self.cycle = _Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=expected and self._body_left > 0,
            keep_alive=self._lasts,
            on_response=self.on_response_complete,
        )
        if not self._body_left:
            self.cycle.more_body = False
            self.cycle.message_event.set()
        self._asked = True
        self._start_asgi_task(self.cycle, self.app)

    def _refuse(self) -> None:
        self._kept.clear()
        message = "Invalid HTTP request received."
        self.logger.warning(message)
        self.send_400_response(message)


class _Cycle(RequestResponseCycle):
    """uvicorn's, which knows nothing of HTTP/1.0: there, the end of the connection is the answer's.

    RFC 9112, section 6.1: no chunks for who did not say that they speak 1.1.
    """

    async def send(self, message: Any) -> None:
        """Send part of the answer."""
        if self.scope["http_version"] == "1.0":
            self.chunked_encoding = False
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


def _body_length(headers: list[tuple[bytes, bytes]], minor: bytes) -> int | None:
    """Return how many octets follow a head, `_CHUNKS`, or None if that or its host is in doubt."""
    said = dict(headers)
    names = [name for name, _ in headers]
    if any(names.count(name) > 1 for name in _ONCE) or (minor == b"1" and b"host" not in said):
        return None
    length, coding = said.get(b"content-length"), said.get(b"transfer-encoding")
    if coding is not None:
        sound = coding.lower() == b"chunked" and length is None and minor == b"1"
        return _CHUNKS if sound else None
    if length is None:
        return 0
    return int(length) if _LENGTH.fullmatch(length) else None
