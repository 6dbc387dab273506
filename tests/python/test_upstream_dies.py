"""The upstream dies while it answers: the client is told, and the gateway lives on as it was."""

import os
import time

import pytest
from botocore.exceptions import ClientError, HTTPClientError
from urllib3.exceptions import HTTPError

from broken_upstream import BrokenUpstream
from clients import bedrock
from operations import ALL, CONVERSE, CONVERSE_STREAM, INVOKE_STREAM, open_converse_stream
from processes import free_address

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n"

BREAKS = {
    "before the headers": b"",
    "in the headers": HEAD,
    "before the body": HEAD + b"content-length: 500\r\n\r\n",
    "in the body": HEAD + b'content-length: 500\r\n\r\n{"output": {"message": {"role": "assistant"',
    "in a chunk": HEAD + b'transfer-encoding: chunked\r\n\r\n1f4\r\n{"output": {"message"',
}
STREAM_BREAKS = {
    "before the headers": b"",
    "before the first event": STREAM_HEAD + b"transfer-encoding: chunked\r\n\r\n",
    "in the first event": STREAM_HEAD + b"transfer-encoding: chunked\r\n\r\n8\r\n\0\0\0\x80\0\0\0\x20\r\n",
}


@pytest.fixture
def gateway_to(start_gateway):
    """Starts a gateway in front of another upstream than the simulator."""
    upstreams = []

    def start(answer):
        upstream = BrokenUpstream(answer)
        upstreams.append(upstream)
        return start_gateway(upstream=upstream.url)

    yield start
    for upstream in upstreams:
        upstream.close()


@pytest.mark.parametrize("answer", BREAKS.values(), ids=BREAKS)
def test_an_answer_that_breaks_off(gateway_to, answer):
    gateway = gateway_to(answer)
    client = bedrock(gateway.url)
    for operation in ALL:
        if operation not in (CONVERSE_STREAM, INVOKE_STREAM):
            with pytest.raises((ClientError, HTTPClientError, HTTPError)) as raised:
                operation.call(client)
            assert_not_the_clients_mistake(raised.value)
    assert gateway.running()


@pytest.mark.parametrize("answer", STREAM_BREAKS.values(), ids=STREAM_BREAKS)
def test_a_stream_that_breaks_off(gateway_to, answer):
    gateway = gateway_to(answer)
    client = bedrock(gateway.url)
    for operation in (CONVERSE_STREAM, INVOKE_STREAM):
        with pytest.raises((ClientError, HTTPClientError, HTTPError)) as raised:
            operation.call(client)
        assert_not_the_clients_mistake(raised.value)
    assert gateway.running()


def assert_not_the_clients_mistake(error):
    if isinstance(error, ClientError):
        assert error.response["Error"]["Code"] == "ServiceUnavailableException"
        assert error.response["Error"]["Message"]


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_nobody_listens(start_gateway, operation):
    gateway = start_gateway(upstream=f"http://{free_address()}")
    client = bedrock(gateway.url)
    with pytest.raises(client.exceptions.ServiceUnavailableException):
        operation.call(client)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="connections are counted in /proc")
def test_no_connection_is_left_behind(simulator, start_gateway):
    gateway = start_gateway()

    def break_streams():
        simulator.fault("reset", operation="ConverseStream", times=20, at={"after_deltas": 3})
        for _ in range(20):
            with pytest.raises((ClientError, HTTPClientError, HTTPError)):
                CONVERSE_STREAM.call(bedrock(gateway.url))

    def break_answers():
        simulator.fault("reset", operation="Converse", times=20)
        for _ in range(20):
            with pytest.raises(ClientError):
                CONVERSE.call(bedrock(gateway.url))

    def leave_streams():
        simulator.fault("hang", operation="ConverseStream", times=20, at={"after_deltas": 3})
        for _ in range(20):
            stream = open_converse_stream(bedrock(gateway.url))["stream"]
            next(iter(stream))
            stream.close()

    CONVERSE.call(bedrock(gateway.url))
    at_rest = gateway.open_files()
    for break_off in (break_streams, break_answers, leave_streams):
        break_off()
        # Connections close a moment after their clients are gone. One to the upstream may stay for the next call.
        deadline = time.monotonic() + 20
        while gateway.open_files() > at_rest + 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert gateway.open_files() <= at_rest + 2, break_off.__name__
    assert CONVERSE.call(bedrock(gateway.url)).output_tokens == 20
