"""What each fault of the simulator must look like to a caller: Bedrock's error table."""

from dataclasses import dataclass


@dataclass
class Fault:
    """One row: the simulator's name for it, and the exception boto3 must raise."""

    kind: str
    exception: str
    status: int
    message: str

    def __str__(self):
        return self.kind


FAULTS = [
    Fault("throttle_requests", "ThrottlingException", 429, "Too many requests, please wait before trying again."),
    Fault("throttle_tokens", "ThrottlingException", 429, "Too many tokens, please wait before trying again."),
    Fault("throttle_tokens_per_day", "ThrottlingException", 429, "Too many tokens per day, "),
    Fault("overloaded", "ThrottlingException", 429, "is currently overloaded. Please try again later."),
    Fault("model_not_ready", "ModelNotReadyException", 429, ""),
    Fault(
        "too_many_connections",
        "ServiceUnavailableException",
        503,
        "Too many connections, please wait before trying again.",
    ),
    Fault("unavailable", "ServiceUnavailableException", 503, ""),
    Fault("internal", "InternalServerException", 500, ""),
    Fault("model_timeout", "ModelTimeoutException", 408, ""),
    Fault("model_error", "ModelErrorException", 424, ""),
]

# The exceptions that a stream's events can carry, by the fault that makes them.
IN_STREAM = {
    "throttle_requests": "throttlingException",
    "throttle_tokens": "throttlingException",
    "overloaded": "throttlingException",
    "unavailable": "serviceUnavailableException",
    "internal": "internalServerException",
    "model_error": "modelStreamErrorException",
}
