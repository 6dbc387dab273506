"""Every error, as the exception that boto3 has for it."""

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from clients import bedrock
from faults import FAULTS
from operations import ALL, CLAUDE, CONVERSE, converse, messages


@pytest.mark.parametrize("operation", ALL, ids=str)
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_its_exception(client, simulator, fault, operation):
    simulator.fault(fault.kind, operation=operation.name)
    with pytest.raises(getattr(client.exceptions, fault.exception)) as raised:
        operation.call(client)
    response = raised.value.response
    assert response["Error"]["Code"] == fault.exception
    assert response["ResponseMetadata"]["HTTPStatusCode"] == fault.status
    assert response["ResponseMetadata"]["RequestId"]
    assert response["Error"]["Message"]
    assert fault.message in response["Error"]["Message"]

    # It was asked for once.
    operation.call(client)


def test_a_fault_can_have_its_own_message(client, simulator):
    simulator.fault("unavailable", message="Bedrock is unable to process your request.")
    with pytest.raises(client.exceptions.ServiceUnavailableException, match="unable to process your request"):
        converse(client)


def test_a_model_error_says_what_the_model_answered(client, simulator):
    simulator.fault("model_error")
    with pytest.raises(client.exceptions.ModelErrorException) as raised:
        converse(client)
    assert isinstance(raised.value.response["originalStatusCode"], int)
    assert raised.value.response["resourceName"]


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_overloaded_529_has_no_type_but_its_status(client, simulator, operation):
    simulator.fault("overloaded_529", retry_after=7)
    with pytest.raises(ClientError) as raised:
        operation.call(client)
    metadata = raised.value.response["ResponseMetadata"]
    assert metadata["HTTPStatusCode"] == 529
    assert metadata["HTTPHeaders"]["retry-after"] == "7"


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_a_load_balancers_page_is_an_error_too(client, simulator, operation):
    simulator.fault("html_503")
    with pytest.raises(ClientError) as raised:
        operation.call(client)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_a_reset_straight_from_the_simulator(simulator_client, simulator, operation):
    simulator.fault("reset")
    with pytest.raises(ConnectionClosedError):
        operation.call(simulator_client)


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_a_reset_behind_the_gateway_is_the_gateways_to_tell(gateway_client, simulator, operation):
    simulator.fault("reset")
    with pytest.raises(gateway_client.exceptions.ServiceUnavailableException):
        operation.call(gateway_client)
    operation.call(gateway_client)


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_no_answer_at_all(endpoint, simulator, operation):
    simulator.fault("hang")
    with pytest.raises(ReadTimeoutError):
        operation.call(bedrock(endpoint, read_timeout=1))
    # The one that hangs holds up nobody else.
    operation.call(bedrock(endpoint))


@pytest.mark.parametrize(
    "changed",
    [
        {"messages": []},
        {"messages": [{"role": "assistant", "content": [{"text": "I speak first."}]}]},
        {"inferenceConfig": {"maxTokens": 10_000_000}},
    ],
    ids=["no messages", "the assistant first", "too many max tokens"],
)
def test_what_the_service_would_refuse(client, simulator, changed):
    request = {"modelId": CLAUDE, "messages": messages("Hello."), **changed}
    with pytest.raises(client.exceptions.ValidationException) as raised:
        client.converse(**request)
    assert raised.value.response["Error"]["Message"]
    assert CONVERSE.call(client).text


def test_a_body_that_is_not_json(client):
    with pytest.raises(client.exceptions.ValidationException):
        client.invoke_model(modelId=CLAUDE, body=b"{")


def test_an_unknown_model(client):
    with pytest.raises(client.exceptions.ValidationException, match="model identifier is invalid"):
        converse(client, model="nobody.knows-this-v1:0")


def test_a_profile_only_model_by_its_plain_id(client):
    with pytest.raises(client.exceptions.ValidationException, match="on-demand throughput isn.t supported"):
        converse(client, model="anthropic.claude-sonnet-4-20250514-v1:0")


def test_a_body_above_the_limit(client):
    # 26 MB: the answer may come before the body is all sent, which is then a closed connection.
    with pytest.raises((ClientError, ConnectionClosedError)) as raised:
        client.invoke_model(modelId=CLAUDE, body=b" " * 26_000_000)
    if isinstance(raised.value, ClientError):
        assert 400 <= raised.value.response["ResponseMetadata"]["HTTPStatusCode"] < 500
    assert converse(client).text
