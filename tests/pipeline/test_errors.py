"""The error tree: what is worth a retry; errors survive being passed between processes."""

import pickle

import pytest

from pipeline.errors import (
    CropError,
    DecodeError,
    DetectError,
    EncodeError,
    LedgerError,
    NothingToDoError,
    ReadError,
    ScoreError,
    SettingError,
    UnknownRunError,
    UsageError,
    naming,
    without_secrets,
)


@pytest.mark.parametrize(
    ("error", "stage", "kind"),
    [
        (ReadError("not_found", "gone"), "read", "circumstances"),
        (ReadError("bad_uri", "s3://"), "read", "permanent"),
        (DecodeError("too_many_pixels", "9"), "decode", "circumstances"),
        (DecodeError("extra_missing", "heic"), "decode", "circumstances"),
        (ReadError("throttled", "503"), "read", "transient"),
        (DecodeError("corrupt", "bad"), "decode", "permanent"),
        (DecodeError("timeout", "10 s"), "decode", "transient"),
        (DetectError("boxes_missing", "none"), "detect", "permanent"),
        (ScoreError("not_finite", "nan"), "score", "permanent"),
        (EncodeError("timeout", "9 s"), "encode", "transient"),
        (EncodeError("encoder_missing", "jpegli"), "encode", "circumstances"),
        (EncodeError("encoder_failed", "jpegli"), "encode", "permanent"),
    ],
)
def test_status_decides_the_kind(error: CropError, stage: str, kind: str) -> None:
    assert (error.stage, error.kind) == (stage, kind)
    assert str(error) == f"{stage}: {error.status}: {error.message}"


def test_errors_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(ReadError("network", "reset by peer")))
    assert (type(error), error.status, error.message) == (ReadError, "network", "reset by peer")
    wrong = pickle.loads(pickle.dumps(SettingError("top_k", "must be at least 1")))
    assert (wrong.field, str(wrong)) == ("top_k", "top_k must be at least 1")


def test_run_level_errors_are_not_errors_of_an_image() -> None:
    assert not issubclass(LedgerError, CropError)
    assert issubclass(UsageError, ValueError)


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (UsageError("no such folder"), "input is wrong: no such folder"),
        (UnknownRunError("no run x"), "input is wrong: no run x"),
        (SettingError("limit", "must be at least 1"), "limit must be at least 1"),
    ],
)
def test_a_wrong_value_is_named_by_its_setting(raised: UsageError, told: str) -> None:
    with pytest.raises(SettingError) as caught, naming("input"):
        raise raised
    assert str(caught.value) == told


@pytest.mark.parametrize("raised", [NothingToDoError("all done"), LedgerError("refused")])
def test_what_is_no_wrong_value_is_left_as_it_is(raised: Exception) -> None:
    with pytest.raises(type(raised)) as caught, naming("input"):
        raise raised
    assert caught.value is raised


@pytest.mark.parametrize(
    ("text", "secrets", "told"),
    [
        (r"odd header b'Bearer sk-12\n'", ["sk-12\n"], r"odd header b'Bearer ***\n'"),
        (r"'abcd\nefgh'", ["abcd\nefgh"], r"'***\n***'"),
        ("it is abcdef and abcd", ["abcd", "abcdef"], "it is *** and ***"),
        ("refused", ["", " ", "ref"], "refused"),
    ],
)  # fmt: skip
def test_words_of_a_secret_are_not_told(text: str, secrets: list[str], told: str) -> None:
    assert without_secrets(text, secrets) == told
