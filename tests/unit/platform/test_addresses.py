"""The guard before requests to addresses that customers give: what is refused, and where a request goes."""

import asyncio
import ipaddress
from collections.abc import Sequence

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairslot.platform.addresses import AddressError, GuardedTransport, Rules, canonical, check, is_public

RULES = Rules(https_ports=frozenset({443, 8443}))
HERE = Rules(https_ports=frozenset({443}), loopback=True)
INSIDE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104  # no address to listen at
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.0.9",
    "192.88.99.1",
    "198.18.0.1",
    "203.0.113.1",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::808:808",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "5f00::1",
    "100::1",
    "not a number",
]


class Names:
    """A name service that gives one answer after the other, the last one for good."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Answer."""
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def ask(url: str, names: Names, *refusing: str, rules: Rules = RULES) -> list[httpx.Request]:
    """Post through the guard; return what would have gone out. The `refusing` hosts take no connection."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if request.url.host in refusing:
            raise httpx.ConnectError("refused")
        return httpx.Response(200)

    async def run() -> None:
        transport = GuardedTransport(httpx.MockTransport(answer), rules, names)
        async with httpx.AsyncClient(transport=transport) as client:
            await client.post(url)

    asyncio.run(run())
    return sent


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_the_public_internet(address: str) -> None:
    """Private, special, and every way to write an IPv4 address into an IPv6 one."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::1"])
def test_what_is(address: str) -> None:
    """Addresses that hosts on the internet have."""
    assert is_public(address)


@given(st.ip_addresses())
def test_nothing_public_is_less_than_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """The guard refuses at least all that the registries call not global, or multicast."""
    if is_public(str(address)):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://169.254.169.254/latest/meta-data/", "blocked_address"),
        ("https://127.1/", "blocked_address"),
        ("https://2130706433/", "blocked_address"),
        ("https://0177.0.0.1/", "invalid_url"),
        ("https://017700000001/", "blocked_address"),
        ("https://0x7f.0.0.1/", "blocked_address"),
        ("https://127。0。0。1/", "blocked_address"),
        ("https://[::1]/", "blocked_address"),
        ("https://[::ffff:169.254.169.254]/", "blocked_address"),
        ("https://[64:ff9b::a9fe:a9fe]/", "blocked_address"),
        ("https://[64:ff9b:1::a9fe:a9fe]/", "blocked_address"),
        ("https://[fec0::1]/", "blocked_address"),
        ("https://localhost/", "blocked_address"),
        ("https://localhost./", "blocked_address"),
        ("https://metadata/", "blocked_address"),
        ("http://example.com/", "invalid_url"),
        ("http://127.0.0.1:8000/", "invalid_url"),
        ("https://example.com:22/", "invalid_url"),
        ("https://example.com:80/", "invalid_url"),
        ("https://example.com:0/", "invalid_url"),
        ("https://example.com:+443/", "invalid_url"),
        ("https://example.com:-443/", "invalid_url"),
        ("https://example.com: 443/", "invalid_url"),
        ("https://example.com:4_43/", "invalid_url"),
        ("https://example.com:٤٤٣/", "invalid_url"),
        ("https://[2606:4700::1111]443/", "invalid_url"),
        ("https://[2606:4700::1111]:+443/", "invalid_url"),
        ("https://me:secret@example.com/", "invalid_url"),
        ("https://me@example.com/", "invalid_url"),
        ("https://@example.com/", "invalid_url"),
        ("https://example.com\\@169.254.169.254/", "invalid_url"),
        ("https:///x", "invalid_url"),
        ("//example.com/", "invalid_url"),
        ("file:///etc/passwd", "invalid_url"),
        ("gopher://example.com/", "invalid_url"),
        ("https://exa\nmple.com/", "invalid_url"),
        ("", "invalid_url"),
        ("https://exa mple.com/", "invalid_url"),
        ("https://exa%20mple.com/", "invalid_url"),
        ("https://ex%61mple.com/", "invalid_url"),
        ("https://a..b/", "invalid_url"),
        ("https://.example.com/", "invalid_url"),
        ("https://example.com../", "invalid_url"),
        ("https://-.com/", "invalid_url"),
        ("https://-a.example/", "invalid_url"),
        ("https://a-.example/", "invalid_url"),
        ("https://a_b.example/", "invalid_url"),
        ("https://*.example.com/", "invalid_url"),
        ("https://a,b.example/", "invalid_url"),
        ("https://xn--a.example/", "invalid_url"),
        ("https://xn--bcher-kva-.example/", "invalid_url"),
        ("https://8.8.8.300/", "invalid_url"),
        ("https://8.8.8.8.8/", "invalid_url"),
        (f"https://{'a' * 64}.example/", "invalid_url"),
        (f"https://{'a.' * 124}example/", "invalid_url"),
    ],
)
def test_an_address_that_needs_no_name_server_to_be_refused(url: str, reason: str) -> None:
    """It is refused for good, without a lookup, and the error does not quote it."""
    names = Names(["8.8.8.8"])
    with pytest.raises(AddressError) as raised:
        check(url, RULES)
    assert (raised.value.reason, raised.value.final) == (reason, True)
    assert str(raised.value) == reason
    assert names.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://example.com./",
        "https://example.com:8443/x?y=1",
        "https://bücher.example/",
        "https://xn--bcher-kva.example/",
        "https://EXAMPLE.com/a%20b",
        "https://a--b.0.example/",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/",
        f"https://{'a' * 63}.example/",
        f"https://{'a.' * 123}example/",
    ],
)
def test_other_addresses_may_be_registered(url: str) -> None:
    """HTTPS, an allowed port, and a public host as far as that can be told without asking."""
    assert check(url, RULES).host


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://EXAMPLE.com", "https://example.com/"),
        ("HTTPS://example.com./", "https://example.com/"),
        ("https://example.com:443/a", "https://example.com/a"),
        ("https://example.com:/a", "https://example.com/a"),
        ("https://example.com.:0443/a", "https://example.com/a"),
        ("https://example.com:08443", "https://example.com:8443/"),
        ("https://Bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://example。com/", "https://example.com/"),
        ("https://XN--bcher-KVA.example/", "https://xn--bcher-kva.example/"),
        ("https://example.com?a=1", "https://example.com/?a=1"),
        ("https://example.com/a/../%e2%82%ac é?q=%2f#top", "https://example.com/%E2%82%AC%20%C3%A9?q=%2F"),
        ("https://example.com/%7e~%zz", "https://example.com/%7E~%zz"),
        ("https://134744072/", "https://8.8.8.8/"),
        ("https://[2606:4700:0:0::1111]:443/", "https://[2606:4700::1111]/"),
    ],
)
def test_one_address_is_written_in_one_way(one: str, other: str) -> None:
    """What is the same to whoever sends a request there is the same to whoever compares."""
    assert canonical(one, RULES) == canonical(other, RULES) == other


