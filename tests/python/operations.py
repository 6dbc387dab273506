"""The five operations, each as one function from a client and a prompt to a whole answer."""

import json
from dataclasses import dataclass
from typing import Callable

CLAUDE = "anthropic.claude-3-haiku-20240307-v1:0"
NOVA = "amazon.nova-lite-v1:0"

MAX_TOKENS = 64


@dataclass
class Answer:
    """What came back, read to its end."""

    text: str
    input_tokens: int
    output_tokens: int
    stop_reason: str
    http: dict


def messages(prompt):
    return [{"role": "user", "content": [{"text": prompt}]}]


def anthropic_body(prompt, max_tokens=MAX_TOKENS):
    return json.dumps(
        {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": max_tokens,
            "messages": [{"role": "user", "content": prompt}],
        }
    )


def converse(client, prompt="Hello.", model=CLAUDE, max_tokens=MAX_TOKENS):
    response = client.converse(
        modelId=model, messages=messages(prompt), inferenceConfig={"maxTokens": max_tokens}
    )
    return Answer(
        text="".join(block["text"] for block in response["output"]["message"]["content"]),
        input_tokens=response["usage"]["inputTokens"],
        output_tokens=response["usage"]["outputTokens"],
        stop_reason=response["stopReason"],
        http=response["ResponseMetadata"],
    )


def open_converse_stream(client, prompt="Hello.", model=CLAUDE, max_tokens=MAX_TOKENS):
    return client.converse_stream(
        modelId=model, messages=messages(prompt), inferenceConfig={"maxTokens": max_tokens}
    )


def converse_stream(client, prompt="Hello.", model=CLAUDE, max_tokens=MAX_TOKENS):
    response = open_converse_stream(client, prompt, model, max_tokens)
    answer = Answer("", None, None, None, response["ResponseMetadata"])
    for event in response["stream"]:
        if "contentBlockDelta" in event:
            answer.text += event["contentBlockDelta"]["delta"]["text"]
        elif "messageStop" in event:
            answer.stop_reason = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            answer.input_tokens = event["metadata"]["usage"]["inputTokens"]
            answer.output_tokens = event["metadata"]["usage"]["outputTokens"]
    return answer


def invoke_model(client, prompt="Hello.", model=CLAUDE, max_tokens=MAX_TOKENS):
    response = client.invoke_model(modelId=model, body=anthropic_body(prompt, max_tokens))
    body = json.loads(response["body"].read())
    return Answer(
        text="".join(block["text"] for block in body["content"]),
        input_tokens=body["usage"]["input_tokens"],
        output_tokens=body["usage"]["output_tokens"],
        stop_reason=body["stop_reason"],
        http=response["ResponseMetadata"],
    )


def open_invoke_stream(client, prompt="Hello.", model=CLAUDE, max_tokens=MAX_TOKENS):
    return client.invoke_model_with_response_stream(modelId=model, body=anthropic_body(prompt, max_tokens))


def invoke_stream(client, prompt="Hello.", model=CLAUDE, max_tokens=MAX_TOKENS):
    response = open_invoke_stream(client, prompt, model, max_tokens)
    answer = Answer("", None, None, None, response["ResponseMetadata"])
    for event in response["body"]:
        chunk = json.loads(event["chunk"]["bytes"])
        if chunk["type"] == "content_block_delta":
            answer.text += chunk["delta"]["text"]
        elif chunk["type"] == "message_delta":
            answer.stop_reason = chunk["delta"]["stop_reason"]
        metrics = chunk.get("amazon-bedrock-invocationMetrics")
        if metrics:
            answer.input_tokens = metrics["inputTokenCount"]
            answer.output_tokens = metrics["outputTokenCount"]
    return answer


def count_tokens(client, prompt="Hello.", model=CLAUDE):
    """Answers with the number alone: there is no text to it."""
    return client.count_tokens(modelId=model, input={"converse": {"messages": messages(prompt)}})["inputTokens"]


@dataclass
class Operation:
    """An operation by its name on the wire."""

    name: str
    call: Callable

    @property
    def streams(self):
        return "Stream" in self.name

    def __str__(self):
        return self.name


CONVERSE = Operation("Converse", converse)
CONVERSE_STREAM = Operation("ConverseStream", converse_stream)
INVOKE_MODEL = Operation("InvokeModel", invoke_model)
INVOKE_STREAM = Operation("InvokeModelWithResponseStream", invoke_stream)
COUNT_TOKENS = Operation("CountTokens", count_tokens)

GENERATING = [CONVERSE, CONVERSE_STREAM, INVOKE_MODEL, INVOKE_STREAM]
STREAMING = [CONVERSE_STREAM, INVOKE_STREAM]
ALL = [*GENERATING, COUNT_TOKENS]
