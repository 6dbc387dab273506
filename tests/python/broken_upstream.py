"""An upstream that says part of an answer and is gone."""

import socket
import struct
import threading


class BrokenUpstream:
    """Answers every request with the same bytes, then cuts the connection."""

    def __init__(self, answer):
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        with connection:
            read_request(connection)
            connection.sendall(self._answer)
            # Gone without a farewell: a reset, where closing would say that this was the end.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_request(connection):
    """Reads one request with a `content-length`, to its end."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += receive(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(headers.get(b"content-length", 0)):
        body += receive(connection)


def receive(connection):
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the request was cut")
    return data
