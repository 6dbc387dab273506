"""Streams that fail on the way: what was received is kept, and the end is an error, never a clean end."""

import json
from contextlib import closing

import pytest
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, EventStreamError, HTTPClientError
from urllib3.exceptions import HTTPError

from clients import bedrock
from faults import IN_STREAM
from operations import (
    CONVERSE_STREAM,
    STREAMING,
    open_converse_stream,
    open_invoke_stream,
)

DELTAS = 3

# A connection that breaks is urllib3's to tell: botocore passes its errors on where it reads an event stream.
BROKEN_CONNECTION = (HTTPError, HTTPClientError)


def assert_broken(error, way, expected):
    """The gateway, whose own connection is whole, says in the stream itself that the answer is not."""
    if way == "simulator":
        assert isinstance(error, expected)
    else:
        assert isinstance(error, EventStreamError)
        assert error.response["Error"]["Code"] == "modelStreamErrorException"
        assert error.response["Error"]["Message"]


class Reading:
    """A stream read until it ended or failed: the deltas that arrived, the error, whether the end was seen."""

    def __init__(self, client, operation):
        self.deltas = 0
        self.ended = False
        self.error = None
        try:
            if operation is CONVERSE_STREAM:
                with closing(open_converse_stream(client)["stream"]) as stream:
                    self._read_converse(stream)
            else:
                with closing(open_invoke_stream(client)["body"]) as stream:
                    self._read_invoke(stream)
        except Exception as error:
            self.error = error

    def _read_converse(self, stream):
        for event in stream:
            self.deltas += "contentBlockDelta" in event
            self.ended |= "messageStop" in event or "metadata" in event

    def _read_invoke(self, stream):
        for event in stream:
            chunk = json.loads(event["chunk"]["bytes"])
            self.deltas += chunk["type"] == "content_block_delta"
            self.ended |= chunk["type"] in ("message_delta", "message_stop")


@pytest.mark.parametrize("operation", STREAMING, ids=str)
def test_a_stream_with_nothing_wrong(client, operation):
    reading = Reading(client, operation)
    assert reading.error is None
    assert reading.ended
    assert reading.deltas > DELTAS


@pytest.mark.parametrize("operation", STREAMING, ids=str)
@pytest.mark.parametrize("kind", IN_STREAM)
def test_an_exception_after_some_deltas(client, simulator, operation, kind):
    simulator.fault(kind, operation=operation.name, at={"after_deltas": DELTAS})
    reading = Reading(client, operation)
    assert reading.deltas == DELTAS
    assert not reading.ended
    assert isinstance(reading.error, EventStreamError)
    assert reading.error.response["Error"]["Code"] == IN_STREAM[kind]
    assert reading.error.response["Error"]["Message"]


@pytest.mark.parametrize("operation", STREAMING, ids=str)
@pytest.mark.parametrize("kind", IN_STREAM)
def test_an_exception_instead_of_the_first_event(client, simulator, operation, kind):
    simulator.fault(kind, operation=operation.name, at="first_event")
    reading = Reading(client, operation)
    assert (reading.deltas, reading.ended) == (0, False)
    # Inside the stream, or as the call's own error from one who looked before passing the stream on.
    assert isinstance(reading.error, ClientError)
    code = reading.error.response["Error"]["Code"]
    assert code[0].lower() + code[1:] == IN_STREAM[kind]
    assert reading.error.response["Error"]["Message"]


@pytest.mark.parametrize("operation", STREAMING, ids=str)
def test_a_model_that_takes_too_long_in_a_stream(client, simulator, operation):
    simulator.fault("model_timeout", operation=operation.name, at={"after_deltas": DELTAS})
    reading = Reading(client, operation)
    assert (reading.deltas, reading.ended) == (DELTAS, False)
    assert isinstance(reading.error, EventStreamError)


@pytest.mark.parametrize("operation", STREAMING, ids=str)
@pytest.mark.parametrize("at", ["first_event", {"after_deltas": DELTAS}], ids=["at once", "after deltas"])
def test_a_cut_connection(client, way, simulator, operation, at):
    simulator.fault("reset", operation=operation.name, at=at)
    reading = Reading(client, operation)
    assert not reading.ended
    assert reading.error is not None
    if at == "first_event":
        assert reading.deltas == 0
    else:
        # What was under way when the connection was reset may be lost with it.
        assert reading.deltas <= DELTAS
        assert_broken(reading.error, way, BROKEN_CONNECTION)


@pytest.mark.parametrize("operation", STREAMING, ids=str)
@pytest.mark.parametrize("at", ["first_event", {"after_deltas": DELTAS}], ids=["at once", "after deltas"])
def test_a_frame_with_a_bad_checksum(client, way, simulator, operation, at):
    simulator.fault("corrupt", operation=operation.name, at=at)
    reading = Reading(client, operation)
    assert not reading.ended
    if at == "first_event":
        assert reading.deltas == 0
        assert reading.error is not None
    else:
        assert reading.deltas == DELTAS
        assert_broken(reading.error, way, ChecksumMismatch)


@pytest.mark.parametrize("operation", STREAMING, ids=str)
def test_deltas_arrive_as_they_are_produced(endpoint, simulator, operation):
    # The stream stalls for good after some deltas: whoever waits for its end to pass them on has none to show.
    simulator.fault("hang", operation=operation.name, at={"after_deltas": DELTAS})
    reading = Reading(bedrock(endpoint, read_timeout=3), operation)
    assert reading.deltas == DELTAS
    assert not reading.ended
    assert isinstance(reading.error, BROKEN_CONNECTION)
    assert CONVERSE_STREAM.call(bedrock(endpoint)).text


@pytest.mark.parametrize("operation", STREAMING, ids=str)
def test_a_stalled_first_event(endpoint, simulator, operation):
    simulator.fault("hang", operation=operation.name, at="first_event")
    reading = Reading(bedrock(endpoint, read_timeout=1), operation)
    assert (reading.deltas, reading.ended) == (0, False)
    assert isinstance(reading.error, BROKEN_CONNECTION)
