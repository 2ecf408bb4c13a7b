"""Listings are parsed as by botocore, except for fields that are not used."""

from typing import Any

import aiobotocore.session
import botocore.session
import pytest
from botocore.parsers import RestXMLParser

from pipeline.storage.s3_listings import FIELDS, ListingParser, ListingParserFactory

HEAD = '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
ENTRY = (
    "<Contents><Key>{}</Key><LastModified>2026-11-21T03:00:00.000Z</LastModified>"
    "<ETag>&quot;0a-2&quot;</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass>"
    "<Owner><ID>me</ID><DisplayName>me</DisplayName></Owner></Contents>"
)
FOLDER = "<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>"
PLAIN = "<IsTruncated>true</IsTruncated><MaxKeys>1000</MaxKeys><KeyCount>2</KeyCount>"
NO_ETAG = "<Contents><Key>k</Key><Size>1</Size></Contents>"


def parsed(parser: Any, operation: str, body: str) -> dict[str, Any]:
    model = botocore.session.get_session().get_service_model("s3").operation_model(operation)
    answer = {"headers": {}, "status_code": 200, "body": (HEAD + body + "</ListBucketResult>")}
    found: dict[str, Any] = parser._do_parse(
        {**answer, "body": answer["body"].encode()}, model.output_shape
    )
    return found


@pytest.mark.parametrize(
    "entries",
    [
        "",
        ENTRY.format("a", 1),
        ENTRY.format("a &amp; ü😀%20", 5 << 40) + ENTRY.format("", 0),
        NO_ETAG,
    ],
)
@pytest.mark.parametrize("operation", ["ListObjectsV2", "ListObjects"])
def test_fields_are_those_that_botocore_reads(operation: str, entries: str) -> None:
    expected = parsed(RestXMLParser(), operation, PLAIN + entries + FOLDER)
    found = parsed(ListingParser(), operation, PLAIN + entries + FOLDER)
    for entry in expected.get("Contents", []):
        for name in {*entry} - {*FIELDS}:
            del entry[name]
    assert found == expected
    assert found["IsTruncated"] is True


def test_other_services_keep_their_parsers() -> None:
    own = aiobotocore.session.get_session().get_component("response_parser_factory")
    for protocol in ("json", "query", "ec2"):
        ours = ListingParserFactory().create_parser(protocol)
        assert type(ours) is type(own.create_parser(protocol))
    assert isinstance(ListingParserFactory().create_parser("rest-xml"), ListingParser)
