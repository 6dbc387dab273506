"""The simulator's quotas as a caller meets them, with Bedrock's arithmetic."""

import pytest

from operations import CLAUDE, GENERATING, NOVA, converse, count_tokens

PROMPT = "Name the four largest moons of Jupiter."


def test_requests_a_minute(client, simulator):
    simulator.model(CLAUDE, requests_per_minute=2)
    converse(client)
    converse(client)
    with pytest.raises(client.exceptions.ThrottlingException, match="Too many requests"):
        converse(client)
    # A quota is one model's.
    converse(client, model=NOVA)
    # Counting tokens is free.
    count_tokens(client)


@pytest.mark.parametrize("operation", GENERATING, ids=str)
def test_tokens_a_minute_are_reserved_with_max_tokens(client, simulator, operation):
    prompt_tokens = count_tokens(client, PROMPT)
    simulator.model(CLAUDE, tokens_per_minute=prompt_tokens + 99, output_tokens=10)
    with pytest.raises(client.exceptions.ThrottlingException, match="Too many tokens"):
        operation.call(client, PROMPT, max_tokens=100)

    simulator.model(CLAUDE, tokens_per_minute=prompt_tokens + 100)
    operation.call(client, PROMPT, max_tokens=100)
    entry = simulator.ledger()[-1]
    assert entry["reserved"] == prompt_tokens + 100
    # Five for each token of output: Claude 3's burndown.
    assert entry["settled"] == prompt_tokens + 10 * 5


def test_what_was_not_used_is_given_back(client, simulator):
    prompt_tokens = count_tokens(client, PROMPT)
    simulator.model(CLAUDE, tokens_per_minute=1_000, output_tokens=1)
    calls = 0
    with pytest.raises(client.exceptions.ThrottlingException):
        while True:
            converse(client, PROMPT, max_tokens=800)
            calls += 1
    # Each call reserves 800 and more, and keeps only what it used.
    used = prompt_tokens + 5
    assert calls == (1_000 - prompt_tokens - 800) // used + 1


def test_tokens_a_day(client, simulator):
    simulator.model(CLAUDE, tokens_per_day=100)
    with pytest.raises(client.exceptions.ThrottlingException, match="Too many tokens per day"):
        converse(client, PROMPT, max_tokens=1_000)
