# SPDX-License-Identifier: MIT
"""The proxy does to the traffic what it is told to; against a server that echoes."""
import socket
import socketserver
import threading
import time

import pytest

from fault_proxy import FaultProxy


class Echo(socketserver.BaseRequestHandler):
    """Sends back what it gets, and the end too."""

    def handle(self):
        try:
            while data := self.request.recv(65536):
                self.server.received += data
                self.request.sendall(data)
        except OSError:
            self.server.errors += 1


@pytest.fixture
def echo():
    """The server; `received` is all that it got."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    server.received = b""
    server.errors = 0
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def proxy(echo):
    """In front of it."""
    with FaultProxy(*echo.server_address) as made:
        yield made


@pytest.fixture
def client(proxy):
    """A connection through the proxy, used once."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        sock.sendall(b"hello")
        assert receive(sock, 5) == b"hello"
        yield sock


def receive(sock, size):
    """Exactly so many bytes; fewer at the end of the stream."""
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data


def comes_nothing(sock, for_s=0.3):
    """Whether the connection stays and is silent for a while."""
    sock.settimeout(for_s)
    try:
        sock.recv(1)
        return False
    except socket.timeout:
        return True
    finally:
        sock.settimeout(10)


def test_without_faults_everything_passes(client):
    data = bytes(range(256)) * 20000
    sender = threading.Thread(target=client.sendall, args=(data,))
    sender.start()
    assert receive(client, len(data)) == data
    sender.join()
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""


def test_delay(client, proxy):
    proxy.to_broker.delay_s = 0.2
    proxy.to_client.delay_s = 0.1
    start = time.monotonic()
    client.sendall(b"later")
    assert receive(client, 5) == b"later"
    assert time.monotonic() - start >= 0.3


def test_rate(client, proxy):
    proxy.to_broker.bytes_per_s = 10000
    start = time.monotonic()
    client.sendall(b"x" * 4000)
    assert receive(client, 4000) == b"x" * 4000
    assert time.monotonic() - start >= 0.3


def test_slices(client, proxy):
    proxy.to_broker.slice_bytes = proxy.to_client.slice_bytes = 1
    client.sendall(b"piece by piece")
    pieces = []
    while sum(map(len, pieces)) < 14:
        pieces.append(client.recv(100))
    assert b"".join(pieces) == b"piece by piece"


@pytest.mark.parametrize("direction", ["to_broker", "to_client"])
def test_black_hole(client, proxy, echo, direction):
    """What goes in does not come out, not even an end; and what was lost is not made up for."""
    getattr(proxy, direction).black_hole = True
    client.sendall(b"gone")
    assert comes_nothing(client)
    assert (echo.received == b"hellogone") == (direction == "to_client")
    proxy.heal()
    client.sendall(b"more")
    assert comes_nothing(client)
    client.shutdown(socket.SHUT_WR)
    assert comes_nothing(client)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as other:
        other.sendall(b"new")
        assert receive(other, 3) == b"new"


def test_reset(client, proxy):
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert proxy.n_links == 0


def test_close_is_in_order(client, proxy):
    proxy.close()
    assert client.recv(1) == b""


def test_cut_after(client, proxy):
    proxy.to_client.cut_after(3)
    client.sendall(b"cut here")
    data = b""
    with pytest.raises(ConnectionResetError):
        while more := client.recv(1):
            data += more
    assert b"cut".startswith(data)  # a reset may overtake what was not read yet


def test_refuse_and_accept(client, proxy):
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    client.sendall(b"still")  # the connections there are stay
    assert receive(client, 5) == b"still"
    proxy.accept()
    socket.create_connection(("127.0.0.1", proxy.port), timeout=10).close()


def test_a_target_that_is_away_is_refused():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with FaultProxy("127.0.0.1", unused.getsockname()[1]) as proxy:
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
                with pytest.raises(ConnectionResetError):
                    sock.recv(1)


def test_flapping(proxy):
    flapping = threading.Thread(target=proxy.flap, args=(3, 0.05, 0.05))
    flapping.start()
    n_broken = 0
    while flapping.is_alive():
        try:
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
                sock.sendall(b"x")
                while flapping.is_alive() and sock.recv(1):
                    sock.sendall(b"x")
        except OSError:
            n_broken += 1
    flapping.join()
    assert n_broken >= 3
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        sock.sendall(b"good")
        assert receive(sock, 4) == b"good"


def test_stop_ends_everything(echo):
    proxy = FaultProxy(*echo.server_address).start()
    sock = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    sock.sendall(b"x")
    assert receive(sock, 1) == b"x"
    proxy.to_client.black_hole = True
    n_threads = threading.active_count()
    proxy.stop()
    with pytest.raises(ConnectionResetError):
        sock.recv(1)
    sock.close()
    assert threading.active_count() < n_threads
