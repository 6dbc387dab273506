"""What is the gateway's own: whom it lets in, what it calls Bedrock with, how it ends."""

import hashlib
import threading
import time
import urllib.error
import urllib.request

import pytest
import trustme
from botocore.exceptions import ClientError, SSLError
from urllib3.exceptions import HTTPError

from clients import bedrock, unsigned, with_bearer_token
from operations import ALL, CLAUDE, CONVERSE, converse_stream, open_converse_stream
from processes import gateway_config

KEY = "a key of team a"


CLIENT = f"""
    [[client]]
    name = "team-a"
    key_sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"
    """


@pytest.fixture(scope="module")
def keyed_gateway(simulator_process, start_gateway):
    """A gateway that knows its clients by their keys."""
    return start_gateway(gateway_config(simulator_process.url) + CLIENT)


@pytest.fixture(scope="module", params=["tls of its own", "tls in front"])
def front(request, simulator_process, keyed_gateway, start_gateway, start_tls_front, folder):
    """Such a gateway by TLS: boto3 sends keys to no other."""
    if request.param == "tls in front":
        return start_tls_front(keyed_gateway)
    tls = f"""
        [tls]
        certificate = "{folder / 'certificate.pem'}"
        key = "{folder / 'key.pem'}"
        """
    authority = folder / "gateway-authority.pem"
    certify(folder, authority)
    return start_gateway(gateway_config(simulator_process.url) + CLIENT + tls, authority=str(authority))


def certify(folder, authority):
    """Puts a new certificate, and who vouches for it, where a gateway looks for them."""
    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(authority)
    certificate = issuer.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    chain = b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
    (folder / "certificate.pem").write_bytes(chain)


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_clients_need_no_aws_credentials(simulator, gateway_process, operation):
    # The simulator checks signatures: the gateway signs with its own account's key.
    assert operation.call(bedrock(gateway_process.url, access_key="unknown", secret_key="to all"))
    assert operation.call(unsigned(gateway_process.url))


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_a_client_with_its_key(simulator, front, operation, monkeypatch):
    assert operation.call(with_bearer_token(front, KEY, monkeypatch))


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_a_client_with_a_wrong_key(simulator, front, operation, monkeypatch):
    client = with_bearer_token(front, "a key of nobody", monkeypatch)
    assert_refused(client, operation, "UnrecognizedClientException")
    assert simulator.ledger() == []


def test_a_client_without_a_key(simulator, keyed_gateway):
    for client in (unsigned(keyed_gateway.url), bedrock(keyed_gateway.url)):
        assert_refused(client, CONVERSE, "AccessDeniedException", "MissingAuthenticationTokenException")
    assert simulator.ledger() == []


def assert_refused(client, operation, *codes):
    with pytest.raises(ClientError) as raised:
        operation.call(client)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert raised.value.response["Error"]["Code"] in codes


def test_calls_go_to_the_default_region(simulator, gateway_process):
    CONVERSE.call(unsigned(gateway_process.url))
    (entry,) = simulator.ledger()
    assert entry["region"] == "us-east-1"


def test_health(gateway_process, simulator_process):
    for url in (
        f"{gateway_process.url}/healthz",
        f"{gateway_process.url}/readyz",
        f"{simulator_process.url}/_sim/health",
    ):
        with urllib.request.urlopen(url, timeout=5) as response:
            assert response.status == 200


def test_a_path_that_is_none_of_bedrocks(gateway_process):
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{gateway_process.url}/no/such/path", timeout=5)
    with raised.value as response:
        assert response.status == 404
        assert response.headers["x-amzn-errortype"].startswith("UnknownOperationException")


def test_a_prompt_is_never_logged(simulator, gateway_process):
    # With letters that no request id has.
    prompt = "a secret that must not be written down qzx7k"
    for operation in ALL:
        operation.call(bedrock(gateway_process.url), prompt)
    assert "qzx7k" not in gateway_process.log.read_text()


def test_another_configuration_without_dropping_a_stream(simulator, simulator_process, start_gateway, folder):
    simulator.model(CLAUDE, output_tokens=30, tokens_per_second=30)
    gateway = start_gateway()
    client = bedrock(gateway.url)
    events = iter(open_converse_stream(client)["stream"])
    next(events)

    def attempts(policies, said):
        gateway.config.write_text(gateway_config(simulator_process.url, policies))
        before = gateway.log.read_text().count(said)
        gateway.hang_up()
        deadline = time.monotonic() + 10
        while gateway.log.read_text().count(said) == before and time.monotonic() < deadline:
            time.sleep(0.02)
        simulator.fault("internal", operation="Converse", times=1000)
        with pytest.raises(client.exceptions.InternalServerException) as raised:
            CONVERSE.call(client)
        simulator.clear_faults()
        return raised.value.response["ResponseMetadata"]["HTTPHeaders"]["x-tower-bedrock-attempts"]

    twice = """
        [retry]
        max_attempts = 2
        max_delay = "1s"
        [breaker]
        enabled = false
        """
    assert attempts(twice, "configuration reloaded") == "2"
    # One that cannot be is refused, and changes nothing.
    assert attempts(twice.replace("= 2", "= 0"), "max_attempts is 0: expected 1 to") == "2"
    assert attempts(twice.replace("= 2", "= 3"), "configuration reloaded") == "3"

    names = [name for event in events for name in event]
    assert names[-1] == "metadata"


def test_another_certificate_without_a_restart(simulator, simulator_process, start_gateway, tmp_path, monkeypatch):
    authority = tmp_path / "authority.pem"
    certify(tmp_path, authority)
    tls = f"""
        [tls]
        certificate = "{tmp_path / 'certificate.pem'}"
        key = "{tmp_path / 'key.pem'}"
        """
    gateway = start_gateway(gateway_config(simulator_process.url) + CLIENT + tls, authority=str(authority))
    before = with_bearer_token(gateway, KEY, monkeypatch)
    CONVERSE.call(before)

    gateway.authority = str(tmp_path / "next-authority.pem")
    certify(tmp_path, gateway.authority)
    gateway.hang_up()
    deadline = time.monotonic() + 10
    while True:
        try:
            CONVERSE.call(with_bearer_token(gateway, KEY, monkeypatch))
            break
        except SSLError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    # A connection that is open goes on.
    CONVERSE.call(before)


def test_streams_end_well_when_the_gateway_is_told_to_end(simulator, start_gateway):
    simulator.model(CLAUDE, output_tokens=30, tokens_per_second=30)
    gateway = start_gateway()
    events = iter(open_converse_stream(bedrock(gateway.url))["stream"])
    first = next(events)
    stopped = threading.Thread(target=gateway.stop)
    stopped.start()
    names = [*first, *(name for event in events for name in event)]
    stopped.join()
    assert names[0] == "messageStart"
    assert names[-1] == "metadata"
    assert not gateway.running()


def test_a_killed_gateway_is_no_clean_end(simulator, start_gateway):
    simulator.fault("hang", at={"after_deltas": 3})
    gateway = start_gateway()
    events = iter(open_converse_stream(bedrock(gateway.url))["stream"])
    while "contentBlockDelta" not in next(events):
        pass
    gateway.kill()
    with pytest.raises(HTTPError):
        for _ in events:
            pass
    # Nobody else notices.
    assert converse_stream(bedrock(simulator.url)).output_tokens == 20
