"""Addresses and spellings that a delivery must never reach, and the ones that it must."""

from __future__ import annotations

import ipaddress

import pytest

from services.errors import BadRequest
from services.webhooks.guard import Guard, is_public, read_target, system_resolve

INSIDE = [
    "0.0.0.0",  # noqa: S104  # never bound, only refused
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.1.2.3",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:168.63.129.16",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "febf::1",
    "ff02::1",
    "ff05::2",
]
OUTSIDE = [
    "1.1.1.1",
    "8.8.8.8",
    "20.42.0.1",
    "93.184.216.34",
    "223.255.255.254",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
]
LOOPBACK_SPELLINGS = [
    "localhost",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.1",
    "0x7f.1",
    "①②⑦.⓪.⓪.①",
    "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
    "127。0。0。1",
    "0",
    "[::1]",
    "[::ffff:7f00:1]",
]


@pytest.mark.parametrize("text", INSIDE)
def test_inside_is_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", OUTSIDE)
def test_outside_is_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


def guard(*addresses: str, allow_local: bool = False) -> Guard:
    return Guard(allow_local=allow_local, resolve=lambda host, port: list(addresses))


@pytest.mark.parametrize("host", LOOPBACK_SPELLINGS)
def test_however_loopback_is_spelt_it_is_refused(host: str) -> None:
    """By the system's own resolver: what it makes of a spelling is what would be connected to."""
    with pytest.raises(BadRequest):
        Guard(allow_local=False).check(f"https://{host}/")


@pytest.mark.parametrize("text", INSIDE)
def test_a_name_that_leads_inside_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="not public"):
        guard(text).check("https://innocent.example/")


def test_one_bad_address_among_good_ones_is_enough() -> None:
    with pytest.raises(BadRequest, match="not public"):
        guard("8.8.8.8", "10.0.0.1").check("https://innocent.example/")


def test_the_first_of_good_addresses_is_pinned() -> None:
    target, address = guard("8.8.8.8", "1.1.1.1").check("https://innocent.example:8443/a/b?c=d")
    assert address == "8.8.8.8"
    assert (target.secure, target.host, target.port) == (True, "innocent.example", 8443)
    assert (target.authority, target.path) == ("innocent.example:8443", "/a/b?c=d")


def test_a_name_without_addresses_cannot_be_found() -> None:
    def nothing(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    for asked in (guard(), Guard(allow_local=False, resolve=nothing)):
        with pytest.raises(BadRequest, match="cannot be found"):
            asked.check("https://innocent.example/")


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "x..y", "\u2024", "xn--" + "a" * 80])
def test_a_name_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(BadRequest):
        Guard(allow_local=False).check(f"https://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "", "innocent.example", "//innocent.example/", "http://innocent.example/", "ftp://innocent.example/",
        "file:///etc/passwd", "gopher://innocent.example/", "https:///x", "https://", "https://user@innocent.example/",
        "https://user:word@innocent.example/", "https://@innocent.example/", "https://innocent.example:99999/",
        "https://innocent.example:x/", "https://innocent.example/#part", "https://[::1/", "https://inno cent.example/",
        "https://innocent.example/\r\nHost: x", "https://innocent.example\\@127.0.0.1/", "https://a\tb/", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_an_address_that_may_not_be_called_is_refused(url: str) -> None:
    with pytest.raises(BadRequest, match=r"^url: "):
        guard("8.8.8.8").check(url)


def test_in_development_this_machine_and_plain_http_are_allowed_and_nothing_else() -> None:
    assert guard("127.0.0.1", allow_local=True).check("http://localhost:8080/")[1] == "127.0.0.1"
    assert guard("::1", allow_local=True).check("http://localhost:8080/")[1] == "::1"
    for address in ("10.0.0.1", "169.254.169.254", "192.168.1.1", INSIDE[0]):
        with pytest.raises(BadRequest, match="not public"):
            guard(address, allow_local=True).check("http://router.example/")


def test_ports_are_the_schemes_unless_they_are_given() -> None:
    assert read_target("https://a.example", allow_http=False).port == 443
    assert read_target("http://a.example", allow_http=True).port == 80
    assert read_target("https://a.example", allow_http=False).path == "/"


@pytest.mark.parametrize(
    ("url", "host", "authority"),
    [
        ("https://例え.jp/", "xn--r8jz45g.jp", "xn--r8jz45g.jp"),
        ("https://EXÄMPLE.com:8443/", "xn--exmple-cua.com", "xn--exmple-cua.com:8443"),
        ("https://\uff11\uff12\uff17.0.0.1/", "127.0.0.1", "127.0.0.1"),
        ("https://Example.com:443/", "example.com", "Example.com:443"),
    ],
)
def test_a_name_of_other_letters_is_as_certificates_and_headers_have_it(url: str, host: str, authority: str) -> None:
    found = read_target(url, allow_http=False)
    assert (found.host, found.authority) == (host, authority)


@pytest.mark.parametrize("url", ["https://ä..example/", f"https://{'ä' * 64}.example/", "https://\u2100.example/"])
def test_a_name_that_cannot_be_one_is_refused(url: str) -> None:
    with pytest.raises(BadRequest):
        guard("8.8.8.8").check(url)


def test_the_system_resolves_this_machine() -> None:
    assert set(system_resolve("localhost", 443)) <= {"127.0.0.1", "::1"}
