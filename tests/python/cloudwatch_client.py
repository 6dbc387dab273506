"""The program that has the CloudWatch crate do things."""

import json
import os
import subprocess

from processes import environment


def run(*command, cloudwatch=None, recording=None):
    """Runs the program under test; answers what it prints."""
    program = os.environ.get("CLOUDWATCH_CLIENT")
    if not program:
        raise RuntimeError("CLOUDWATCH_CLIENT is not set: run these tests by `cargo xtask test --only python`")
    aws = {
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if cloudwatch:
        aws["AWS_ENDPOINT_URL_CLOUDWATCH"] = cloudwatch.url
        # It speaks no CBOR, and needs no bridge.
        aws["AWS_ENDPOINT_URL_CLOUDFORMATION"] = cloudwatch.moto_url
    finished = subprocess.run(
        [program, *command],
        input=json.dumps(recording or {}),
        capture_output=True,
        text=True,
        timeout=50,
        env={**environment(), **aws},
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout
