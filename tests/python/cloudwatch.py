"""CloudWatch as moto plays it, and a bridge before it for clients that speak only CBOR.

The AWS SDK for Rust speaks RPC v2 CBOR to CloudWatch; moto understands JSON. The bridge translates, and on the way
refuses requests that break a limit of the real service, because moto would take them.
"""

import gzip
import json
import math
import sys
import threading
import urllib.error
import urllib.request
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import MagicMock

import boto3
import cbor2
from moto.server import ThreadedMotoServer

# moto's CloudFormation knows all that moto plays, and its API gateway alone needs packages that nothing here does.
sys.modules.setdefault("moto.apigateway", MagicMock())

PATH = "/service/GraniteServiceVersion20100801/operation/"
TARGET = "GraniteServiceVersion20100801."
# moto goes by the credential's scope to tell services apart.
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/monitoring/aws4_request, SignedHeaders=host, Signature=0"
)


class CloudWatch:
    """moto's CloudWatch: `url` for clients that speak CBOR, `client` for boto3."""

    def __init__(self):
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._moto.start()
        host, port = self._moto.get_host_and_port()
        self.moto_url = f"http://{host}:{port}"
        # What PutMetricData was told, as it came over the wire.
        self.puts = []
        self.encodings = []
        self.sizes = []
        # How many of the next requests are throttled.
        self.throttles = 0
        bridge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = bridge.answer(self.path, self.headers, body)
                answer = cbor2.dumps(answer)
                self.send_response(status)
                self.send_header("Content-Type", "application/cbor")
                self.send_header("smithy-protocol", "rpc-v2-cbor")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.client = self.client_of("cloudwatch")

    def client_of(self, service):
        """boto3's client of any service that moto plays."""
        return boto3.client(
            service,
            endpoint_url=self.moto_url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def reset(self):
        urllib.request.urlopen(urllib.request.Request(self.moto_url + "/moto-api/reset", method="POST")).close()
        self.puts, self.encodings, self.sizes, self.throttles = [], [], [], 0

    def close(self):
        self.client.close()
        self._server.shutdown()
        self._server.server_close()
        self._moto.stop()

    def answer(self, path, headers, body):
        """A status and what the client is answered."""
        if not path.startswith(PATH) or headers["smithy-protocol"] != "rpc-v2-cbor":
            return 404, error("UnknownOperationException", path)
        operation = path.removeprefix(PATH)
        if self.throttles > 0:
            self.throttles -= 1
            return 400, error("Throttling", "Rate exceeded")
        encoding = headers.get("Content-Encoding", "identity")
        if encoding == "gzip":
            body = gzip.decompress(body)
        request = cbor2.loads(body) if body else {}
        if operation == "PutMetricData":
            violation = violates(request, len(body))
            if violation:
                return 400, error("InvalidParameterValue", violation)
            self.puts.append(request)
            self.encodings.append(encoding)
            self.sizes.append(len(body))
        forwarded = urllib.request.Request(
            self.moto_url,
            data=json.dumps(request, default=epoch).encode(),
            headers={
                "Content-Type": "application/x-amz-json-1.0",
                "X-Amz-Target": TARGET + operation,
                "Authorization": AUTHORIZATION,
            },
        )
        try:
            with urllib.request.urlopen(forwarded) as response:
                return response.status, json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as refused:
            with refused:
                answer = json.loads(refused.read())
            return refused.code, error(answer["__type"], answer.get("message", ""))


def error(code, message):
    return {"__type": "com.amazonaws.cloudwatch#" + code.rsplit("#")[-1], "message": message}


def epoch(value):
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(type(value))


def violates(request, size):
    """The first of PutMetricData's limits that a request breaks, or None."""
    data = request["MetricData"]
    checks = [
        (size <= 1_000_000, "bytes"),
        (1 <= len(data) <= 1000, "data"),
        (1 <= len(request["Namespace"]) <= 255 and not request["Namespace"].startswith("AWS/"), "namespace"),
    ]
    for datum in data:
        values = datum.get("Values", [datum.get("Value")])
        dimensions = datum.get("Dimensions", [])
        checks += [
            (1 <= len(datum["MetricName"]) <= 255, "name"),
            (("Value" in datum) != ("Values" in datum), "value and values"),
            (1 <= len(values) <= 150, "values"),
            (len(datum.get("Counts", values)) == len(values), "counts"),
            (all(math.isfinite(value) and abs(value) <= 2.0**360 for value in values), "value"),
            (len(dimensions) <= 30, "dimensions"),
            (all(1 <= len(d["Name"]) <= 255 and 1 <= len(d["Value"]) <= 1024 for d in dimensions), "dimension"),
        ]
    return next((what for holds, what in checks if not holds), None)
