"""No hostile address is called: beside real sockets that count who connects, and a resolver that lies."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trustme

from backbone.values.networks import networks_of
from services.webhooks.addresses import Refused, Rules
from services.webhooks.calling import Answer, Caller, Unreached
from tests.integration.receivers import Listener, listening

LOCAL = ("127.0.0.1", "::1")

NAMES: dict[str, Sequence[str]] = {
    "loopback.example.com": ["127.0.0.1"],
    "loopback6.example.com": ["::1"],
    "mapped.example.com": ["::ffff:127.0.0.1"],
    "compatible.example.com": ["::127.0.0.1"],
    "nat64.example.com": ["64:ff9b::7f00:1"],
    "local-nat64.example.com": ["64:ff9b:1::7f00:1"],
    "sixtofour.example.com": ["2002:7f00:1::1"],
    "teredo.example.com": ["2001:0:7f00:1::80ff:fffe"],
    "isatap.example.com": ["2a00:1450:4001::5efe:7f00:1"],
    "ten.example.com": ["10.0.0.5"],
    "metadata.example.com": ["169.254.169.254"],
    "metadata6.example.com": ["fd00:ec2::254"],
    "azure.example.com": ["168.63.129.16"],
    "alibaba.example.com": ["100.100.100.200"],
    "oracle.example.com": ["192.0.0.192"],
    "unspecified.example.com": ["0.0.0.0"],  # noqa: S104 (nobody listens)
    "scoped.example.com": ["fe80::1%lo"],
    "mixed.example.com": ["93.184.215.14", "127.0.0.1"],
    "mixed-last.example.com": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::1"],
    "nonsense.example.com": ["not-an-address"],
    "localhost.example.com": ["localhost"],
}
"""What the resolver says of names that somebody else owns."""

HOSTILE_HOSTS = (
    # one's own machine, however it is written
    *("127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001"),
    *("0177.0.0.1", "127.0.0.01", "0x7f.1", "00127.0.0.1", "127.0.0.1.", "0", "0.0.0.0", "0x0", "0.0.0.0."),  # noqa: S104
    *("localhost", "LOCALHOST", "localhost.", "127.0.0.1%00.example.com", "127.0.0.256", "4294967297"),
    *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::7f00:1]"),
    *("[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::80ff:fffe]"),
    *("[fe80::1%25lo]", "[::1%25lo]", "[::1", "::1", "[v1.::1]", "[2a00:1450:4001::5efe:7f00:1]"),
    # digits and letters that only look like others
    *("１２７.０.０.１", "①②⑦.⓪.⓪.①", "127。0。0。1", "127．0．0．1", "lоcalhost", "ⓛocalhost", "loc\u00adalhost"),
    *("xn--127-.0.0.1", "xn--a.example.com", "xn--lcalhost-55a", "٣٣٣.example.com", "bücher.example.com"),
    # neighbours, and the cloud's own secrets
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.1.1", "198.18.0.1"),
    *("169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[::ffff:169.254.169.254]"),
    *("169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192", "[fd00:ec2::254]", "metadata"),
    *("[fc00::1]", "[fd12:3456::1]", "[fec0::1]", "[fe80::1]", "[ff02::1]", "[2001:db8::1]", "[3fff::1]"),
    *("224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1"),
    # what a name of theirs resolves to
    *NAMES,
)

HOSTILE_URLS = (
    # users, and what makes two parsers disagree about where the host is
    *("http://user@127.0.0.1:{port}/", "http://user:secret@127.0.0.1:{port}/", "http://example.com@127.0.0.1:{port}/"),
    *("http://127.0.0.1:{port}@example.com/", "http://example.com:80@127.0.0.1:{port}/", "http://@127.0.0.1:{port}/"),
    *("http://example.com\\@127.0.0.1:{port}/", "http://127.0.0.1:{port}\\@example.com/", "http:\\\\127.0.0.1:{port}/"),
    *("http://example.com#@127.0.0.1:{port}/", "http://127.0.0.1:{port}#@example.com/", "http:/127.0.0.1:{port}/"),
    *("http:127.0.0.1:{port}/", "http:///127.0.0.1:{port}/", "//127.0.0.1:{port}/", "127.0.0.1:{port}/", ""),
    *("http://127.0.0.1:{port}%2f@example.com", "http://%31%32%37.0.0.1:{port}/", "http://127%2e0.0.1:{port}/"),
    *("http://example.com%00.127.0.0.1:{port}/", "http://127.0.0.1 .example.com:{port}/", " http://127.0.0.1:{port}/"),
    *("http://127.0.0.1\t:{port}/", "http://127.0.0.1:{port}/\r\nHost: example.com", "http://127.0.0.1\n:{port}/"),
    *("ht\ntp://127.0.0.1:{port}/", "http://[127.0.0.1]:{port}/", "http://[::ffff:127.0.0.1%25]:{port}/"),
    *("http://example.com /", "http://ex ample.com/", "http://-a.example.com/", "http://a..example.com/"),
    # schemes
    *("ftp://127.0.0.1:{port}/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/_x", "dict://127.0.0.1:{port}/"),
    *("ws://127.0.0.1:{port}/", "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun%2Fdocker.sock/"),
    *("javascript:alert(1)", "data:text/plain,x", "ldap://127.0.0.1:{port}/", "jar:http://127.0.0.1:{port}/!/"),
    *("HTTP://127.0.0.1:{port}/", "hTtPs://127.0.0.1:{port}/"),
    # ports
    *("http://93.184.215.14:22/", "http://93.184.215.14:25/", "http://93.184.215.14:6379/", "https://93.184.215.14:1/"),
    *(
        "http://93.184.215.14:0/",
        "http://93.184.215.14:65536/",
        "http://93.184.215.14:99999/",
        "http://a.example.com:/",
    ),
    *(
        "http://93.184.215.14:080/",
        "http://93.184.215.14:+80/",
        "http://93.184.215.14:-80/",
        "http://a.example.com:８０/",
    ),
    *("http://93.184.215.14:80:{port}/", "http://93.184.215.14:0x50/", "http://93.184.215.14:80 /"),
    "http://example.com/" + "a" * 2000,
)


@pytest.fixture
async def sockets() -> AsyncIterator[list[Listener]]:
    """Real servers on one port of every loopback address there is."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(listening("127.0.0.1"))
        others = [await stack.enter_async_context(listening(host, first.port)) for host in ("::1", "127.0.0.2")]
        yield [first, *others]


