from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import SourceError
from runtime.sources import open_source
from runtime.sources.address import address_from_uri, masked, misspelt, scheme_of


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://10.0.0.7:554/live", "rtsp://10.0.0.7:554/live"),
        ("rtsp://admin:s3cret@10.0.0.7:554/live", "rtsp://***@10.0.0.7:554/live"),
        ("rtsp://admin@10.0.0.7/live", "rtsp://***@10.0.0.7/live"),
        ("rtsp://admin:s3@cret@10.0.0.7/live", "rtsp://***@10.0.0.7/live"),
        ("rtsp://admin:s3/cr#et@10.0.0.7/live", "rtsp://***@10.0.0.7/live"),
        ("rtsp://admin:3/cret@10.0.0.7/live", "rtsp://***@10.0.0.7/live"),
        ("rtsp://10.0.0.7/user=me&password=s3cret&channel=1", "rtsp://10.0.0.7/user=***&password=***&channel=1"),
        ("http://x/v.cgi?usr=me&PWD=s3cret&fps=5", "http://x/v.cgi?usr=***&PWD=***&fps=5"),
        ("http://x/v?Token=s3cret#s3", "http://x/v?Token=***#s3"),
        ("http://x/monkey=1?mail=a@b", "http://x/monkey=1?mail=a@b"),
        ("clip?user=me.mp4", "clip?user=me.mp4"),
    ],
)  # fmt: skip
def test_masked(uri: str, shown: str) -> None:
    assert masked(uri) == shown


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp:/me:s3cret@camera/live", "***@camera/live"),
        (" rtsp://me:s3cret@camera/live", " rtsp://***@camera/live"),
        ("me:s3/c@ret@camera/live", "***@camera/live"),
        ("1http://camera/?token=s3cret", "1http://camera/?token=***"),
        ("rtsp://me:s3cret@camera/live", None),
        ("clips/a@b.mp4", None),
        ("C:\\clips\\a.mp4", None),
    ],
)
def test_what_was_meant_as_an_address(uri: str, shown: str | None) -> None:
    assert misspelt(uri) == shown


passwords = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=9)
users = passwords.filter(lambda text: not set("/?#") & set(text))


@given(user=passwords, password=passwords)
def test_whatever_stands_before_the_host_is_masked(user: str, password: str) -> None:
    assert masked(f"rtsp://{user}:{password}@camera:554/live") == "rtsp://***@camera:554/live"


@given(user=users, password=passwords)
def test_user_and_password_of_the_environment(user: str, password: str) -> None:
    login = {"EDGECLS_SOURCE_USER": user, "EDGECLS_SOURCE_PASSWORD": password}
    address = address_from_uri("rtsp://camera:554/live?a=b", login)
    assert address.shown == "rtsp://camera:554/live?a=b"
    assert (address.host, masked(address.uri)) == ("camera", "rtsp://***@camera:554/live?a=b")
    assert repr(address) == "Address(rtsp://camera:554/live?a=b)"
    given_already = "rtsp://me:mine@camera/"
    assert address_from_uri(given_already, login).uri == given_already


@pytest.mark.parametrize(
    "uri",
    [
        "rtsp://", "rtsp:///live", "http://me:s3cret@/x", "rtsp://me:s3cret@camera:99999/live",
        "rtsp://me:s3/cret@camera/live", "http://[::1/x", "http://me:s3cret@x/a b",
        "http://me:s3cret@x/a\nb", "http://me:s3cret@x/\0", "http://me:s3cret@x:port/",
    ],
)  # fmt: skip
def test_what_is_no_address(uri: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(uri)
    assert "s3" not in str(caught.value) + caught.value.hint
    assert "\n" not in str(caught.value)


@given(st.text())
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    for uri in (f"rtsp://{text}", f"http://{text}", text):
        masked(uri)
        if scheme_of(uri) is None:
            continue
        try:
            address = address_from_uri(uri)
        except SourceError:
            continue
        assert address.host


@pytest.mark.parametrize("uri", ["rtmp://me:s3cret@x/live", "udp://@:1234", "srt://x?key=s3"])
def test_other_streams_are_refused_in_one_sentence(uri: str) -> None:
    with pytest.raises(SourceError, match="a kind of stream that is not read here") as caught:
        open_source(uri)
    assert "rtsp://" in caught.value.hint
    assert "s3" not in str(caught.value)
