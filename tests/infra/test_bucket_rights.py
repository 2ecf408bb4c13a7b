"""The bucket permissions, read as a document and tested on an S3 server that enforces them (moto).

moto evaluates actions and resources, but not conditions; these are read from the document here.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import boto3
import pytest
import requests
from botocore.exceptions import ClientError
from moto.core import enable_iam_authentication
from moto.server import ThreadedMotoServer

from pipeline.inputs.listing import list_all
from pipeline.inputs.reading import read_image
from pipeline.ledger.audit import verify_run
from pipeline.ledger.coverage.covered import file_key
from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.layout import data_key, run_key, task_key
from pipeline.ledger.promotion.promotion import Request, promote
from pipeline.ledger.reader import open_run
from pipeline.storage.backoff import Backoff
from pipeline.storage.store import open_store
from tests.infra.manifests import INFRA
from tests.support.tasks import done, make_inputs, open_ledger, run_all

NAMES = ("job_policy", "gc_policy", "bucket_policy", "job_trust")
POLICIES = {name: json.loads((INFRA / f"aws/{name}.json").read_text()) for name in NAMES}
PHOTO = "2026/11/21/cat.jpg"
RUN = "0123456789abcdef0123"
PUBLISHED = ["public/web/a/1x1.webp", "published/web.parquet"]
KEYS = [
    run_key(RUN, "spec.json"),
    run_key(RUN, "_MANIFEST.json"),
    run_key(RUN, "metrics.json"),
    run_key(RUN, "input/ab.parquet"),
    run_key(RUN, "files-ab.parquet"),
    run_key(RUN, "unsettled-ab.parquet"),
    run_key(RUN, "failures-ab.parquet"),
    task_key(RUN, 7),
    data_key(RUN, "crops", 7, "ab"),
    "_data/crops/_delta_log/00000000000000000000.json",
    "crops/ab/abcd.webp",
    run_key(RUN, "gallery/index.html"),
    run_key(RUN, "replaced/ab.json"),
    "channels/web/00000001.json",
    "forgotten/00000001.json",
    "_iceberg/crops/metadata/v1.metadata.json",
    "runs/_index/manifests/00000001-ab.parquet",
    "runs/_index/covered-ab/00000001-ab.json",
    file_key("ab", "ab"),
    f"_iceberg/crops/data/from={RUN}/00000007-ab.parquet",
    f"_data/crops/from={RUN}/00000007-ab.parquet",
    "_data/crops/part-00001-ab.parquet",  # of a Delta deletion
    *PUBLISHED,
]


# What `runs.py gc` may come to delete: all of a run that was never committed, but for the two
# objects that keep it given up; what shows a forgotten photo; and names that are live no more.
COLLECTED = [*KEYS[3:8], data_key(RUN, "crops", 7, "ab"), *KEYS[10:12], *KEYS[-8:-1]]


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
        known = {"Sid", "Effect", "Principal", "Action", "Resource", "NotResource", "Condition"}
        assert statement.keys() <= known
        assert statement["Effect"] in {"Allow", "Deny"}
        assert ("Principal" in statement) == (name in {"bucket_policy", "job_trust"})


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_allowed_by_wildcard(name: str) -> None:
    for action, resource in allowed(name):
        assert "*" not in action
        assert resource not in {"*", "arn:aws:s3:::*", "arn:aws:s3:::thumbs/*"}


def test_the_job_deletes_published_crops_alone_and_the_collector_no_commit() -> None:
    of_job = allowed("job_policy")
    assert {action for action, _ in of_job} == {
        "s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject",
    }  # fmt: skip
    assert [place for action, place in of_job if "Delete" in action] == [
        "arn:aws:s3:::thumbs/public/*"
    ]
    deletes = [pair for pair in allowed("gc_policy") if "Delete" in pair[0]]
    assert {action for action, _ in deletes} == {"s3:DeleteObject"}
    assert not any(
        resource.endswith(("runs/*", "_MANIFEST.json", "spec.json")) for _, resource in deletes
    )
    assert not allowed("bucket_policy"), "the bucket itself only forbids"


def test_the_bucket_forbids_replacing_records_and_deleting() -> None:
    rules = {s["Sid"]: s for s in POLICIES["bucket_policy"]["Statement"]}
    create = rules["RecordsAreCreatedNeverReplaced"]
    assert create["Effect"] == "Deny"
    patterns = [r.rpartition("thumbs/")[2] for r in create["Resource"]]
    kept = {key for key in KEYS if any(fnmatch(key, pattern) for pattern in patterns)}
    # Every record, and no page of a gallery, which is written anew.
    assert kept == {k for k in KEYS if k.startswith("runs/") and "/gallery/" not in k}
    assert create["Condition"]["Null"] == {"s3:if-none-match": "true"}
    pointers = rules["PointersAreCreatedNeverReplaced"]
    assert (pointers["Effect"], pointers["Condition"]) == ("Deny", create["Condition"])
    assert [r.rpartition("thumbs/")[2] for r in pointers["Resource"]] == [
        "channels/*", "forgotten/*",
    ]  # fmt: skip
    spared = rules["NobodyDeletesButTheCollector"]["Condition"]["ArnNotEquals"]
    assert spared == {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/s2cnet-gc"}
    assert rules["NobodyDeletesButTheCollector"]["NotResource"] == "arn:aws:s3:::thumbs/public/*"
    public = rules["PublishedCropsGoByTheJobToo"]
    assert public["Resource"] == "arn:aws:s3:::thumbs/public/*"
    assert public["Action"] == rules["NobodyDeletesButTheCollector"]["Action"]
    roles = public["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
    assert [role.rpartition("/")[2] for role in roles] == ["s2cnet-gc", "s2cnet-job", "s2cnet-head"]
    never = rules["CommitsAreNeverDeleted"]
    assert never["Effect"] == "Deny"
    assert [r.rpartition("/")[2] for r in never["Resource"]] == ["_MANIFEST.json", "spec.json"]
    assert "Condition" not in never
    plain = rules["EncryptedConnectionsOnly"]["Condition"]
    assert plain == {"Bool": {"aws:SecureTransport": "false"}}


def test_only_the_jobs_own_pods_get_its_role() -> None:
    (trust,) = POLICIES["job_trust"]["Statement"]
    subjects = [v for k, v in trust["Condition"]["StringEquals"].items() if k.endswith(":sub")]
    assert subjects == ["system:serviceaccount:thumbnails:crop-job"]


@dataclass
class Rights:
    """An S3 server that enforces the rights, and who may use it."""

    endpoint_url: str
    keys: dict[str, dict[str, str]]  # user: its environment

    def client(self, who: str) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=self.keys[who]["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.keys[who]["AWS_SECRET_ACCESS_KEY"],
        )

    def become(self, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """From here on the environment is that of `who`, as a role would make it."""
        environment = {**self.keys[who], "AWS_ENDPOINT_URL": self.endpoint_url}
        for name, value in {**environment, "AWS_DEFAULT_REGION": "us-east-1"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)


def user(endpoint_url: str, name: str, policy: str) -> dict[str, str]:
    """Makes a user with one policy; its environment."""
    iam = boto3.client(
        "iam", endpoint_url=endpoint_url, region_name="us-east-1",
        aws_access_key_id="root", aws_secret_access_key="root",
    )  # fmt: skip
    iam.create_user(UserName=name)
    document = json.dumps(POLICIES[policy])
    iam.put_user_policy(UserName=name, PolicyName=policy, PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def rights(server_url: str) -> Iterator[Rights]:
    """The job and the collector as users, on two buckets; one holds a photo of each kind."""
    url = server_url
    try:
        anyone = {"AWS_ACCESS_KEY_ID": "root", "AWS_SECRET_ACCESS_KEY": "root"}
        made = Rights(url, {"root": anyone})
        made.keys["job"] = user(url, "job", "job_policy")
        made.keys["gc"] = user(url, "gc", "gc_policy")
        root = made.client("root")
        for bucket, keys in (("ugc", [PHOTO, "private/x.jpg"]), ("thumbs", ["other/x"])):
            root.create_bucket(Bucket=bucket)
            for key in keys:
                root.put_object(Bucket=bucket, Key=key, Body=b"x")
        with enable_iam_authentication():
            yield made
    finally:
        requests.post(f"{url}/moto-api/reset", timeout=10)


@pytest.fixture
def clients(rights: Rights) -> dict[str, Any]:
    return {who: rights.client(who) for who in ("job", "gc")}


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


def test_the_job_adds_and_reads_every_kind_of_object_and_deletes_published_ones(
    clients: dict[str, Any],
) -> None:
    job = clients["job"]
    for key in KEYS:
        assert may(job.put_object, Bucket="thumbs", Key=key, Body=b"y"), key
        assert may(job.get_object, Bucket="thumbs", Key=key), key
        assert may(job.head_object, Bucket="thumbs", Key=key), key
        deletes = may(job.delete_object, Bucket="thumbs", Key=key)
        assert deletes == key.startswith("public/"), key


def test_the_job_stays_in_its_folders(clients: dict[str, Any]) -> None:
    job = clients["job"]
    assert may(job.list_objects_v2, Bucket="thumbs", Prefix="runs/")
    assert not may(job.put_object, Bucket="thumbs", Key="other/x", Body=b"y")
    assert not may(job.get_object, Bucket="thumbs", Key="other/x")
    assert not may(job.put_bucket_policy, Bucket="thumbs", Policy="{}")


def test_the_collector_deletes_what_gc_may_and_nothing_else(clients: dict[str, Any]) -> None:
    for key in KEYS:
        assert may(clients["gc"].delete_object, Bucket="thumbs", Key=key) == (key in COLLECTED), key


def test_the_collector_sees_no_photo(clients: dict[str, Any]) -> None:
    collector = clients["gc"]
    assert may(collector.list_objects_v2, Bucket="thumbs", Prefix="_data/")
    assert may(clients["job"].put_object, Bucket="thumbs", Key=KEYS[1], Body=b"y")
    assert may(collector.get_object, Bucket="thumbs", Key=KEYS[1])
    assert not may(collector.get_object, Bucket="ugc", Key=PHOTO)


def test_the_rights_suffice_for_a_run_and_for_its_collection(
    rights: Rights, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights.become("job", monkeypatch)
    assert list_all("s3://ugc/2026/11/21/").table.num_rows == 1
    assert read_image(f"s3://ugc/{PHOTO}") == b"x"
    store = open_store("s3://thumbs", Backoff(deadline_s=5))
    ledger = open_ledger(store, make_inputs(5))
    assert run_all(ledger).rows == 5
    assert open_run("s3://thumbs", ledger.run_id).images().num_rows == 5
    assert promote(store, ledger.run_id, Request()).is_live
    forget(store, make_inputs(1)["image_id"].to_pylist())
    assert open_run("s3://thumbs").images().num_rows == 4
    lost = open_ledger(store, make_inputs(4, etag="v2"))
    lost.commit_task(0, done(lost.task_inputs(0)))
    later = time.time() + 3600
    garbage = [g for g in look_for_garbage(store, 60, later).garbage if g.run_id == lost.run_id]
    with pytest.raises(PermissionError):
        remove_garbage(store, garbage)
    rights.become("gc", monkeypatch)  # a new identity is a new client: open the store again
    assert remove_garbage(open_store("s3://thumbs"), garbage) > 0
    assert [o.key for o in store.list(f"runs/{lost.run_id}/tasks/")] == []
    forgotten = [g for g in look_for_garbage(store, 60).garbage if g.why == "forgotten photos"]
    assert len(forgotten) == 3
    assert remove_garbage(open_store("s3://thumbs"), forgotten) >= 0
    assert verify_run(open_store("s3://thumbs"), ledger.run_id).problems == []