@given(
    st.sampled_from(["example.com", "EXAMPLE.com.", "bücher.example", "8.8.8.8", "[2606:4700:0::1111]"]),
    st.sampled_from(["", ":", ":443", ":8443", ":00443"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20).map(lambda one: "/" + one),
)
def test_what_is_kept_is_what_is_requested(host: str, port: str, rest: str) -> None:
    """The one way stays as it is when it is read again, by us and by the client that sends the request."""
    kept = canonical(f"https://{host}{port}{rest}", RULES)
    assert canonical(kept, RULES) == kept
    assert str(httpx.Request("POST", kept).url) == kept


@pytest.mark.parametrize("inside", INSIDE)
def test_one_inside_address_among_public_ones_is_enough(inside: str) -> None:
    """Nothing goes out, not to the public ones either; another attempt may find the name mended."""
    names = Names(["93.184.216.34", inside, "2606:4700::1111"])
    with pytest.raises(AddressError) as raised:
        ask("https://partner.example/hook", names)
    assert (raised.value.reason, raised.value.final) == ("blocked_address", False)


def test_the_connection_goes_to_the_address_that_was_looked_at() -> None:
    """A name that points inside a moment later changes nothing: it is asked once."""
    names = Names(["93.184.216.34"], ["127.0.0.1"])

    (sent,) = ask("https://partner.example:8443/hook?a=1", names)

    assert names.asked == ["partner.example"]
    assert str(sent.url) == "https://93.184.216.34:8443/hook?a=1"
    assert sent.headers["Host"] == "partner.example:8443"
    assert sent.extensions["sni_hostname"] == "partner.example"


def test_a_name_in_another_script_is_asked_and_named_in_ascii() -> None:
    """What DNS, Host and TLS know is the ASCII form."""
    names = Names(["2606:4700::1111"])
    (sent,) = ask("https://Bücher.example./hook", names)
    assert names.asked == ["xn--bcher-kva.example"]
    assert sent.extensions["sni_hostname"] == "xn--bcher-kva.example"
    assert str(sent.url) == "https://[2606:4700::1111]/hook"


def test_an_address_that_takes_no_connection_is_followed_by_the_next() -> None:
    """As any client does with a name of several addresses; the last one's failure is the request's."""
    both = Names(["2606:4700::1111", "93.184.216.34"])
    sent = ask("https://partner.example/", both, "2606:4700::1111")
    assert [request.url.host for request in sent] == ["2606:4700::1111", "93.184.216.34"]
    with pytest.raises(httpx.ConnectError):
        ask("https://partner.example/", both, "2606:4700::1111", "93.184.216.34")


def test_a_name_that_is_none_is_a_broken_connection() -> None:
    """The same as with any client."""
    with pytest.raises(httpx.ConnectError):
        ask("https://partner.example/", Names([]))


def test_on_the_own_machine_plain_http_goes_to_127_0_0_1_and_nowhere_else() -> None:
    """The local stack lets a person try with a subscriber of their own; the rest stays closed."""
    nobody = Names(["127.0.0.1"])
    (sent,) = ask("http://127.0.0.1:8000/hook", nobody, rules=HERE)
    assert str(sent.url) == "http://127.0.0.1:8000/hook"
    for url in (
        "http://localhost:8000/",
        "http://127.0.0.2:8000/",
        "http://127.1:8000/",
        "https://127.0.0.1/",
        "http://[::1]:8000/",
        "http://10.0.0.1/",
        "http://169.254.169.254/",
        "http://here.example/",
        "https://here.example/",
        "http://me@127.0.0.1:8000/",
    ):
        with pytest.raises(AddressError):
            ask(url, nobody, rules=HERE)
