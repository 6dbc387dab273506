"""TLS in front of a program that speaks plain HTTP, as a load balancer has it.

boto3 sends a bearer token over TLS and nothing else.
"""

import contextlib
import socket
import ssl
import threading

import trustme


class TlsFront:
    """Accepts TLS, and passes what comes on to an address and back."""

    def __init__(self, address, folder):
        self._upstream = address.split(":")
        authority = trustme.CA()
        self.authority = str(folder / "authority.pem")
        authority.cert_pem.write_to_path(self.authority)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self._context)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
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
        with contextlib.suppress(OSError):
            client = self._context.wrap_socket(connection, server_side=True)
            upstream = socket.create_connection(self._upstream)
            with client, upstream:
                threading.Thread(target=pump, args=[upstream, client], daemon=True).start()
                pump(client, upstream)


def pump(source, sink):
    """Passes on all that comes, and then the end."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
