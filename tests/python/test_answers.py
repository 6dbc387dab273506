"""Every operation answered, straight from the simulator and through the gateway."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from operations import (
    CLAUDE,
    CONVERSE_STREAM,
    GENERATING,
    INVOKE_MODEL,
    NOVA,
    STREAMING,
    converse,
    count_tokens,
    open_converse_stream,
)

PROMPT = "Name the four largest moons of Jupiter."


@pytest.mark.parametrize("operation", GENERATING, ids=str)
def test_an_answer_is_whole(client, simulator, operation):
    answer = operation.call(client, PROMPT)

    assert "simulated" in answer.text.lower()
    assert answer.input_tokens == count_tokens(client, PROMPT)
    assert answer.output_tokens == 20
    assert answer.stop_reason == "end_turn"
    assert answer.http["HTTPStatusCode"] == 200
    assert answer.http["HTTPHeaders"]["x-bedrock-sim"] == "true"
    assert answer.http["RequestId"]

    generated, counted = simulator.ledger()
    assert (generated["operation"], generated["model"]) == (operation.name, CLAUDE)
    assert (generated["input_tokens"], generated["output_tokens"]) == (answer.input_tokens, 20)
    assert counted["operation"] == "CountTokens"


@pytest.mark.parametrize("operation", GENERATING, ids=str)
def test_max_tokens_bounds_the_answer(client, simulator, operation):
    answer = operation.call(client, PROMPT, max_tokens=5)
    assert answer.output_tokens == 5
    assert answer.stop_reason == "max_tokens"


def test_invoke_model_tells_the_tokens_in_headers(client):
    answer = INVOKE_MODEL.call(client, PROMPT)
    headers = answer.http["HTTPHeaders"]
    assert int(headers["x-amzn-bedrock-input-token-count"]) == answer.input_tokens
    assert int(headers["x-amzn-bedrock-output-token-count"]) == answer.output_tokens
    assert int(headers["x-amzn-bedrock-invocation-latency"]) >= 0


def test_converse_stream_sends_its_events_in_order(client, simulator):
    simulator.model(CLAUDE, output_tokens=3)
    names = [name for event in open_converse_stream(client)["stream"] for name in event]
    # Bedrock opens a block only for tool use; some of its models open text blocks, too.
    names = [name for name in names if name != "contentBlockStart"]
    deltas = names[1:-3]
    assert names[0] == "messageStart"
    assert deltas and set(deltas) == {"contentBlockDelta"}
    assert names[-3:] == ["contentBlockStop", "messageStop", "metadata"]


def test_another_family_of_models(client):
    answer = converse(client, PROMPT, model=NOVA)
    assert "simulated" in answer.text.lower()


@pytest.mark.parametrize(
    "model",
    [
        "us.anthropic.claude-3-haiku-20240307-v1:0",
        "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-3-haiku-20240307-v1:0",
    ],
)
def test_a_model_has_many_names(client, simulator, model):
    assert converse(client, PROMPT, model=model).text
    (entry,) = simulator.ledger()
    assert entry["status"] == 200


@pytest.mark.parametrize("operation", GENERATING, ids=str)
def test_a_prompt_of_five_megabytes(client, operation):
    prompt = "moons of Jupiter " * 310_000
    assert len(prompt) > 5 * 1024 * 1024
    answer = operation.call(client, prompt)
    assert answer.input_tokens == count_tokens(client, prompt) > 500_000
    assert answer.text


@pytest.mark.parametrize("operation", STREAMING, ids=str)
def test_streams_run_side_by_side(client, simulator, operation):
    simulator.model(CLAUDE, output_tokens=50)
    prompts = [f"Prompt {'again ' * number}" for number in range(32)]
    expected = [count_tokens(client, prompt) for prompt in prompts]
    with ThreadPoolExecutor(len(prompts)) as threads:
        answers = list(threads.map(lambda prompt: operation.call(client, prompt), prompts))
    assert [answer.input_tokens for answer in answers] == expected
    assert {answer.output_tokens for answer in answers} == {50}
    assert len({answer.http["RequestId"] for answer in answers}) == len(prompts)


def test_a_stream_left_early_harms_nobody(client, simulator):
    simulator.model(CLAUDE, output_tokens=50)
    for _ in range(8):
        stream = open_converse_stream(client)["stream"]
        next(iter(stream))
        stream.close()
    assert CONVERSE_STREAM.call(client).output_tokens == 50