@asynccontextmanager
async def calling(
    port: int, *, allowed: str = "", resolve: "Resolver | None" = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Caller]:
    """A caller to which the listeners' port is as good as any other: it is never the reason."""
    rules = Rules(frozenset({80, 443, port}), networks_of(allowed))
    caller = Caller(rules, 5.0, resolve=(resolve or Resolver(NAMES)).resolve, tls=tls)
    yield caller
    await caller.aclose()


class Resolver:
    """Answers what it is told to, another answer each time where it is told several, and counts."""

    def __init__(self, names: dict[str, Sequence[str]], *then: dict[str, Sequence[str]]) -> None:
        self._answers = [names, *then]
        self.asked = 0

    async def resolve(self, host: str) -> Sequence[str]:
        self.asked += 1
        return self._answers[min(self.asked, len(self._answers)) - 1][host]


def test_there_are_hostile_addresses_enough() -> None:
    assert len(set(HOSTILE_HOSTS)) + len(set(HOSTILE_URLS)) >= 60


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_hostile_host_is_connected_to(sockets: list[Listener], scheme: str) -> None:
    port = sockets[0].port
    async with calling(port) as caller:
        for host in HOSTILE_HOSTS:
            with pytest.raises(Refused):
                await caller.post(f"{scheme}://{host}:{port}/hook", {}, b"{}")
    assert [each.connections for each in sockets] == [0, 0, 0]


