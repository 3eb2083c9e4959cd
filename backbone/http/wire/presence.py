"""Notices clients that vanish without a word, by having the system ask for them."""

import socket

GONE_AFTER = 60
"""Seconds after which a client that acknowledges nothing any more counts as gone."""


def notice_when_gone(client: socket.socket | None) -> None:
    """Have the system tell of a client that vanished: of one that idles, and of one that we write to."""
    if client is None or client.family not in (socket.AF_INET, socket.AF_INET6):
        return
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", GONE_AFTER // 2), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):  # macOS names some of them otherwise, and has no TCP_USER_TIMEOUT
            client.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_AFTER * 1000)
