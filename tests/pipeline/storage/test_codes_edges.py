"""The meaning of bare HTTP statuses, which answers are retried, and answers known by text."""

import pytest

from pipeline.storage.backend import StoreRefusedError, error_for
from pipeline.storage.backoff import RetryableError
from pipeline.storage.codes import RETRIED, Reason, reason_of

# RFC 9110, sections 15.4 to 15.6; RFC 4918 (423), 8470 (425), 6585 (429), 7725 (451).
STATUSES: dict[Reason, tuple[int, ...]] = {
    "wrong_region": (301, 302, 303, 307, 308),
    "credentials": (401, 407),
    "requester_pays": (402,),
    "forbidden": (403, 405),
    "absent": (404, 410),
    "server": (408, 425, 500, 501, 502, 504, 505, 507, 599),
    "conflict": (409,),
    "exists": (412,),
    "locked": (423,),
    "throttled": (429, 503),
    "legal": (451,),
}


@pytest.mark.parametrize("status", range(300, 600))
def test_a_status_without_a_code(status: int) -> None:
    expected = next((why for why, some in STATUSES.items() if status in some), None)
    if status >= 500:
        expected = "throttled" if status == 503 else "server"
    assert reason_of("", status) == (expected or "refused")
    assert reason_of(str(status)) == (expected or "refused")


def test_no_answer_at_all_is_a_refusal() -> None:
    assert reason_of("") == reason_of("Nonsense", None) == reason_of("NotANumber9") == "refused"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("stored using a form of Server Side Encryption", "encrypted"),
        ("Server-Side-Encryption is needed", "encrypted"),
        ("Bucket is requester pays bucket but no user project provided", "requester_pays"),
        ("Requester-Pays bucket", "requester_pays"),
        ("server-side trouble", "refused"),
    ],
)
def test_answers_that_only_their_words_tell(message: str, reason: Reason) -> None:
    assert reason_of("InvalidRequest", 400, message) == reason


def test_a_code_of_kms_is_about_keys_and_others_are_not() -> None:
    assert reason_of("KMS.Whatever", 400) == "encrypted"
    assert reason_of("KMSWhatever", 400) == reason_of("x.KMS.", 400) == "refused"


@pytest.mark.parametrize("reason", ["throttled", "conflict", "server", "expired"])
def test_what_is_tried_again(reason: Reason) -> None:
    error = error_for(reason, "no")
    assert isinstance(error, RetryableError)
    assert (error.reason, str(error)) == (reason, "no")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("exists", FileExistsError), ("absent", FileNotFoundError), ("no_bucket", FileNotFoundError),
     ("forbidden", PermissionError), ("legal", PermissionError), ("refused", PermissionError)],
)  # fmt: skip
def test_what_is_not_tried_again(reason: Reason, kind: type[Exception]) -> None:
    assert reason not in RETRIED
    assert type(error_for(reason, "no")) in (kind, *kind.__subclasses__())
    assert isinstance(error_for(reason, "no"), kind)


def test_a_refusal_of_the_disk_is_one_of_rights() -> None:
    assert StoreRefusedError("no").reason == "forbidden"
