"""Declines requests for another protocol: they are a wish, which need not be granted (RFC 9110 7.8).

The parser takes it for granted: it ends such a request at its head, and what follows would be another protocol's. So
the head is read once more by a new parser, without the wish. That one finds the body, and the request behind it.
"""

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from backbone.http.problems import malformed


def check(method: bytes) -> None:
    """Refuse CONNECT, which is no wish but a request for a tunnel. Raises Problem."""
    if method == b"CONNECT":
        raise malformed("CONNECT is for proxies, and this is none.", "method")


def read_on(connection: HttpToolsProtocol, data: bytes, end: int) -> None:
    """Read the connection's request anew, whose head ended there in the data, and whatever follows it.

    Raises httptools.HttpParserError.
    """
    rest = memoryview(data)
    while True:
        head = _without_wish(connection)
        rest = rest[end:]
        connection.parser = httptools.HttpRequestParser(connection)
        connection.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        connection.parser.feed_data(head)
        try:
            connection.parser.feed_data(rest)
        except httptools.HttpParserUpgrade as upgrade:  # the next wish
            end = upgrade.args[0]
        else:
            return


def _without_wish(connection: HttpToolsProtocol) -> bytes:
    version = connection.parser.get_http_version().encode()
    lines = [b"%b %b HTTP/%b" % (connection.parser.get_method(), connection.url, version)]
    lines += [b"%b: %b" % (name, value) for name, value in connection.headers if name != b"upgrade"]
    return b"\r\n".join([*lines, b"", b""])