async def test_no_hostile_url_is_connected_to(sockets: list[Listener]) -> None:
    port = sockets[0].port
    async with calling(port) as caller:
        for url in HOSTILE_URLS:
            with pytest.raises(Refused):
                await caller.post(url.replace("{port}", str(port)), {}, b"{}")
    assert [each.connections for each in sockets] == [0, 0, 0]


async def test_the_same_sockets_are_reached_where_a_setting_allows_them(sockets: list[Listener]) -> None:
    port = sockets[0].port
    async with calling(port, allowed="127.0.0.0/8,::1") as caller:
        for host in ("127.0.0.1", "[::1]", "127.0.0.2", "loopback.example.com"):
            assert (await caller.post(f"http://{host}:{port}/hook", {}, b"{}")).status == 200
    assert [each.connections for each in sockets] == [2, 1, 1]


@pytest.mark.parametrize("name", ["nat64.example.com", "local-nat64.example.com", "mapped.example.com"])
async def test_a_network_that_is_allowed_does_not_open_what_is_wrapped_in_it(
    sockets: list[Listener], name: str
) -> None:
    port = sockets[0].port
    async with calling(port, allowed="64:ff9b::/96,64:ff9b:1::/48,::ffff:0:0/96") as caller:
        with pytest.raises(Refused):
            await caller.post(f"http://{name}:{port}/", {}, b"{}")
    assert sockets[0].connections == 0


async def test_a_name_is_resolved_once_and_called_at_the_address_that_was_checked(sockets: list[Listener]) -> None:
    first, _, second = sockets
    turning = Resolver({"turns.example.com": ["127.0.0.2"]}, {"turns.example.com": ["127.0.0.1"]})
    async with calling(first.port, allowed="127.0.0.2", resolve=turning) as caller:
        assert (await caller.post(f"http://turns.example.com:{first.port}/", {}, b"{}")).status == 200
        assert (turning.asked, first.connections, second.connections) == (1, 0, 1)
        await second.drop()
        with pytest.raises(Refused):
            await caller.post(f"http://turns.example.com:{first.port}/", {}, b"{}")
    assert (turning.asked, first.connections, second.connections) == (2, 0, 1)


