"""Every fault there is, at every place it can strike, through a gateway whose policies are on.

Each row of the table is tried in three ways: the fault strikes once, and the policies make up for it where they can; it
strikes on and on, and the answer says so; then it is over, and the next call is answered.
"""

import time
from dataclasses import dataclass
from itertools import count

import pytest
from botocore.exceptions import ClientError, ConnectionError, EventStreamError, HTTPClientError
from urllib3.exceptions import HTTPError

from clients import bedrock
from operations import CLAUDE, CONVERSE, CONVERSE_STREAM, GENERATING, NOVA, STREAMING
from processes import gateway_config

MAX_ATTEMPTS = 3
OUTPUT_TOKENS = 20
DELTAS = 3

POLICIES = f"""
    [retry]
    max_attempts = {MAX_ATTEMPTS}
    base_delay = "1ms"
    max_delay = "5ms"
    [timeout]
    attempt = "1s"
    first_event = "1s"
    """


@dataclass
class Row:
    """A fault, and what becomes of a call that meets it."""

    kind: str
    # How often Bedrock is asked while it lasts.
    attempts: int
    # The error of a call that met nothing else.
    status: int
    code: str

    def __str__(self):
        return self.kind


WHOLE_ANSWER = [
    Row("throttle_requests", MAX_ATTEMPTS, 429, "ThrottlingException"),
    Row("throttle_tokens", MAX_ATTEMPTS, 429, "ThrottlingException"),
    # Not back before tomorrow.
    Row("throttle_tokens_per_day", 1, 429, "ThrottlingException"),
    Row("overloaded", MAX_ATTEMPTS, 429, "ThrottlingException"),
    Row("model_not_ready", MAX_ATTEMPTS, 429, "ModelNotReadyException"),
    Row("too_many_connections", MAX_ATTEMPTS, 503, "ServiceUnavailableException"),
    Row("unavailable", MAX_ATTEMPTS, 503, "ServiceUnavailableException"),
    Row("internal", MAX_ATTEMPTS, 500, "InternalServerException"),
    Row("overloaded_529", MAX_ATTEMPTS, 529, "overloaded_error"),
    # At the price of another answer it would fail again: these are for a fallback.
    Row("model_timeout", 1, 408, "ModelTimeoutException"),
    Row("model_error", 1, 424, "ModelErrorException"),
    Row("html_503", MAX_ATTEMPTS, 503, "ServiceUnavailableException"),
    Row("reset", MAX_ATTEMPTS, 503, "ServiceUnavailableException"),
    Row("hang", MAX_ATTEMPTS, 408, "ModelTimeoutException"),
]

# Inside the HTTP 200, before any content: as good as the call's own error.
FIRST_EVENT = [
    Row("throttle_requests", MAX_ATTEMPTS, 429, "ThrottlingException"),
    Row("throttle_tokens", MAX_ATTEMPTS, 429, "ThrottlingException"),
    Row("throttle_tokens_per_day", 1, 429, "ThrottlingException"),
    Row("overloaded", MAX_ATTEMPTS, 429, "ThrottlingException"),
    Row("model_not_ready", MAX_ATTEMPTS, 429, "ModelNotReadyException"),
    Row("too_many_connections", MAX_ATTEMPTS, 503, "ServiceUnavailableException"),
    Row("unavailable", MAX_ATTEMPTS, 503, "ServiceUnavailableException"),
    Row("internal", MAX_ATTEMPTS, 500, "InternalServerException"),
    Row("overloaded_529", MAX_ATTEMPTS, 529, "overloaded_error"),
    Row("model_timeout", 1, 408, "ModelTimeoutException"),
    Row("model_error", 1, 424, "ModelStreamErrorException"),
    Row("reset", MAX_ATTEMPTS, 503, "ServiceUnavailableException"),
    Row("hang", MAX_ATTEMPTS, 408, "ModelTimeoutException"),
    Row("corrupt", MAX_ATTEMPTS, 503, "ServiceUnavailableException"),
]

# After some content: an explicit error, and never another attempt.
AFTER_DELTAS = [row.kind for row in FIRST_EVENT]
# As frames of a stream botocore's model does not know these, and raises an error that has no name.
NAMELESS = ["model_not_ready", "overloaded_529", "model_timeout"]


@pytest.fixture(scope="module")
def gateway(simulator_process, start_gateway):
    return start_gateway(gateway_config(simulator_process.url, POLICIES))


NUMBERS = count(1)


@pytest.fixture
def model(simulator):
    """A model of each test's own, and so a breaker and a retry budget of its own."""
    model = f"anthropic.claude-3-number-{next(NUMBERS)}-v1:0"
    simulator.model(
        model,
        max_output_tokens=4096,
        output_tokens=OUTPUT_TOKENS,
        time_to_first_token_ms=0,
        tokens_per_second=1_000_000,
        tokens_per_delta=1,
    )
    return model


def assert_whole(simulator, operation, client, model, attempts):
    """The call is answered to its end, after so many attempts."""
    before = len(simulator.ledger())
    answer = operation.call(client, model=model)
    assert answer.output_tokens == OUTPUT_TOKENS
    assert answer.stop_reason == "end_turn"
    assert len(simulator.ledger()) - before == attempts
    headers = answer.http["HTTPHeaders"]
    assert headers["x-tower-bedrock-attempts"] == str(attempts)
    assert headers["x-tower-bedrock-model"] == model
    assert headers["x-tower-bedrock-region"] == "us-east-1"
    assert "x-tower-bedrock-degraded" not in headers


