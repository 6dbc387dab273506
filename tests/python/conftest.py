"""A simulator and a gateway for the whole run, and for every test a simulator as good as new."""

import pytest

from clients import ACCESS_KEY, BEARER_TOKEN, SECRET_KEY, bedrock
from operations import CLAUDE, NOVA
from processes import Process, gateway_config
from simulator import Simulator
from tls_front import TlsFront

CREDENTIALS = f"""
[credentials]
access_keys = [{{ access_key_id = "{ACCESS_KEY}", secret_access_key = "{SECRET_KEY}" }}]
bearer_tokens = ["{BEARER_TOKEN}"]
"""

# A reset leaves models as they were set. Answers come at once: none of these tests waits for the clock.
MODEL_SETTINGS = {
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "tokens_per_day": None,
    "max_output_tokens": 4096,
    "output_tokens": 20,
    "time_to_first_token_ms": 0,
    "tokens_per_second": 1_000_000,
    "tokens_per_delta": 1,
}


@pytest.fixture(scope="session", autouse=True)
def no_aws_of_ones_own(tmp_path_factory):
    """Nothing on this machine tells a client about AWS, but the tests themselves."""
    nowhere = str(tmp_path_factory.mktemp("aws") / "none")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_BEARER_TOKEN_BEDROCK"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_CONFIG_FILE", nowhere)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", nowhere)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """For configuration and logs."""
    return tmp_path_factory.mktemp("bedrock")


@pytest.fixture(scope="session")
def simulator_process(folder):
    config = folder / "sim.toml"
    config.write_text(CREDENTIALS)
    process = Process("BEDROCK_SIM", ["--config", str(config)], "/_sim/health", folder / "sim.log")
    yield process
    process.stop()


@pytest.fixture(scope="session")
def start_tls_front(folder):
    """Puts TLS in front of programs."""
    fronts = []

    def start(process):
        fronts.append(TlsFront(process.address, folder))
        return fronts[-1]

    yield start
    for front in fronts:
        front.close()


@pytest.fixture
def simulator(simulator_process):
    """The simulator's control calls, after a reset."""
    simulator = Simulator(simulator_process.url)
    simulator.reset()
    for model in (CLAUDE, NOVA):
        simulator.model(model, **MODEL_SETTINGS)
    return simulator


@pytest.fixture(scope="session")
def start_gateway(folder, simulator_process):
    """Starts gateways, in front of the simulator unless told otherwise; stops them at the end of the run."""
    processes = []

    def start(config=None, upstream=simulator_process.url, authority=None):
        number = len(processes)
        file = folder / f"gateway-{number}.toml"
        file.write_text(config or gateway_config(upstream))
        process = Process(
            "BEDROCK_GATEWAY",
            ["--config", str(file)],
            "/readyz",
            folder / f"gateway-{number}.log",
            authority=authority,
            # The account that the gateway calls Bedrock with.
            AWS_ACCESS_KEY_ID=ACCESS_KEY,
            AWS_SECRET_ACCESS_KEY=SECRET_KEY,
        )
        process.config = file
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.stop()


@pytest.fixture(scope="session")
def gateway_process(start_gateway):
    """A gateway that asks its clients for nothing."""
    return start_gateway()


@pytest.fixture(params=["simulator", "gateway"])
def way(request):
    """Every test that asks for it, or for what is made of it, is run both ways."""
    return request.param


@pytest.fixture
def endpoint(way, request, simulator):
    """The URL to call: the simulator's own, then the gateway's in front of it."""
    return request.getfixturevalue(f"{way}_process").url


@pytest.fixture
def client(endpoint):
    return bedrock(endpoint)


@pytest.fixture
def simulator_client(simulator, simulator_process):
    return bedrock(simulator_process.url)


@pytest.fixture
def gateway_client(simulator, gateway_process):
    return bedrock(gateway_process.url)
