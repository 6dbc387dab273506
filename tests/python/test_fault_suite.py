"""Every fault there is, at every place it can strike, through a gateway whose policies are on.

Each row of the table (fault_table.py) is tried in three ways: the fault strikes once, and the policies make up for it where they can; it
strikes on and on, and the answer says so; then it is over, and the next call is answered.
"""

import time
from itertools import count
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, ConnectionError, EventStreamError, HTTPClientError
from urllib3.exceptions import HTTPError

import fault_table
from clients import bedrock
from fault_table import AFTER_DELTAS, FIRST_EVENT, MAX_ATTEMPTS, WHOLE_ANSWER
from operations import CLAUDE, CONVERSE, CONVERSE_STREAM, GENERATING, INVOKE_MODEL, INVOKE_STREAM, NOVA, STREAMING
from processes import gateway_config

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
    assert metadata["HTTPHeaders"].get("retry-after") == row.retry_after


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
@pytest.mark.parametrize("row", AFTER_DELTAS, ids=str)
def test_after_some_content(simulator, gateway, model, operation, row):
    code = row.code(operation)
    # A stall is the client's to end: it alone knows how long it will wait for the rest.
    client = bedrock(gateway.url, read_timeout=30 if code is not None else 1)
    simulator.fault(row.kind, model=model, operation=operation.name, times=1000, at={"after_deltas": DELTAS})
    with pytest.raises((EventStreamError, HTTPError, HTTPClientError, ConnectionError)) as raised:
        operation.call(client, model=model)
    if code is not None:
        assert isinstance(raised.value, EventStreamError)
        error = raised.value.response["Error"]
        assert error["Code"] == code
        assert bool(error["Message"]) == bool(code)
    (entry,) = simulator.ledger()
    assert entry["model"] == model

    simulator.clear_faults()
    assert_whole(simulator, operation, bedrock(gateway.url), model, attempts=1)


@pytest.mark.parametrize("operation", GENERATING, ids=str)
def test_a_slow_answer_is_an_answer(simulator, gateway, model, operation):
    simulator.model(model, tokens_per_second=2_000)
    simulator.fault("slow", model=model, operation=operation.name, times=1000)
    for _ in range(2):
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


@pytest.mark.parametrize("operation", [INVOKE_MODEL, INVOKE_STREAM], ids=str)
def test_a_model_of_another_form_is_no_answer(simulator, simulator_process, start_gateway, fallback_gateway, operation):
    """Nova does not take Claude's body, and that is no mistake of who asked Claude."""
    client = bedrock(fallback_gateway.url)
    simulator.fault("unavailable", model=CLAUDE, times=1000)
    with pytest.raises(ClientError) as raised:
        operation.call(client, model=CLAUDE)
    response = raised.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert response["Error"]["Code"] == "ServiceUnavailableException"
    asked = [entry["model"] for entry in simulator.ledger()]
    # Claude's breaker may be open by now.
    assert asked[-1] == NOVA and set(asked[:-1]) <= {CLAUDE}


@pytest.fixture(scope="module")
def fallback_gateway(simulator_process, start_gateway):
    fallback = f"""
        [[fallback]]
        model = "{CLAUDE}"
        chain = [{{ model = "{NOVA}" }}]
        """
    return start_gateway(gateway_config(simulator_process.url, POLICIES + fallback))


def test_the_page_is_of_this_table():
    page = Path(__file__).parents[2] / "docs/faults.md"
    assert page.read_text() == fault_table.page(), "python3 tests/python/fault_table.py > docs/faults.md"
