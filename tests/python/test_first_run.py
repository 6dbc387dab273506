"""What a newcomer pastes: the calls that the gateway prints when it is ready, and those in the README."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from processes import free_address

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def gateway(start_gateway):
    """A gateway as it is without a configuration, on ports of its own."""
    return start_gateway(
        f"""
        [upstream]
        kind = "sim"
        sim_listen = "{free_address()}"
        """
    )


@pytest.fixture(params=["printed", "README"])
def text(request, gateway):
    if request.param == "printed":
        return gateway.log.read_text()
    return README.read_text().replace("127.0.0.1:8080", gateway.address)


def test_boto3(text):
    fenced = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    program = fenced or re.search(r"^or, with boto3:\n\n((?:  .*\n)+)", text, re.MULTILINE)
    without_aws = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    answer = run([sys.executable, "-c", textwrap.dedent(program[1])], env=without_aws)
    assert "contentBlockDelta" in answer
    assert "simulated" in answer


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
def test_curl(text):
    (command,) = re.findall(r"curl -s .*?(?<!\\)\n", text, re.DOTALL)
    answer = run(["sh", "-c", command], env=None)
    assert "simulated" in answer


def run(command, env):
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout
