"""Fetch an image from a link that a data set names: bounded in time and size, public hosts only."""

import ipaddress
import socket
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from urllib.parse import urljoin

import httpx

from rl.data.image_checks import MAX_BYTES
from rl.data.tables import short_repr
from rl.errors import InputError

MAX_SECONDS = 20.0
MAX_REDIRECTS = 3
# What a request raises, an address that has no form of one and a rule that is broken among it.
_FAILED = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError)

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public network: not local, private or reserved.

    Of an IPv6 address that leads to one of IPv4 (mapped, 6to4, NAT64: RFC 4291, 3056, 6052), that
    one decides. Groups of hosts (multicast) are not public.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        led_to = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            led_to = ipaddress.IPv4Address(ip.packed[-4:])
        if led_to is not None:
            return is_public(str(led_to))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def fetch_image(
    url: str,
    where: str,
    *,
    may_ask: Callable[[str], bool] = is_public,
    max_seconds: float = MAX_SECONDS,
) -> bytes:
    """Return what a link leads to; at most `MAX_REDIRECTS` redirections, http and https only.

    The address that was checked is the one that is asked, also after a redirection, so that no name
    can stand for a public host first and for one of the local network then.

    Args:
        url: The link.
        where: The row and column, for the error.
        may_ask: Whether an IP address may be asked.
        max_seconds: Wall-clock time of all requests together.

    Returns:
        The first `MAX_BYTES` + 1 bytes at most.

    Raises:
        InputError: If nothing, or nothing that may be had, came in time.
    """
    end = monotonic() + max_seconds
    answers: SimpleQueue[bytes | Exception] = SimpleQueue()
    # Names are looked up, and headers may come byte by byte, beyond any timeout of the client: a
    # thread that is left behind is the deadline that holds.
    Thread(target=_answer, args=(url, may_ask, end, answers), daemon=True).start()
    try:
        answer = answers.get(timeout=max_seconds)
    except Empty:
        answer = ValueError("the answer did not come")
    if isinstance(answer, bytes):
        return answer
    reason = " ".join(str(answer).split())[:120] or type(answer).__name__
    raise InputError(
        f"{where}: got the link {short_repr(url)}, expected an image within {max_seconds:g} seconds"
        f" ({reason}). Download it by other means, or remove the row."
    )


def _answer(
    url: str,
    may_ask: Callable[[str], bool],
    end: float,
    answers: SimpleQueue[bytes | Exception],
) -> None:
    """Put what the link leads to into the queue, or why there is nothing."""
    try:
        for _ in range(MAX_REDIRECTS + 1):
            found, url = _asked(url, may_ask, end)
            if found is not None:
                answers.put(found)
                return
        answers.put(ValueError(f"more than {MAX_REDIRECTS} redirections"))
    except _FAILED as error:
        answers.put(error)


def _asked(url: str, may_ask: Callable[[str], bool], end: float) -> tuple[bytes | None, str]:
    """Ask one host.

    Returns:
        The bytes, or None where the answer is a redirection; and the link that it leads to.

    Raises:
        ValueError: If the link or the host's address is not allowed, or the time is over.
        OSError: If the host has no address.
        httpx.HTTPError: If none of its addresses answers, or what comes is an error.
    """
    link = httpx.URL(url)
    if link.scheme not in ("http", "https") or not link.host or link.userinfo:
        raise ValueError(f"{link.scheme}://{link.host} is no plain http or https link")
    port = link.port or {"http": 80, "https": 443}[link.scheme]
    # In the order in which this machine reaches them best (RFC 6724).
    found = socket.getaddrinfo(link.host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    if not all(may_ask(address) for address in addresses):
        raise ValueError(f"{link.host} is no host of the public network")
    for number_left in range(len(addresses), 1, -1):
        try:
            return _answered(link, addresses[-number_left], number_left, end)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            pass  # such as those of IPv6 where this machine has none; the next may do
    return _answered(link, addresses[-1], 1, end)


def _answered(
    link: httpx.URL, address: str, number_left: int, end: float
) -> tuple[bytes | None, str]:
    """Ask a host at one of its addresses, with an equal part of the time for each that is left."""
    left = max(0.1, end - monotonic())
    timeout = httpx.Timeout(left, connect=left / number_left)
    # A proxy of the environment would look the name up again, and wherever it likes.
    with httpx.Client(trust_env=False, timeout=timeout) as client:
        request = client.build_request(
            "GET",
            link.copy_with(host=address),
            headers={
                "Host": link.netloc.decode(),
                "Accept": "image/*",
                "Accept-Encoding": "identity",  # the body is read as it comes
            },
            extensions={"sni_hostname": link.host},
        )
        response = client.send(request, stream=True)
        try:
            if response.is_redirect:
                return None, urljoin(str(link), response.headers.get("location", ""))
            response.raise_for_status()
            return _body(response, end), str(link)
        finally:
            response.close()


def _body(response: httpx.Response, end: float) -> bytes:
    data = bytearray()
    for chunk in response.iter_raw():
        data += chunk
        if len(data) > MAX_BYTES:
            break
        if monotonic() > end:
            raise ValueError("it came too slowly")
    return bytes(data[: MAX_BYTES + 1])
