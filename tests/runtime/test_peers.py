"""Who connects to the first process of a run, and who only seems to."""

import queue
import socket
import struct
import threading

from mobilenets.runtime import peers


class Client:
    """JAX's store, as far as it is needed."""

    def __init__(self):
        self.ports = queue.Queue()

    def key_value_set(self, key, value):
        self.ports.put(int(value))


def test_strangers_that_connect_end_no_run(monkeypatch):
    """Such as a program that looks which ports are open."""
    monkeypatch.setattr(peers, "_SAYING_SECONDS", 0.2, raising=False)
    monkeypatch.setattr(peers, "_CONNECTING_SECONDS", 2)
    client, found = Client(), queue.Queue()

    def accept():
        found.put(peers._accept(client, 2))

    threading.Thread(target=accept, daemon=True).start()
    address = ("localhost", client.ports.get(timeout=10))
    with socket.create_connection(address):  # says nothing
        for said in (b"", b"\0", b"GET / HTTP/1.1\r\n"):
            with socket.create_connection(address) as stranger:
                stranger.sendall(said)
                # Closed by a reset, as by a scanner.
                reset = struct.pack("ii", 1, 0)
                stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        with socket.create_connection(address) as process:
            process.sendall((1).to_bytes(4, "big"))
            (connection,) = found.get(timeout=10)
            process.sendall(b".")
            assert connection.recv(1) == b"."
            connection.close()