@pytest.mark.parametrize("target", ["/a;b/c;v=1", "/hook;key=secret?a=1;b", "/a//b/../c;x", "?a=b;c", ""])
async def test_an_address_is_called_at_the_target_that_it_names(sockets: list[Listener], target: str) -> None:
    first = sockets[0]
    async with calling(first.port, allowed="127.0.0.1") as caller:
        await caller.post(f"http://127.0.0.1:{first.port}{target}", {}, b"{}")
    assert [each.target for each in first.requests] == [target if target.startswith("/") else f"/{target}"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_followed(sockets: list[Listener], status: int) -> None:
    first, _, second = sockets
    second.answer = (status, {"Location": f"http://127.0.0.1:{first.port}/"}, b"")
    async with calling(first.port, allowed="127.0.0.2") as caller:
        assert (await caller.post(f"http://127.0.0.2:{first.port}/", {}, b"{}")).status == status
    assert (first.connections, second.connections) == (0, 1)


async def test_a_proxy_of_the_environment_is_not_used(sockets: list[Listener], monkeypatch: pytest.MonkeyPatch) -> None:
    first, _, second = sockets
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{first.port}")
    async with calling(first.port, allowed="127.0.0.2") as caller:
        await caller.post(f"http://127.0.0.2:{first.port}/", {}, b"{}")
    assert (first.connections, second.connections) == (0, 1)


@pytest.mark.parametrize(("host", "named"), [("hooks.example.com", "hooks.example.com"), ("127.0.0.1", None)])
async def test_a_checked_address_is_told_the_name_it_was_called_by(host: str, named: str | None) -> None:
    authority = trustme.CA()
    server, client = (ssl.SSLContext(each) for each in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    authority.issue_cert(host).configure_cert(server)
    authority.configure_trust(client)
    async with listening("127.0.0.1", tls=server) as listener:
        resolver = Resolver({"hooks.example.com": ["127.0.0.1"]})
        async with calling(listener.port, allowed="127.0.0.1", resolve=resolver, tls=client) as caller:
            answer = await caller.post(f"https://{host}:{listener.port}/hook?a=b", {"X-Mine": "yes"}, b'{"a":1}')
    [request] = listener.requests
    assert answer.status == 200
    assert listener.server_names == [named]
    assert request.headers["host"] == f"{host}:{listener.port}"
    assert (request.target, request.headers["x-mine"], request.body) == ("/hook?a=b", "yes", b'{"a":1}')


async def test_a_certificate_for_another_name_is_not_trusted() -> None:
    authority = trustme.CA()
    server, client = (ssl.SSLContext(each) for each in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    authority.issue_cert("other.example.com", "127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    async with listening("127.0.0.1", tls=server) as listener:
        resolver = Resolver({"hooks.example.com": ["127.0.0.1"]})
        async with calling(listener.port, allowed="127.0.0.1", resolve=resolver, tls=client) as caller:
            with pytest.raises(Unreached):
                await caller.post(f"https://hooks.example.com:{listener.port}/", {}, b"{}")
    assert listener.requests == []


async def test_the_next_address_of_a_name_is_called_where_the_first_does_not_answer(sockets: list[Listener]) -> None:
    first = sockets[0]
    resolver = Resolver({"two.example.com": ["127.0.0.3", "127.0.0.1"]})
    async with calling(first.port, allowed="127.0.0.0/8", resolve=resolver) as caller:
        assert (await caller.post(f"http://two.example.com:{first.port}/", {}, b"{}")).status == 200


async def test_an_answer_is_read_only_so_far(sockets: list[Listener]) -> None:
    first = sockets[0]
    first.answer = (200, {"Retry-After": "7"}, b"a" * 5_000_000)
    async with calling(first.port, allowed="127.0.0.1") as caller:
        answer = await caller.post(f"http://127.0.0.1:{first.port}/", {}, b"{}")
    assert isinstance(answer, Answer)
    assert (answer.status, answer.text) == (200, "a" * 16_384)
    assert answer.retry_after is not None
    assert answer.retry_after.total_seconds() == 7


async def test_a_receiver_that_drips_is_cut_off() -> None:
    async with listening("127.0.0.1", drips=True) as listener:
        caller = Caller(Rules(frozenset({listener.port}), networks_of("127.0.0.1")), 0.2)
        with pytest.raises(Unreached, match=r"no answer within 0\.2 s"):
            await caller.post(f"http://127.0.0.1:{listener.port}/", {}, b"{}")
        await caller.aclose()


async def test_a_name_that_does_not_resolve_is_nobody() -> None:
    caller = Caller(Rules(), 5.0)
    with pytest.raises(Unreached):
        await caller.post("http://nobody.invalid/", {}, b"{}")
    await caller.aclose()


async def test_a_slow_name_holds_up_no_other(sockets: list[Listener]) -> None:
    first = sockets[0]
    never = asyncio.Event()

    class Slow(Resolver):
        async def resolve(self, host: str) -> Sequence[str]:
            if host == "slow.example.com":
                await never.wait()
            return ["127.0.0.1"]

    async with calling(first.port, allowed="127.0.0.1", resolve=Slow({})) as caller:
        slow = asyncio.create_task(caller.post(f"http://slow.example.com:{first.port}/", {}, b"{}"))
        assert (await caller.post(f"http://quick.example.com:{first.port}/", {}, b"{}")).status == 200
        assert not slow.done()
        slow.cancel()
