import socket
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pytest
from PIL import Image

from rl.data import remote_images
from rl.data.remote_images import fetch_image, is_public
from rl.errors import InputError

WHERE = "images of row 3 (from 0)"


def png():
    data = BytesIO()
    Image.new("RGB", (3, 2), "red").save(data, "PNG")
    return data.getvalue()


class Server(ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked, self.encodings, self.may_end = [], [], threading.Event()


class Answers(BaseHTTPRequestHandler):
    """A server's answers, by the path that is asked for."""

    server: Server

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Host"]))
        self.server.encodings.append(self.headers["Accept-Encoding"])
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            self.drip(bytes(2**16), 0.0)
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            self.drip(b"x", 0.02)
        elif self.path == "/slow_header":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
            self.drip(b"x", 0.02)
        elif self.path == "/silent":
            self.server.may_end.wait(10)
        else:
            found = self.path == "/red.png"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(png() if found else b"not here")

    def drip(self, piece, seconds):
        try:
            while not self.server.may_end.wait(seconds):
                self.wfile.write(piece)
        except OSError:
            pass  # the reader has had enough

    def log_message(self, *_):
        pass


@contextmanager
def serving():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.may_end.set()
        server.shutdown()
        thread.join()
        server.server_close()


def fetched(url, **options):
    return fetch_image(url, WHERE, may_ask=lambda address: True, **options)


def refused(url, *words, **options):
    with pytest.raises(InputError) as error:
        fetched(url, **options)
    message = str(error.value)
    assert message.startswith(f"{WHERE}: got the link ")
    for word in words:
        assert word in message


def test_an_image_is_fetched():
    with serving() as (server, base):
        assert fetched(f"{base}/red.png") == png()
        # The host is asked by its address, and told by which name.
        name = f"localhost:{server.server_port}"
        assert fetch_image(f"http://{name}/red.png", WHERE, may_ask=lambda address: True)
        assert server.asked[-1] == ("/red.png", name)


def test_nothing_compressed_is_asked_for():
    with serving() as (server, base):
        fetched(f"{base}/red.png")
        assert server.encodings == ["identity"]


def test_addresses_are_asked_in_their_order_until_one_answers(monkeypatch):
    # 0100::/64 is the network that discards; text would put it and 127.0.0.1 in another order.
    with serving() as (server, _):
        url = f"http://host.test:{server.server_port}/red.png"
        for addresses in (["127.0.0.1", "100::1"], ["100::1", "127.0.0.1"]):
            found = [(0, 0, 0, "", (address, server.server_port)) for address in addresses]
            monkeypatch.setattr(
                remote_images.socket, "getaddrinfo", partial(resolved, found, socket.getaddrinfo)
            )
            assert fetched(url, max_seconds=1.0) == png()
            monkeypatch.undo()
        assert len(server.asked) == 2


def resolved(found, real, host, *arguments, **named):
    return found if host == "host.test" else real(host, *arguments, **named)


def test_addresses_that_are_not_public_are_not_asked():
    with serving() as (server, base):
        with pytest.raises(InputError, match=r"127\.0\.0\.1 is no host of the public network"):
            fetch_image(f"{base}/red.png", WHERE)
        assert server.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "::1",
        "fe80::1%eth0",
        "fc00::1",
        "::ffff:127.0.0.1",
        "100.64.0.1",
        "224.0.0.1",
        "ff0e::1",
        "fec0::1",
        "::7f00:1",
        # That lead to 127.0.0.1: NAT64 and 6to4.
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_local_and_private_addresses_are_not_public(address):
    assert not is_public(address)


def test_addresses_of_the_world_are_public():
    assert is_public("1.1.1.1")
    assert is_public("2606:4700:4700::1111")
    assert is_public("64:ff9b::101:101")  # leads to 1.1.1.1
    assert is_public("::ffff:1.1.1.1")


def test_redirections_are_followed_as_long_as_each_host_may_be_asked():
    with serving() as (server, base):
        assert fetched(f"{base}/to//red.png") == png()
        assert fetched(f"{base}/to/{base}/red.png") == png()
        refused(f"{base}/to//to//to//to//red.png", "more than 3 redirections")
        refused(f"{base}/to/file:///etc/passwd", "no plain http or https link")
        refused(f"{base}/to/ftp://127.0.0.1/red.png", "no plain http or https link")
        asked = len(server.asked)
        with pytest.raises(InputError, match="no host of the public network"):
            fetch_image(
                f"{base}/to/http://127.0.0.2/red.png",
                WHERE,
                may_ask=lambda address: address == "127.0.0.1",
            )
        assert len(server.asked) == asked + 1


def test_what_is_not_there_is_refused():
    with serving() as (_, base):
        refused(f"{base}/missing.png", "404")
    refused(f"{base}/red.png", "Connection refused")
    refused("http://", "no plain http or https link")
    refused("http://user:password@127.0.0.1/", "no plain http or https link")
    refused("http://[::1", "got the link")


def test_an_endless_answer_is_read_no_further_than_the_bound(monkeypatch):
    monkeypatch.setattr(remote_images, "MAX_BYTES", 10**6)
    with serving() as (_, base):
        assert len(fetched(f"{base}/endless")) == 10**6 + 1


@pytest.mark.parametrize("path", ["slow", "slow_header", "silent"])
def test_an_answer_that_does_not_come_is_not_waited_for(path):
    with serving() as (_, base):
        begun = time.perf_counter()
        refused(f"{base}/{path}", max_seconds=0.3)
        assert time.perf_counter() - begun < 3
