"""The simulator's control calls."""

import json
import urllib.parse
import urllib.request


class Simulator:
    """A running simulator, as a test sets it up and looks into it."""

    def __init__(self, url):
        self.url = url

    def reset(self):
        """Faults, ledger and quotas back to the start."""
        self._call("POST", "/_sim/reset")

    def model(self, model_id, **settings):
        """Sets a model up: `tokens_per_minute`, `output_tokens` and so on. Creates it if it is new."""
        self._call("PUT", f"/_sim/models/{urllib.parse.quote(model_id, safe='')}", settings)

    def fault(self, kind, *, model="*", operation=None, times=1, **more):
        """Has the next calls that match fail."""
        self._call(
            "POST",
            "/_sim/faults",
            {"model": model, "operation": operation, "kind": kind, "times": times, **more},
        )

    def clear_faults(self):
        """From now on nothing fails."""
        self._call("DELETE", "/_sim/faults")

    def ledger(self):
        """Every request since the last reset."""
        return self._call("GET", "/_sim/ledger")["entries"]

    def _call(self, method, path, body=None):
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = response.read()
        return json.loads(answer) if answer else None
