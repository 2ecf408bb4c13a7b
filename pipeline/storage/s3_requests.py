"""Make requests to S3: the process's client, one attempt at a request, its errors as ours.

Retries of botocore and s3fs are off: `Store` retries, since it knows the deadline and counts what
each attempt costs.
"""

import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import aiobotocore.session
import aiohttp
import s3fs
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.utils import parse_timestamp
from fsspec.asyn import sync
from fsspec.exceptions import FSTimeoutError

from pipeline.errors import UsageError
from pipeline.storage.backend import StoreMissingError, WithheldError, error_for
from pipeline.storage.backoff import RetryableError
from pipeline.storage.codes import reason_of
from pipeline.storage.s3_listings import use_fast_listing_parser

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30  # of silence on the socket
ATTEMPT_TIMEOUT_S = 90  # of a whole request; a body that trickles never falls silent
CONNECTIONS = 64  # of one process; the readers of a stage share them
WRONG_CREDENTIALS = (
    CredentialRetrievalError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)


def call(request: Callable[[Any], Awaitable[Any]]) -> Any:
    """Make one attempt at `request`; translate its errors to those of `backend.Backend`."""
    filesystem = _filesystem(os.getpid(), *(os.environ.get(n) for n in _IDENTITY))

    async def attempt() -> Any:
        return await request(await filesystem.set_session())

    try:
        return sync(filesystem.loop, attempt, timeout=ATTEMPT_TIMEOUT_S)
    except ClientError as error:
        raise _translate(error) from error
    except NoCredentialsError as error:
        raise WithheldError(
            "credentials",
            "no credentials for S3: give the machine a role, or set AWS_PROFILE or AWS_* variables",
        ) from error
    except WRONG_CREDENTIALS as error:
        raise WithheldError("credentials", f"{type(error).__name__}: {error}") from error
    except ParamValidationError as error:  # a name that no bucket or object can have
        raise UsageError(str(error)) from error
    except (TimeoutError, FSTimeoutError) as error:
        raise RetryableError("timeout", f"no complete answer in {ATTEMPT_TIMEOUT_S} s") from error
    except (EndpointConnectionError, ConnectTimeoutError) as error:
        raise RetryableError("unreachable", str(error)) from error
    except (BotoCoreError, aiohttp.ClientError, ConnectionError, EOFError) as error:
        raise RetryableError("network", f"{type(error).__name__}: {error}") from error


def _translate(error: ClientError) -> Exception:
    details = error.response.get("Error", {})
    code = str(details.get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    message = str(details.get("Message") or "")  # Ceph gives none
    reason = reason_of(code, status, message)
    text = ": ".join(filter(None, (code or str(status), message)))
    if reason == "no_bucket":
        bucket = details.get("BucketName") or f"of this name ({text})"  # some servers leave it out
        return StoreMissingError(f"there is no bucket {bucket}")
    return error_for(reason, text)


# They decide which account and server a client talks to; changing any gives a new client.
_IDENTITY = (
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN",
)  # fmt: skip


@lru_cache(maxsize=8)
def _filesystem(*identity: object) -> Any:
    """Create the client of this process (a fork needs its own) and identity; this takes 0.1 s."""
    session = aiobotocore.session.get_session()
    use_fast_listing_parser(session, _parse_time)
    return s3fs.S3FileSystem(
        session=session,
        skip_instance_cache=True,
        config_kwargs={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "read_timeout": READ_TIMEOUT_S,
            "max_pool_connections": CONNECTIONS,
            "retries": {"mode": "standard", "total_max_attempts": 1},
            "request_checksum_calculation": "when_required",
        },
    )


def _parse_time(value: str) -> datetime:
    """Parse a time in a response, of UTC if it names no zone. Raises ValueError.

    Botocore's parser took three quarters of a listing's CPU time.
    """
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):  # a header's form, or seconds since 1970
        moment = parse_timestamp(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
