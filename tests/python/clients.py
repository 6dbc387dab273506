"""boto3 clients that have nothing special about them but an endpoint URL."""

import boto3
from botocore import UNSIGNED
from botocore.config import Config

REGION = "us-east-1"

# The simulator is told of these (see conftest.py), as AWS is told of an account's keys.
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
BEARER_TOKEN = "bedrock-api-key-EXAMPLE"


# Shared for the service's description, which takes a while to read.
SESSION = boto3.session.Session()


def bedrock(url, *, access_key=ACCESS_KEY, secret_key=SECRET_KEY, region=REGION, **config):
    """A client that signs."""
    return SESSION.client(
        "bedrock-runtime",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=configuration(**config),
    )


def unsigned(url):
    """A client that sends no credentials at all."""
    return bedrock(url, signature_version=UNSIGNED)


def with_bearer_token(front, token, monkeypatch):
    """A client that finds a Bedrock API key where the SDKs look for one. It needs TLS to send it."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", token)
    return SESSION.client(
        "bedrock-runtime",
        endpoint_url=front.url,
        region_name=REGION,
        verify=front.authority,
        config=configuration(),
    )


def configuration(read_timeout=30, **more):
    """One attempt a call, so that a test sees what the first answer was."""
    return Config(
        retries={"total_max_attempts": 1},
        connect_timeout=5,
        read_timeout=read_timeout,
        max_pool_connections=50,
        **more,
    )
