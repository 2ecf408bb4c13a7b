"""The bucket rights, read as a document and tried on an S3 server that enforces them (moto).

moto evaluates actions and resources, not conditions; those are read here.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import enable_iam_authentication

from pipeline.records import data_key, run_key, task_key
from pipeline.storage import PROBE_KEY
from tests.infra.manifests import INFRA

NAMES = ("job_policy", "gc_policy", "bucket_policy", "job_trust")
POLICIES = {name: json.loads((INFRA / f"aws/{name}.json").read_text()) for name in NAMES}
PHOTO = "2026/11/21/cat.jpg"
RUN = "0123456789abcdef0123"
KEYS = [
    run_key(RUN, "spec.json"),
    run_key(RUN, "_MANIFEST.json"),
    run_key(RUN, "metrics.json"),
    run_key(RUN, "input/ab.parquet"),
    task_key(RUN, 7),
    data_key(RUN, "crops", 7, "ab"),
    "crops/ab/abcd.webp",
    PROBE_KEY,
]


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def allowed(name: str) -> list[tuple[str, str]]:
    """(action, resource) of every Allow statement."""
    return [
        (action, resource)
        for statement in POLICIES[name]["Statement"]
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
        for resource in listed(statement.get("Resource", "-"))
    ]


@pytest.mark.parametrize("name", NAMES)
def test_documents_have_the_parts_of_a_policy(name: str) -> None:
    policy = POLICIES[name]
    assert policy.keys() == {"Version", "Statement"}
    assert policy["Version"] == "2012-10-17"
    sids = [statement["Sid"] for statement in policy["Statement"]]
    assert len(set(sids)) == len(sids)
    for statement in policy["Statement"]:
        known = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
        assert statement.keys() <= known
        assert statement["Effect"] in {"Allow", "Deny"}
        assert ("Principal" in statement) == (name in {"bucket_policy", "job_trust"})


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_allowed_by_wildcard(name: str) -> None:
    for action, resource in allowed(name):
        assert "*" not in action
        assert resource not in {"*", "arn:aws:s3:::*", "arn:aws:s3:::thumbs/*"}


def test_the_job_may_not_delete_and_the_collector_only_data() -> None:
    assert {action for action, _ in allowed("job_policy")} == {
        "s3:ListBucket", "s3:GetObject", "s3:PutObject",
    }  # fmt: skip
    deletes = [pair for pair in allowed("gc_policy") if "Delete" in pair[0]]
    assert deletes == [("s3:DeleteObject", "arn:aws:s3:::thumbs/_data/*")]
    assert not allowed("bucket_policy"), "the bucket itself only forbids"


def test_the_bucket_forbids_replacing_records_and_deleting() -> None:
    rules = {s["Sid"]: s for s in POLICIES["bucket_policy"]["Statement"]}
    create = rules["RecordsAreCreatedNeverReplaced"]
    assert create["Effect"] == "Deny"
    assert create["Resource"] == "arn:aws:s3:::thumbs/runs/*"
    assert create["Condition"]["Null"] == {"s3:if-none-match": "true"}
    spared = rules["NobodyDeletesButTheCollector"]["Condition"]["ArnNotEquals"]
    assert spared == {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/s2cnet-gc"}
    never = rules["RecordsAreNeverDeleted"]
    assert (never["Effect"], never["Resource"]) == ("Deny", "arn:aws:s3:::thumbs/runs/*")
    assert "Condition" not in never
    plain = rules["EncryptedConnectionsOnly"]["Condition"]
    assert plain == {"Bool": {"aws:SecureTransport": "false"}}


def test_only_the_jobs_own_pods_get_its_role() -> None:
    (trust,) = POLICIES["job_trust"]["Statement"]
    subjects = [v for k, v in trust["Condition"]["StringEquals"].items() if k.endswith(":sub")]
    assert subjects == ["system:serviceaccount:thumbnails:crop-job"]


def user(name: str, policy: str) -> Any:
    iam = boto3.client("iam", region_name="us-east-1")
    iam.create_user(UserName=name)
    iam.put_user_policy(
        UserName=name, PolicyName=policy, PolicyDocument=json.dumps(POLICIES[policy])
    )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return boto3.client(
        "s3", region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def clients() -> Iterator[dict[str, Any]]:
    """S3 clients of the job and of the collector, on buckets with one of everything."""
    with mock_aws():
        made = {"job": user("job", "job_policy"), "gc": user("gc", "gc_policy")}
        anyone = boto3.client(
            "s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        for bucket, keys in (("ugc", [PHOTO, "private/x.jpg"]), ("thumbs", [*KEYS, "other/x"])):
            anyone.create_bucket(Bucket=bucket)
            for key in keys:
                anyone.put_object(Bucket=bucket, Key=key, Body=b"x")
        with enable_iam_authentication():
            yield made


def may(call: Callable[..., Any], **arguments: Any) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"AccessDenied", "403"}:
            raise
        return False
    return True


def test_the_job_reads_photos_and_nothing_else_of_that_bucket(clients: dict[str, Any]) -> None:
    job = clients["job"]
    assert may(job.list_objects_v2, Bucket="ugc", Prefix="2026/11/21/")
    assert may(job.get_object, Bucket="ugc", Key=PHOTO)
    assert not may(job.get_object, Bucket="ugc", Key="private/x.jpg")
    assert not may(job.put_object, Bucket="ugc", Key=PHOTO, Body=b"y")
    assert not may(job.delete_object, Bucket="ugc", Key=PHOTO)


@pytest.mark.parametrize("key", KEYS)
def test_the_job_adds_and_reads_every_kind_of_object_and_deletes_none(
    clients: dict[str, Any], key: str
) -> None:
    job = clients["job"]
    assert may(job.put_object, Bucket="thumbs", Key=key, Body=b"y")
    assert may(job.get_object, Bucket="thumbs", Key=key)
    assert may(job.head_object, Bucket="thumbs", Key=key)
    assert not may(job.delete_object, Bucket="thumbs", Key=key)


def test_the_job_stays_in_its_folders(clients: dict[str, Any]) -> None:
    job = clients["job"]
    assert may(job.list_objects_v2, Bucket="thumbs", Prefix="runs/")
    assert not may(job.put_object, Bucket="thumbs", Key="other/x", Body=b"y")
    assert not may(job.get_object, Bucket="thumbs", Key="other/x")
    assert not may(job.put_bucket_policy, Bucket="thumbs", Policy="{}")


@pytest.mark.parametrize("key", KEYS)
def test_the_collector_deletes_data_and_no_records(clients: dict[str, Any], key: str) -> None:
    assert may(clients["gc"].delete_object, Bucket="thumbs", Key=key) == key.startswith("_data/")


def test_the_collector_sees_no_photo(clients: dict[str, Any]) -> None:
    collector = clients["gc"]
    assert may(collector.list_objects_v2, Bucket="thumbs", Prefix="_data/")
    assert may(collector.get_object, Bucket="thumbs", Key=KEYS[1])
    assert not may(collector.get_object, Bucket="ugc", Key=PHOTO)
