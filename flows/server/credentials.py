"""Keys of an object store from a Prefect block: they go into the environment, nowhere else."""

import os
from pathlib import Path

from configs.load import load_config
from configs.schema import RunConfig
from storage.errors import TransientError, UserError


def load_run(path: str | Path) -> RunConfig:
    """A configuration, and the environment that its storage needs for this process and its own.

    Raises what `load_config` and `use_credentials` raise.
    """
    config = load_config(path)
    if config.runtime.s3_credentials is not None:
        use_credentials(config.runtime.s3_credentials)
    return config


def use_credentials(name: str) -> None:
    """Take the keys of the AWS Credentials block `name`, and its endpoint and region if it has any.

    Raises `UserError` where there is no such block, no server to ask or no prefect-aws, and
    `TransientError` while the server does not answer.
    """
    wanted = f"runtime.s3_credentials names the block {name!r}"
    if not os.environ.get("PREFECT_API_URL"):
        raise UserError(f"{wanted} of a Prefect server; set PREFECT_API_URL to that server's")
    try:
        from prefect_aws import AwsCredentials
    except ImportError as error:
        raise UserError(f"{wanted}, which needs pip install '.[s3]' in the checkout") from error
    import httpx
    from botocore.exceptions import BotoCoreError, ClientError
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        block = AwsCredentials.load(name)
        assert isinstance(block, AwsCredentials)  # and no coroutine, since no loop runs here
        keys = block.get_boto3_session().get_credentials()
    except ValueError as error:
        mend = "make it in the UI under Blocks, AWS Credentials"
        raise UserError(f"{wanted}, and the server has none; {mend}") from error
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        reason = type(error).__name__
        raise TransientError(
            f"{wanted}, and the Prefect server does not give it: {reason}"
        ) from error
    except (BotoCoreError, ClientError) as error:
        raise UserError(f"{wanted}, whose keys cannot be used: {error}") from error
    if keys is None:
        raise UserError(f"{wanted}, which holds no keys; fill it in")
    frozen = keys.get_frozen_credentials()
    found = {
        "AWS_ACCESS_KEY_ID": frozen.access_key,
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
        "AWS_SESSION_TOKEN": frozen.token,
        "AWS_ENDPOINT_URL": block.aws_client_parameters.endpoint_url,
        "AWS_DEFAULT_REGION": block.region_name,
    }
    os.environ.update({variable: value for variable, value in found.items() if value})
