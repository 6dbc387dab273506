"""The programs under test, each started on a free port."""

import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path


class Process:
    """A running program that answers HTTP."""

    def __init__(self, variable, arguments, ready_path, log, authority=None, **aws):
        """Starts the program that an environment variable names, and waits until it answers `ready_path`.

        With an `authority` it serves TLS, with a certificate of that authority's. `aws` is all that the program's own
        environment says of AWS.
        """
        program = os.environ.get(variable)
        if not program:
            raise RuntimeError(f"{variable} is not set: run these tests by `cargo xtask test --only python`")
        self.address = free_address()
        self.url = f"{'https' if authority else 'http'}://{self.address}"
        self.authority = authority
        self.log = Path(log)
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [program, "--listen", self.address, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**environment(), **aws},
            )
        try:
            self._wait(ready_path)
        except BaseException:
            self.stop()
            raise

    def running(self):
        return self._process.poll() is None

    def open_files(self):
        """How many files and sockets the program has open."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    def hang_up(self):
        """Asks the program to read its configuration anew."""
        self._process.send_signal(signal.SIGHUP)

    def stop(self):
        """Asks the program to end, and makes it after ten seconds. Answers its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def kill(self):
        """Ends the program as a crash would."""
        self._process.kill()
        self._process.wait()

    def _wait(self, ready_path):
        trust = ssl.create_default_context(cafile=self.authority) if self.authority else None
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if not self.running():
                break
            try:
                with urllib.request.urlopen(self.url + ready_path, timeout=1, context=trust):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
        raise RuntimeError(f"{self._process.args} is not ready:\n{self.log.read_text(errors='replace')}")


def free_address():
    """An address nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def environment():
    """The caller's environment without anything that says how to reach AWS."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


# One attempt a call and no breaker, so that a test sees what came of each.
ONCE = """
        [retry]
        enabled = false
        [breaker]
        enabled = false
        """


def gateway_config(upstream, policies=ONCE):
    """The configuration of a gateway in front of an upstream's URL."""
    return f"""
        [upstream]
        kind = "endpoint"
        endpoint = "{upstream}"
        regions = ["us-east-1", "us-west-2"]
        {policies}
        """
