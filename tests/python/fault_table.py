"""Every fault, where it can strike, and what becomes of a call that meets it.

test_fault_suite.py asserts it, and docs/faults.md shows it, which this writes:

    python3 tests/python/fault_table.py > docs/faults.md
"""

from dataclasses import dataclass

from operations import GENERATING, STREAMING

MAX_ATTEMPTS = 3

# A quota by the minute is back after one. When a day's tokens are, nobody says.
MINUTE = "60"
HOUR = "3600"
# What the next retry would have waited at most: milliseconds in these tests, rounded up.
NEXT_RETRY = "1"


@dataclass
class Row:
    """A fault before any content, and what becomes of the call."""

    kind: str
    # How often Bedrock is asked while it lasts.
    attempts: int
    # The error of a call that met nothing else.
    status: int
    code: str
    retry_after: str | None = None

    def __str__(self):
        return self.kind


@dataclass
class Broken:
    """A fault after some content, and the error that ends the stream.

    Empty where it has no name: botocore's model does not know the exception as an event of this stream. None where
    the client itself gives up.
    """

    kind: str
    converse: str | None
    invoke: str | None

    def code(self, operation):
        return self.converse if operation.name.startswith("Converse") else self.invoke

    def __str__(self):
        return self.kind


# Those that a stream meets in place of its first event too.
ANYWHERE = [
    Row("throttle_requests", MAX_ATTEMPTS, 429, "ThrottlingException", MINUTE),
    Row("throttle_tokens", MAX_ATTEMPTS, 429, "ThrottlingException", MINUTE),
    # Not back before tomorrow.
    Row("throttle_tokens_per_day", 1, 429, "ThrottlingException", HOUR),
    Row("overloaded", MAX_ATTEMPTS, 429, "ThrottlingException", NEXT_RETRY),
    Row("model_not_ready", MAX_ATTEMPTS, 429, "ModelNotReadyException", NEXT_RETRY),
    Row("too_many_connections", MAX_ATTEMPTS, 503, "ServiceUnavailableException"),
    Row("unavailable", MAX_ATTEMPTS, 503, "ServiceUnavailableException"),
    Row("internal", MAX_ATTEMPTS, 500, "InternalServerException"),
    Row("overloaded_529", MAX_ATTEMPTS, 529, "overloaded_error", NEXT_RETRY),
    # At the price of another answer it would fail again: this is for a fallback, and so is model_error.
    Row("model_timeout", 1, 408, "ModelTimeoutException"),
    Row("reset", MAX_ATTEMPTS, 503, "ServiceUnavailableException"),
    Row("hang", MAX_ATTEMPTS, 408, "ModelTimeoutException"),
]

WHOLE_ANSWER = [
    *ANYWHERE,
    Row("model_error", 1, 424, "ModelErrorException"),
    Row("html_503", MAX_ATTEMPTS, 503, "ServiceUnavailableException"),
]

# What comes late comes all the same, where the time limit of an attempt has room for it.
SLOW = ["`slow`", "answered, late", "1", "200", "", ""]

# Inside the HTTP 200, before any content: as good as the call's own error.
FIRST_EVENT = [
    *ANYWHERE,
    Row("model_error", 1, 424, "ModelStreamErrorException"),
    Row("corrupt", MAX_ATTEMPTS, 503, "ServiceUnavailableException"),
]

# After some content: an explicit error, and never another attempt.
AFTER_DELTAS = [
    Broken("throttle_requests", "throttlingException", "throttlingException"),
    Broken("throttle_tokens", "throttlingException", "throttlingException"),
    Broken("throttle_tokens_per_day", "throttlingException", "throttlingException"),
    Broken("overloaded", "throttlingException", "throttlingException"),
    Broken("model_not_ready", "", ""),
    Broken("too_many_connections", "serviceUnavailableException", "serviceUnavailableException"),
    Broken("unavailable", "serviceUnavailableException", "serviceUnavailableException"),
    Broken("internal", "internalServerException", "internalServerException"),
    Broken("overloaded_529", "", ""),
    Broken("model_timeout", "", "modelTimeoutException"),
    Broken("model_error", "modelStreamErrorException", "modelStreamErrorException"),
    Broken("reset", "modelStreamErrorException", "modelStreamErrorException"),
    Broken("hang", None, None),
    Broken("corrupt", "modelStreamErrorException", "modelStreamErrorException"),
]

PAGE = """\
# What clients see of each fault

boto3 calls the gateway, with policies of its own and no retries of the client's, and the gateway calls the
[simulator](../crates/sim/README.md#faults), which fails as each row says. Each row is a test of
[`test_fault_suite.py`](../tests/python/test_fault_suite.py) for each operation: the fault strikes once; it strikes on and on; then
it is over, and the next call is answered. `retry.max_attempts` is {max_attempts}, its delays a few milliseconds, and what takes
longer than a second is a timeout.

Written by `python3 tests/python/fault_table.py > docs/faults.md`.

## In place of the answer

{generating}.
With a `[[fallback]]` another model answers all of these that are errors, which `x-tower-bedrock-degraded` says. Tokens a day are
the exception where there is a `[[quota]]`: they are the Region's, so that only a model of another Region answers.

{whole_answer}

## In place of a stream's first event

{streaming}. Bedrock has sent its HTTP status by then, 200, but the gateway has not: the
client sees the same as if there had been no stream.

{first_event}

`Retry-After` is in seconds. Bedrock says none of these: a minute is what a quota takes to be back whichever way it is counted, an
hour at most is between two tries of a day's quota, and what is nobody's quota is asked for again as the next retry would have,
here in 1 s, rounded up.

## After some content

The content that has arrived stays, Bedrock is asked once, and the stream ends with an exception, never as a whole one.

{after_deltas}

What botocore does not know as an event of a stream it raises as an `EventStreamError` without a name or message.
"""


def page():
    """docs/faults.md"""
    return PAGE.format(
        max_attempts=MAX_ATTEMPTS,
        generating=", ".join(f"`{operation}`" for operation in GENERATING),
        streaming=", ".join(f"`{operation}`" for operation in STREAMING),
        whole_answer=rows(WHOLE_ANSWER, SLOW),
        first_event=rows(FIRST_EVENT),
        after_deltas=broken(AFTER_DELTAS),
    )


def rows(table, *others):
    lines = [
        ["fault", "strikes once", "lasts: attempts", "status", "exception", "`Retry-After`"],
        ["---"] * 6,
    ]
    for row in table:
        once = "answered by the second attempt" if row.attempts > 1 else "the error"
        lines.append(
            [f"`{row.kind}`", once, str(row.attempts), str(row.status), f"`{row.code}`", row.retry_after or ""]
        )
    return markdown([*lines, *others])


def broken(table):
    lines = [["fault", *(f"`{operation}`" for operation in STREAMING)], ["---"] * 3]
    for row in table:
        lines.append([f"`{row.kind}`", *(ending(row.code(operation)) for operation in STREAMING)])
    return markdown(lines)


def ending(code):
    if code is None:
        return "nothing more: the client's own read timeout ends it"
    return f"`{code}`" if code else "`EventStreamError`, nameless"


def markdown(lines):
    return "\n".join("|".join(["", *(f" {cell} " if cell else " " for cell in cells), ""]) for cells in lines)


if __name__ == "__main__":
    print(page(), end="")
