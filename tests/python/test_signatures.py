"""Who may call the simulator: signatures and bearer tokens, with the errors AWS has for wrong ones."""

import pytest
from botocore.exceptions import ClientError

from clients import BEARER_TOKEN, bedrock, unsigned, with_bearer_token
from operations import ALL, CONVERSE


@pytest.fixture
def url(simulator, simulator_process):
    return simulator_process.url


@pytest.fixture(scope="module")
def front(simulator_process, start_tls_front):
    return start_tls_front(simulator_process)


def refused(client, operation=CONVERSE):
    """The code of the error that a call is refused with."""
    with pytest.raises(ClientError) as raised:
        operation.call(client)
    response = raised.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert response["Error"]["Message"]
    return response["Error"]["Code"]


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_a_right_signature(url, operation):
    assert operation.call(bedrock(url))


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_a_wrong_secret(url, operation):
    assert refused(bedrock(url, secret_key="not the secret"), operation) == "InvalidSignatureException"


def test_an_unknown_access_key(url):
    assert refused(bedrock(url, access_key="AKIAI44QH8DHBEXAMPLE")) == "UnrecognizedClientException"


def test_no_signature(url):
    assert refused(unsigned(url)) == "MissingAuthenticationTokenException"


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_a_right_bearer_token(simulator, front, operation, monkeypatch):
    assert operation.call(with_bearer_token(front, BEARER_TOKEN, monkeypatch))


def test_a_wrong_bearer_token(simulator, front, monkeypatch):
    client = with_bearer_token(front, "nobody's token", monkeypatch)
    assert refused(client) in ("AccessDeniedException", "UnrecognizedClientException")


def test_the_signature_says_the_region(url, simulator):
    CONVERSE.call(bedrock(url, region="us-west-2"))
    (entry,) = simulator.ledger()
    assert entry["region"] == "us-west-2"
