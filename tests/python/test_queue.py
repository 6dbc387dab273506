"""The queue crate's worker at an SQS that moto plays."""

import json
import os
import subprocess
import time
from contextlib import contextmanager

import boto3
import pytest
from moto.server import ThreadedMotoServer
from moto.sqs.models import sqs_backends

from processes import environment


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def sqs(moto):
    client = boto3.client(
        "sqs",
        endpoint_url=moto,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    yield client
    client.close()


class Queues:
    """A queue and its dead letters, of a kind."""

    def __init__(self, sqs, name, fifo=False):
        suffix, attributes = (".fifo", {"FifoQueue": "true"}) if fifo else ("", {})
        self.sqs = sqs
        self.url, self.dead_letters = (
            sqs.create_queue(QueueName=name + part + suffix, Attributes=attributes)["QueueUrl"]
            for part in ("", "-failed")
        )

    def counts(self, url=None):
        """Messages that can be received, and those that are leased."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)["Attributes"]
        return tuple(int(attributes[name]) for name in names)

    def messages(self):
        """What moto keeps of its messages, whether they can be received or not."""
        account, name = self.url.split("/")[-2:]
        return sqs_backends[account]["us-east-1"].queues[name]._messages

    def leased_until(self):
        """When the lease of the only message ends."""
        [message] = self.messages()
        return message.visible_at

    def receives(self):
        """How often the only message was received."""
        return sum(message.approximate_receive_count for message in self.messages())

    def failed_attempts(self):
        """Of the only message, as workers tell one another. Two while one takes the place of the other."""
        attributes = [message.message_attributes for message in self.messages()]
        told = [int(of["FailedAttempts"]["StringValue"]) for of in attributes if "FailedAttempts" in of]
        return told[0] if len(attributes) == 1 and told else 0

    def failed(self):
        answer = self.sqs.receive_message(
            QueueUrl=self.dead_letters, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return {
            message["Body"]: {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
            for message in answer.get("Messages", [])
        }


class Worker:
    def __init__(self, process):
        self.process = process

    def answers(self, count):
        """The next so many answers, as key and result."""
        answers = [json.loads(self.process.stdout.readline()) for _ in range(count)]
        return [(answer["key"], answer["result"]) for answer in answers]

    def stop(self):
        """Asks it to end; answers its report."""
        self.process.stdin.close()
        report = json.loads(self.process.stdout.readline())
        assert self.process.wait(timeout=10) == 0
        return report


@contextmanager
def working(moto, queues, poll=0, visibility=30, max_attempts=2, max_receives=20, stuck=False, send=()):
    # A long poll goes on at moto when its client is gone, and takes what comes.
    program = os.environ.get("QUEUE_CLIENT")
    if not program:
        raise RuntimeError("QUEUE_CLIENT is not set: run these tests by `cargo xtask test --only python`")
    aws = {
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_SQS": moto,
    }
    process = subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**environment(), **aws}
    )
    job = {
        "queue": queues.url,
        "dead_letters": queues.dead_letters,
        "poll": poll,
        "visibility": visibility,
        "max_attempts": max_attempts,
        "max_receives": max_receives,
        "stuck": stuck,
        "send": list(send),
    }
    try:
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        yield Worker(process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        if not process.stdin.closed:
            process.stdin.close()


def eventually(holds):
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    pytest.fail("it never held")


def test_every_message_is_answered_and_poison_is_set_aside_with_its_exception(moto, sqs):
    queues = Queues(sqs, "standard")
    # One that somebody else sent, with attributes of its own.
    sqs.send_message(
        QueueUrl=queues.url,
        MessageBody="model_error",
        MessageAttributes={"Team": {"DataType": "String", "StringValue": "billing"}},
    )
    send = [{"key": f"key-{number}", "body": f"prompt {number}"} for number in range(25)]
    send.insert(3, {"key": "poison", "body": "validation"})
    with working(moto, queues, poll=1, send=send) as worker:
        answers = worker.answers(25)
        failed = {}
        eventually(lambda: failed.update(queues.failed()) or len(failed) == 2)
        eventually(lambda: queues.counts() == (0, 0))
        report = worker.stop()
    assert sorted(answers) == sorted((f"key-{number}", f"PROMPT {number}") for number in range(25))
    assert failed["validation"] == {"IdempotencyKey": "poison", "Exception": "ValidationException", "Attempts": "1"}
    model_error = failed["model_error"]
    assert model_error.pop("IdempotencyKey")  # The message id.
    assert model_error == {"Exception": "ModelErrorException", "Attempts": "2", "Team": "billing"}
    assert report == {"answered": 25, "set_aside": 2, "given_back": 1}


def test_what_is_no_message_s_fault_is_no_attempt(moto, sqs):
    queues = Queues(sqs, "throttled")
    with working(moto, queues, max_attempts=1, send=[{"key": "a", "body": "later"}]) as worker:
        assert worker.answers(1) == [("a", "LATER")]
        assert worker.stop() == {"answered": 1, "set_aside": 0, "given_back": 2}
    assert queues.counts() == (0, 0)


def test_what_only_waits_is_never_given_up(moto, sqs):
    queues = Queues(sqs, "waiting")
    send = [{"key": "a", "body": "later 3"}]
    for _ in range(3):
        # Deployed anew.
        with working(moto, queues, max_receives=2, stuck=True, send=send) as worker:
            eventually(lambda: queues.counts() == (0, 1))
            assert worker.stop() == {"answered": 0, "set_aside": 0, "given_back": 1}
        send = []
    # Throttled.
    with working(moto, queues, max_attempts=1, max_receives=2) as worker:
        assert worker.answers(1) == [("a", "LATER 3")]
        assert worker.stop() == {"answered": 1, "set_aside": 0, "given_back": 3}
    assert queues.counts() == (0, 0)


def test_workers_count_attempts_together(moto, sqs):
    queues = Queues(sqs, "together")
    team = {"Team": {"DataType": "String", "StringValue": "billing"}}
    sqs.send_message(QueueUrl=queues.url, MessageBody="model_error", MessageAttributes=team)
    for number in (1, 2):
        with working(moto, queues, max_attempts=3) as worker:
            eventually(lambda: queues.failed_attempts() >= number)
            # The next one knows nothing but what the message says.
            worker.process.kill()
    failed = {}
    with working(moto, queues, max_attempts=3):
        eventually(lambda: failed.update(queues.failed()) or failed)
    model_error = failed["model_error"]
    assert model_error.pop("IdempotencyKey")
    assert model_error == {"Exception": "ModelErrorException", "Attempts": "3", "Team": "billing"}


def test_a_message_whose_worker_is_killed_each_time_is_set_aside(moto, sqs):
    queues = Queues(sqs, "deadly")
    send = [{"key": "a", "body": "work"}]
    for number in (1, 2, 3):
        with working(moto, queues, visibility=1, max_receives=3, stuck=True, send=send) as worker:
            eventually(lambda: queues.receives() >= number)
            worker.process.kill()
        send = []
    with working(moto, queues, max_receives=3, stuck=True):
        eventually(lambda: queues.counts() == (0, 0))
    failed = queues.failed()
    # It would be more on a machine so slow that a lease ran out before its holder was killed.
    assert int(failed["work"].pop("Attempts")) >= 3
    assert failed == {"work": {"IdempotencyKey": "a", "Exception": "abandoned"}}


def test_a_fifo_queue_keeps_the_order_of_each_group(moto, sqs):
    queues = Queues(sqs, "ordered", fifo=True)
    # Each is done sooner than the one before it, so that two of a group at once would change places.
    send = [
        {"key": f"{group}-{number}", "body": f"{(5 - number) * 50} {group}", "group": group}
        for number in range(6)
        for group in "ab"
    ]
    send.append({"key": "b-poison", "body": "validation", "group": "b"})
    # Given back twice, and its group waits for it.
    send.append({"key": "c-0", "body": "later", "group": "c"})
    send += [{"key": f"c-{number}", "body": "0 c", "group": "c"} for number in range(1, 6)]
    # The same work again: a FIFO queue takes it once.
    send.append(send[0])
    with working(moto, queues, send=send) as worker:
        answers = worker.answers(18)
        eventually(lambda: queues.counts() == (0, 0))
        report = worker.stop()
    for group in "abc":
        assert [key for key, _ in answers if key[0] == group] == [f"{group}-{number}" for number in range(6)]
    assert queues.failed()["validation"]["Exception"] == "ValidationException"
    assert report == {"answered": 18, "set_aside": 1, "given_back": 2}


def test_what_is_set_aside_again_after_it_was_moved_back_is_there_again(moto, sqs):
    queues = Queues(sqs, "moved-back", fifo=True)
    # A key that is no deduplication id.
    key = {"DataType": "String", "StringValue": "invoice 4711"}
    with working(moto, queues):
        for number in range(2):
            sqs.send_message(
                QueueUrl=queues.url,
                MessageBody="validation",
                MessageAttributes={"IdempotencyKey": key},
                MessageGroupId="a",
                MessageDeduplicationId=str(number),
            )
            eventually(lambda: queues.counts(queues.dead_letters) == (number + 1, 0))


def test_a_lease_is_renewed_while_a_call_runs_and_given_back_at_once_on_shutdown(moto, sqs):
    queues = Queues(sqs, "leases")
    with working(moto, queues, visibility=6, stuck=True, send=[{"key": "endless", "body": "work"}]) as worker:
        eventually(lambda: queues.counts() == (0, 1))
        leased_until = queues.leased_until()
        eventually(lambda: queues.leased_until() > leased_until)
        assert worker.stop() == {"answered": 0, "set_aside": 0, "given_back": 1}
        assert queues.counts() == (1, 0)


def test_a_worker_that_is_killed_loses_nothing(moto, sqs):
    queues = Queues(sqs, "killed")
    with working(moto, queues, visibility=2, stuck=True, send=[{"key": "a", "body": "work"}]) as worker:
        eventually(lambda: queues.counts() == (0, 1))
        worker.process.kill()
    with working(moto, queues) as worker:
        assert worker.answers(1) == [("a", "WORK")]
