import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgctl.core.check import Page, Target
from wgctl.core.errors import Invalid

_hosts = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True) | st.just("[fdaa:0:18::3]")
_paths = st.from_regex(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,40}", fullmatch=True)
_targets = st.builds(Target, st.integers(1, 65535), st.none() | st.builds(Page, _hosts, _paths))


@given(_targets)
def test_a_target_is_read_back_from_its_text(target: Target) -> None:
    assert Target.parse(str(target)) == target


@pytest.mark.parametrize(
    ("text", "port", "authority", "path"),
    [
        ("tcp:5432", 5432, "", None),
        ("http://web.internal", 80, "web.internal", "/"),
        ("http://web.internal:80/", 80, "web.internal", "/"),
        ("http://Web.internal:8080/Health?full=1", 8080, "web.internal:8080", "/Health?full=1"),
        ("http://192.0.2.1:8080/", 8080, "192.0.2.1:8080", "/"),
        ("http://[fdaa::3]/x", 80, "[fdaa::3]", "/x"),
    ],
)
def test_an_url_gives_port_host_and_path_alone(
    text: str, port: int, authority: str, path: str | None
) -> None:
    target = Target.parse(text)

    assert (target.port, target.authority) == (port, authority)
    assert (target.page and target.page.path) == path


def test_a_report_names_the_port_and_no_word_of_the_url() -> None:
    assert Target.parse("tcp:5432").place == "tcp 5432"
    assert Target.parse("http://web.internal/secret?token=1").place == "http 80"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected tcp:PORT or http://"),
        ("5432", "expected tcp:PORT or http://"),
        ("tcp:0", "expected tcp:PORT"),
        ("tcp:65536", "port 65536, expected 1 to 65535"),
        ("tcp:\u0665", "expected tcp:PORT"),
        ("udp:53", "expected tcp:PORT"),
        ("https://web.internal/", "https, expected http"),
        ("http://web.internal:99999/", "port 99999, expected 1 to 65535"),
        ("http:///health", "expected tcp:PORT or http://"),
        ("http://user:word@web.internal/", "expected tcp:PORT or http://"),
        ("http://web.internal/a b", "expected tcp:PORT or http://"),
        ("http://web.internal/#part", "expected tcp:PORT or http://"),
        ("http://web.internal/\r\nHost: other", "expected tcp:PORT or http://"),
        ("http://web\r\n.internal/", "expected tcp:PORT or http://"),
        ("http://web.internal/\n", "expected tcp:PORT or http://"),
        (f"http://web.internal/{'x' * 1024}", "expected tcp:PORT or http://"),
        (f"http://{'w' * 254}/", "expected tcp:PORT or http://"),
    ],
)
def test_what_is_no_target_is_refused(text: str, said: str) -> None:
    with pytest.raises(Invalid, match="check ") as refusal:
        Target.parse(text)

    assert said in str(refusal.value)
    assert str(refusal.value).isprintable()


@given(st.text() | st.from_regex(r"(tcp:|http://)[ -~]{0,30}"))
def test_no_text_puts_a_line_of_its_own_into_a_request(text: str) -> None:
    try:
        target = Target.parse(text)
    except Invalid:
        return
    said = target.authority + (target.page.path if target.page else "")

    assert said.isascii()
    assert not set(said) & set(" \r\n\t#")
