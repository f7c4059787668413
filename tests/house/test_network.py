"""The guard against the network guards."""

from __future__ import annotations

import asyncio
import socket

import pytest


def test_a_connection_to_another_machine_is_refused_and_noted(no_network: list[object]) -> None:
    with socket.socket() as sock, pytest.raises(PermissionError, match=r"192\.0\.2\.1"):
        sock.connect(("192.0.2.1", 80))
    with socket.socket() as sock, pytest.raises(PermissionError):
        sock.connect_ex(("192.0.2.1", 80))
    with pytest.raises(PermissionError, match=r"example\.invalid"):
        socket.create_connection(("example.invalid", 80))
    assert no_network == ["192.0.2.1", "192.0.2.1", "example.invalid"]
    no_network.clear()


async def test_asyncio_is_guarded_too(no_network: list[object]) -> None:
    with pytest.raises(PermissionError):
        await asyncio.open_connection("192.0.2.1", 80)
    assert no_network
    no_network.clear()


async def test_loopback_is_free() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("localhost", port)
        assert await reader.read() == b"hello"
        writer.close()
        await writer.wait_closed()


def test_unix_sockets_are_free() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"x")
        assert right.recv(1) == b"x"
