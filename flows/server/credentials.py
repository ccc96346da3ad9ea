"""Object store keys from a Prefect block; they are put into the environment and nowhere else."""

import os
from pathlib import Path
from typing import cast

from configs.load import load_config
from configs.schema import RunConfig
from storage.errors import TransientError, UserError


def load_run(path: str | Path) -> RunConfig:
    """Load a configuration and set the environment variables that its storage needs.

    Child processes inherit the variables. Raises what `load_config` and `use_credentials` raise.
    """
    config = load_config(path)
    if config.runtime.s3_credentials is not None:
        use_credentials(config.runtime.s3_credentials)
    return config


def use_credentials(name: str) -> None:
    """Export the keys of the AWS Credentials block `name`, and its endpoint and region if set.

    Raises `UserError` if the block does not exist or is unusable, if PREFECT_API_URL is unset or
    prefect-aws is not installed, and `TransientError` if the server does not answer.
    """
    setting = f"runtime.s3_credentials names the block {name!r}"
    if not os.environ.get("PREFECT_API_URL"):
        raise UserError(
            f"{setting}, which a Prefect server keeps; set PREFECT_API_URL to that server's URL"
        )
    try:
        from prefect_aws import AwsCredentials
    except ImportError as error:
        raise UserError(f"{setting}, which needs pip install '.[s3]' in the checkout") from error
    import httpx
    from botocore.exceptions import BotoCoreError, ClientError
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        block = cast(
            "AwsCredentials", AwsCredentials.load(name)
        )  # no coroutine: no event loop runs
        keys = block.get_boto3_session().get_credentials()
    except ValueError as error:
        raise UserError(
            f"{setting}, but the server has no such block; create it in the UI under Blocks,"
            " AWS Credentials"
        ) from error
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        reason = type(error).__name__
        raise TransientError(
            f"{setting}, but the Prefect server did not return it: {reason}"
        ) from error
    except (BotoCoreError, ClientError) as error:
        raise UserError(f"{setting}, whose keys cannot be used: {error}") from error
    if keys is None:
        raise UserError(f"{setting}, which has no keys; enter them in the UI")
    frozen = keys.get_frozen_credentials()
    variables = {
        "AWS_ACCESS_KEY_ID": frozen.access_key,
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
        "AWS_SESSION_TOKEN": frozen.token,
        "AWS_ENDPOINT_URL": block.aws_client_parameters.endpoint_url,
        "AWS_DEFAULT_REGION": block.region_name,
    }
    os.environ.update({variable: value for variable, value in variables.items() if value})