def assert_error(simulator, operation, client, model, row):
    """The call ends with the row's error, after the row's attempts."""
    before = len(simulator.ledger())
    with pytest.raises(ClientError) as raised:
        operation.call(client, model=model)
    assert not isinstance(raised.value, EventStreamError)
    response = raised.value.response
    metadata = response["ResponseMetadata"]
    assert (metadata["HTTPStatusCode"], response["Error"]["Code"]) == (row.status, row.code)
    assert response["Error"]["Message"]
    assert metadata["RequestId"]
    assert len(simulator.ledger()) - before == row.attempts
    assert metadata["HTTPHeaders"]["x-tower-bedrock-attempts"] == str(row.attempts)


def strike(simulator, gateway, model, operation, row, **at):
    client = bedrock(gateway.url)
    simulator.fault(row.kind, model=model, operation=operation.name, **at)
    if row.attempts > 1:
        assert_whole(simulator, operation, client, model, attempts=2)
    else:
        assert_error(simulator, operation, client, model, row)

    simulator.fault(row.kind, model=model, operation=operation.name, times=1000, **at)
    assert_error(simulator, operation, client, model, row)

    simulator.clear_faults()
    assert_whole(simulator, operation, client, model, attempts=1)


@pytest.mark.parametrize("operation", GENERATING, ids=str)
@pytest.mark.parametrize("row", WHOLE_ANSWER, ids=str)
def test_in_place_of_the_answer(simulator, gateway, model, operation, row):
    strike(simulator, gateway, model, operation, row)


@pytest.mark.parametrize("operation", STREAMING, ids=str)
@pytest.mark.parametrize("row", FIRST_EVENT, ids=str)
def test_in_place_of_the_first_event(simulator, gateway, model, operation, row):
    strike(simulator, gateway, model, operation, row, at="first_event")


@pytest.mark.parametrize("operation", STREAMING, ids=str)
@pytest.mark.parametrize("kind", AFTER_DELTAS)
def test_after_some_content(simulator, gateway, model, operation, kind):
    # A stall is the client's to end: it alone knows how long it will wait for the rest.
    client = bedrock(gateway.url, read_timeout=1 if kind == "hang" else 30)
    simulator.fault(kind, model=model, operation=operation.name, times=1000, at={"after_deltas": DELTAS})
    with pytest.raises((EventStreamError, HTTPError, HTTPClientError, ConnectionError)) as raised:
        operation.call(client, model=model)
    if kind != "hang":
        assert isinstance(raised.value, EventStreamError)
        assert raised.value.response["Error"]["Message"] or kind in NAMELESS
    (entry,) = simulator.ledger()
    assert entry["model"] == model

    simulator.clear_faults()
    assert_whole(simulator, operation, bedrock(gateway.url), model, attempts=1)


@pytest.mark.parametrize("operation", GENERATING, ids=str)
def test_a_slow_answer_is_an_answer(simulator, gateway, model, operation):
    simulator.model(model, tokens_per_second=2_000)
    simulator.fault("slow", model=model, operation=operation.name)
    assert_whole(simulator, operation, bedrock(gateway.url), model, attempts=1)


@pytest.mark.parametrize("operation", GENERATING, ids=str)
def test_an_outage_and_its_end(simulator, simulator_process, start_gateway, operation):
    """Five failures open the breaker; from then on nothing is sent, until a probe finds that it is over."""
    breaker = """
        [breaker]
        open_for = "3s"
        """
    gateway = start_gateway(gateway_config(simulator_process.url, POLICIES + breaker))
    client = bedrock(gateway.url)
    simulator.fault("unavailable", times=1000)
    attempts = []
    for _ in range(4):
        with pytest.raises(client.exceptions.ServiceUnavailableException) as raised:
            operation.call(client)
        headers = raised.value.response["ResponseMetadata"]["HTTPHeaders"]
        attempts.append(int(headers["x-tower-bedrock-attempts"]))
    assert attempts == [3, 2, 0, 0]
    assert 1 <= int(headers["retry-after"]) <= 3
    assert len(simulator.ledger()) == 5

    simulator.clear_faults()
    deadline = client.meta.config.read_timeout
    answer = eventually(lambda: operation.call(client), deadline)
    assert answer.output_tokens == OUTPUT_TOKENS


def eventually(call, seconds):
    """What a call answers once it is not turned away any more."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except ClientError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize("operation", [CONVERSE, CONVERSE_STREAM], ids=str)
@pytest.mark.parametrize("row", WHOLE_ANSWER, ids=str)
def test_another_model_answers(simulator, simulator_process, start_gateway, fallback_gateway, operation, row):
    """With somewhere to go, no fault of a model is its caller's trouble."""
    client = bedrock(fallback_gateway.url)
    simulator.fault(row.kind, model=CLAUDE, times=1000)
    answer = operation.call(client, model=CLAUDE)
    assert (answer.stop_reason, answer.output_tokens) == ("end_turn", OUTPUT_TOKENS)
    headers = answer.http["HTTPHeaders"]
    assert headers["x-tower-bedrock-model"] == NOVA
    assert headers["x-tower-bedrock-degraded"] == "true"
    asked = [entry["model"] for entry in simulator.ledger()]
    assert asked[-1] == NOVA and set(asked[:-1]) <= {CLAUDE}
    assert headers["x-tower-bedrock-attempts"] == str(len(asked))


@pytest.fixture(scope="module")
def fallback_gateway(simulator_process, start_gateway):
    fallback = f"""
        [[fallback]]
        model = "{CLAUDE}"
        chain = [{{ model = "{NOVA}" }}]
        """
    return start_gateway(gateway_config(simulator_process.url, POLICIES + fallback))
