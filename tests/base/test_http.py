"""The guarded way out, against real servers on the loopback."""

from __future__ import annotations

import gzip
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from podi.base import http
from podi.base.http.addresses import is_allowed, parse_networks
from tests.simulators.files import File, FileServer

LOOPBACK = ("127.0.0.0/8",)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


def get(url: str, *, networks: Sequence[str] = LOOPBACK, timeout_s: float = 5, **more: object) -> http.Answer:
    options: dict[str, object] = {"max_bytes": 100_000, **more}
    return http.request("GET", url, timeout_s=timeout_s, allowed_networks=networks, **options)  # type: ignore[arg-type]


def test_an_answer_comes_whole_with_status_headers_and_address(server: FileServer) -> None:
    server.files["/a"] = File(body=b"hello", status=201, headers={"X-Colour": "red"})
    answer = get(server.url("/a?x=1"))
    assert (answer.status, answer.body, answer.headers["x-colour"]) == (201, b"hello", "red")
    assert answer.url == server.url("/a?x=1")


def test_a_body_is_sent_with_its_headers_and_no_encoding_is_asked_for(server: FileServer) -> None:
    server.files["/hook"] = File(body=b"ok")
    http.request(
        "POST",
        server.url("/hook"),
        headers={"X-Sign": "abc"},
        body=b'{"a":1}',
        timeout_s=5,
        max_bytes=100,
        allowed_networks=LOOPBACK,
    )
    asked = server.journal[0]
    assert (asked.method, asked.body, asked.headers["x-sign"]) == ("POST", b'{"a":1}', "abc")
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["host"] == f"127.0.0.1:{server.port}"


def test_proxies_of_the_environment_are_ignored(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.files["/a"] = File(body=b"direct")
    assert get(server.url("/a")).body == b"direct"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16", "198.18.0.1", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "192.88.99.1", "203.0.113.7",
        "::1", "::", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1",
        "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1",
        "2002:7f00:1::", "2002:808:808::1", "2001:0:1::1", "2001:db8::1",
        "fec0::1", "not an address", "",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_not_allowed(address: str) -> None:
    assert not is_allowed(address, ())


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_allowed(address, ())


def test_an_opened_network_is_allowed_in_every_spelling_and_no_other_is() -> None:
    networks = parse_networks(("10.1.0.0/16", "fd00:1::/32"))
    assert all(is_allowed(address, networks) for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"))
    assert not any(is_allowed(address, networks) for address in ("10.2.0.1", "fd00:2::5", "127.0.0.1"))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "LOCALHOST.", "2130706433", "0x7f.1", "127.1", "0", "[::1]", "[::ffff:127.0.0.1]",
     "①②⑦.⓪.⓪.①"],
)  # fmt: skip
def test_the_loopback_is_forbidden_in_every_spelling(server: FileServer, host: str) -> None:
    server.files["/a"] = File(body=b"secret")
    with pytest.raises(http.OutboundError) as caught:
        get(server.url("/a", host=host), networks=())
    assert isinstance(caught.value, http.Forbidden | http.Unreachable)
    assert not caught.value.was_sent
    assert server.journal == []


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("ftp://example.com/a", http.Forbidden),
        ("file:///etc/passwd", http.Forbidden),
        ("gopher://example.com/", http.Forbidden),
        ("http://user:pass@example.com/", http.Forbidden),
        ("http://user@example.com/", http.Forbidden),
        ("http://example.com:22/", http.Forbidden),
        ("http://example.com:6379/", http.Forbidden),
        ("http://[fe80::1%25eth0]/", http.Forbidden),
        ("http://exa mple.com/", http.InvalidUrl),
        ("http://example.com\\@127.0.0.1/", http.InvalidUrl),
        ("http://example.com/\r\nHost: x", http.InvalidUrl),
        ("http:///nohost", http.InvalidUrl),
        ("http://example.com:99999/", http.InvalidUrl),
        ("http://[::1", http.InvalidUrl),
        ("a red cup", http.InvalidUrl),
        ("http://" + "a" * 9000, http.InvalidUrl),
    ],
)
def test_an_address_that_is_none_or_not_for_us_is_refused_unvisited(url: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        get(url)
    with pytest.raises(error):
        http.check_url(url)


def test_a_check_without_visit_knows_forbidden_ip_addresses() -> None:
    http.check_url("https://example.com/a.png")
    http.check_url("http://127.0.0.1:8000/a.png", allowed_networks=LOOPBACK)
    with pytest.raises(http.Forbidden):
        http.check_url("http://169.254.169.254/latest/meta-data")


def test_one_forbidden_address_among_several_forbids_the_name(server: FileServer) -> None:
    server.files["/a"] = File(body=b"secret")
    with pytest.raises(http.Forbidden):
        get(server.url("/a", host="mixed.test"), resolver=lambda host, port: ["127.0.0.1", "10.0.0.1"])
    assert server.journal == []


def test_a_name_that_answers_differently_the_second_time_is_asked_once(server: FileServer) -> None:
    """DNS rebinding: the connection goes to the address that was checked, whatever the name says a moment later."""
    server.files["/a"] = File(body=b"pinned")
    answers = iter([["127.0.0.1"], ["127.0.0.2"], ["10.0.0.1"]])
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    assert get(server.url("/a", host="rebinding.test"), resolver=resolver, networks=["127.0.0.1/32"]).body == b"pinned"
    assert asked == ["rebinding.test"]
    assert server.journal[0].headers["host"] == f"rebinding.test:{server.port}"


def test_the_second_address_is_tried_when_the_first_is_dead(server: FileServer) -> None:
    server.files["/a"] = File(body=b"here")
    url = server.url("/a", host="two.test")
    assert get(url, resolver=lambda host, port: ["127.0.0.9", "127.0.0.1"]).body == b"here"


def test_a_name_nobody_knows_and_a_closed_port_are_unreachable() -> None:
    def nobody(host: str, port: int) -> list[str]:
        raise socket.gaierror("unknown")

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        for attempt in (
            lambda: get("http://nobody.test/", resolver=nobody),
            lambda: get(f"http://127.0.0.1:{port}/"),
        ):
            with pytest.raises(http.Unreachable) as caught:
                attempt()
            assert not caught.value.was_sent


def test_a_name_lookup_that_hangs_ends_at_the_deadline() -> None:
    with pytest.raises(http.TimedOut) as caught:
        get("http://slow.test/", resolver=lambda host, port: time.sleep(3) or ["127.0.0.1"], timeout_s=0.2)
    assert not caught.value.was_sent


def test_redirects_are_answers_unless_they_may_be_followed(server: FileServer) -> None:
    server.files["/a"] = File(status=302, headers={"Location": "/b"})
    server.files["/b"] = File(body=b"there")
    assert get(server.url("/a")).status == 302
    followed = get(server.url("/a"), max_redirects=1)
    assert (followed.status, followed.body, followed.url) == (200, b"there", server.url("/b"))


def test_too_many_redirects_end(server: FileServer) -> None:
    server.files["/a"] = File(status=302, headers={"Location": "/a"})
    with pytest.raises(http.TooManyRedirects):
        get(server.url("/a"), max_redirects=3)
    assert len(server.journal) == 4


@pytest.mark.parametrize(
    "location", ["http://10.0.0.1/x", "http://localhost:{port}/secret", "file:///etc/passwd", "http://u:p@127.0.0.1:{port}/secret"]
)  # fmt: skip
def test_a_redirect_is_checked_like_the_first_address(server: FileServer, location: str) -> None:
    server.files["/a"] = File(status=302, headers={"Location": location.format(port=server.port)})
    server.files["/secret"] = File(body=b"secret")

    def resolver(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "outside.test" else ["127.0.0.3"]

    with pytest.raises(http.Forbidden):
        get(server.url("/a", host="outside.test"), networks=["127.0.0.1/32"], resolver=resolver, max_redirects=3)
    assert [asked.path for asked in server.journal] == ["/a"]


def test_secrets_do_not_follow_a_redirect_to_another_origin(server: FileServer) -> None:
    with FileServer() as other:
        server.files["/a"] = File(status=307, headers={"Location": other.url("/b")})
        other.files["/b"] = File(body=b"ok")
        http.request(
            "POST",
            server.url("/a"),
            headers={"Authorization": "Bearer invented", "X-Api-Key": "invented", "Accept": "image/*"},
            body=b"{}",
            timeout_s=5,
            max_bytes=100,
            max_redirects=1,
            allowed_networks=LOOPBACK,
        )
        assert server.journal[0].headers["authorization"] == "Bearer invented"
        assert not {"authorization", "x-api-key"} & set(other.journal[0].headers)
        assert (other.journal[0].method, other.journal[0].headers["accept"]) == ("POST", "image/*")


def test_a_body_that_declares_too_much_is_not_read(server: FileServer) -> None:
    server.files["/a"] = File(body=b"x", declared=10_000_000)
    with pytest.raises(http.TooLarge):
        get(server.url("/a"), max_bytes=1000)


@pytest.mark.parametrize("file", [File(body=b"x" * 5000, is_chunked=True), File(body=b"x" * 5000, declared=-1)])
def test_a_body_that_declares_nothing_is_counted(server: FileServer, file: File) -> None:
    server.files["/a"] = file
    with pytest.raises(http.TooLarge):
        get(server.url("/a"), max_bytes=4999)


@pytest.mark.parametrize(
    "file",
    [
        File(body=b"x" * 100, declared=5000),
        File(body=b"x" * 5000, cut_after=100),
        File(body=b"x" * 5000, is_chunked=True, cut_after=1500),
        File(raw=b"SSH-2.0-OpenSSH_9.2\r\n"),
        File(raw=b""),
        File(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabc"),
        File(raw=b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"),
        File(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc"),
    ],
)
def test_an_answer_that_cannot_be_believed_is_broken(server: FileServer, file: File) -> None:
    server.files["/a"] = file
    with pytest.raises(http.BrokenAnswer) as caught:
        get(server.url("/a"))
    assert caught.value.was_sent


@pytest.mark.parametrize("drip", ["head", "body"])
def test_a_server_that_drips_gains_no_time(server: FileServer, drip: str) -> None:
    server.files["/a"] = File(body=b"x" * 500, drip=drip, drip_s=0.02)
    begun = time.monotonic()
    with pytest.raises(http.TimedOut) as caught:
        get(server.url("/a"), timeout_s=0.4)
    assert time.monotonic() - begun < 1.5
    assert caught.value.was_sent


def test_a_compressed_body_is_never_unpacked(server: FileServer) -> None:
    bomb = gzip.compress(bytes(5_000_000))
    server.files["/a"] = File(body=bomb, headers={"Content-Encoding": "gzip"})
    with (
        http.open_url(server.url("/a"), timeout_s=5, max_bytes=100_000, allowed_networks=LOOPBACK) as answer,
        pytest.raises(http.BrokenAnswer),
    ):
        list(answer.iter_bytes())
    assert get(server.url("/a")).body == bomb


def test_a_stream_comes_in_pieces(server: FileServer) -> None:
    server.files["/a"] = File(body=b"x" * 200_000)
    with http.open_url(server.url("/a"), timeout_s=5, max_bytes=200_000, allowed_networks=LOOPBACK) as answer:
        assert answer.status == 200
        pieces = list(answer.iter_bytes())
    assert len(pieces) > 1
    assert sum(map(len, pieces)) == 200_000


@pytest.mark.parametrize(
    "headers", [{"Host": "inner"}, {"Content-Length": "0"}, {"X": "a\r\nY: b"}, {"X Y": "1"}, {"X": "名"}, {"": "x"}]
)
def test_headers_that_would_change_the_request_are_refused(server: FileServer, headers: dict[str, str]) -> None:
    with pytest.raises(http.Forbidden):
        get(server.url("/a"), headers=headers)
    assert server.journal == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate for pictures.test (and 127.0.0.1's none), which signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pictures.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("pictures.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


def test_tls_is_verified_for_the_name_while_the_connection_goes_to_the_address(
    certificate: tuple[Path, ssl.SSLContext],
) -> None:
    path, context = certificate
    seen: list[str | None] = []
    context.sni_callback = lambda sock, name, ctx: seen.append(name)
    with FileServer(tls=context) as server:
        server.files["/a"] = File(body=b"safe")
        there = {"resolver": lambda host, port: ["127.0.0.1"]}
        assert get(server.url("/a", host="pictures.test"), ca_file=str(path), **there).body == b"safe"
        assert seen == ["pictures.test"]
        assert server.journal[0].headers["host"] == f"pictures.test:{server.port}"
        for host, trusted in (("pictures.test", None), ("other.test", str(path)), ("127.0.0.1", str(path))):
            with pytest.raises(http.Unreachable) as caught:
                get(server.url("/a", host=host), ca_file=trusted, **there)
            assert not caught.value.was_sent
        assert len(server.journal) == 1


def test_a_tls_handshake_and_a_tls_drip_end_at_the_deadline(certificate: tuple[Path, ssl.SSLContext]) -> None:
    path, context = certificate
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(http.TimedOut):
            get(f"https://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.3)
    with FileServer(tls=context) as server:
        server.files["/a"] = File(body=b"x" * 500, drip="body", drip_s=0.02)
        with pytest.raises(http.TimedOut):
            get(
                server.url("/a", host="pictures.test"),
                ca_file=str(path),
                resolver=lambda host, port: ["127.0.0.1"],
                timeout_s=0.5,
            )
    assert time.monotonic() - begun < 2.5
