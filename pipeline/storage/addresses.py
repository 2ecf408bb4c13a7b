"""Distinguish kinds of addresses, and refuse those that carry a credential."""

import re
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pipeline.errors import UsageError

# Parameters that carry a credential: by the last word of the name (`X-Amz-Signature`,
# `access_token`, `clientSecret`), so that `monkey` does not count, and by whole names.
SECRET_WORDS = re.compile(
    r"secret|token|password|passwd|pwd|passphrase|signature|sig|jwt|credentials?|auth|"
    r"authorization|bearer|key|apikey|hmac"
)
SECRET_NAMES = frozenset(
    [
        "accesskeyid",
        "awsaccesskeyid",
        "googleaccessid",
        "accesskey",
        "sas",
        "hdnea",
        "hdnts",
        "sessionid",
        "jsessionid",
        "phpsessid",
    ]
)
# Keys that are not credentials: what to sort by, where a page begins, and the like.
PLAIN_KEYS = re.compile(r"(sort|order|group|cache|primary|partition|row|object|page)[-_.]?key")
ACCESS_KEY = re.compile(r"(?<![A-Z0-9])(AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])")


def scheme_of(uri: str) -> str:
    """Return an address's scheme, such as `s3`, `https` or `memory`; `file` for a plain path."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", uri)
    return match.group(1).lower() if match else "file"


def s3_spelling(uri: str) -> str:
    """Write an S3 address with s3://, also one with capitals or Hadoop's s3a:// or s3n://."""
    return f"s3://{uri.split('://', 1)[1]}" if scheme_of(uri) in ("s3", "s3a", "s3n") else uri


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Split an address into scheme and bucket, `s3://b`, and all that follows the next slash."""
    bucket = "/".join(uri.split("/", 3)[:3])
    return bucket, uri[len(bucket) + 1 :]


def local_path(uri: str) -> str:
    """Return the local path that a plain path or a file:// address names. Raises UsageError."""
    if not uri:
        raise UsageError("an empty path names no folder")
    if not uri.lower().startswith("file://"):
        return uri
    return unquote(uri[len("file://") :], errors="surrogateescape")  # as Python names such files


def absolute_path(path: str) -> Path:
    """Make a local path absolute and remove `..`, so that a photo has only one address.

    Links stay as they are, except one that is followed by `..`: it is resolved first.
    """
    found = Path("/")
    for part in Path(path).absolute().parts[1:]:
        if part != "..":
            found /= part
        else:
            found = (found.resolve() if found.is_symlink() else found).parent
    return found


def split_address(address: str) -> SplitResult:
    """Split an address with a scheme into its parts. Raises UsageError for a host that is none."""
    try:
        return urlsplit(address)
    except ValueError:  # its message may repeat a credential before the host
        raise UsageError("an argument is no address: the host in it is not valid") from None


def refuse_credentials(text: str) -> None:
    """Raise UsageError when an address or argument carries a credential, or is no address.

    The message does not repeat the credential.
    """
    where = None
    if ACCESS_KEY.search(text):
        where = "an access key id"
    elif scheme_of(text) != "file":
        parts = split_address(text.replace("\n", " "))
        if "@" in parts.netloc:
            where = "user:password@"
        elif scheme_of(text) != "s3":  # in an s3 key a question mark is an ordinary character
            # OAuth tokens are in the fragment, session ids after a semicolon in the path.
            given = "&".join((parts.query, parts.fragment, *parts.path.split(";")[1:]))
            pairs = parse_qsl(given.replace(";", "&"), keep_blank_values=True)
            names = [name for name, _ in pairs]
            where = next((f"the parameter {n!r}" for n in names if _is_secret(n)), None)
    if where:
        raise UsageError(
            f"an argument contains {where}. Credentials are never taken from arguments or "
            "addresses, where logs and tables would keep them: use a role, AWS_PROFILE or the "
            "environment."
        )


def _is_secret(name: str) -> bool:
    """Return whether a parameter of this name carries a credential."""
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name).lower()
    words = re.findall(r"[a-z0-9]+", apart)
    if not words or PLAIN_KEYS.fullmatch("_".join(words)):
        return False
    return bool(SECRET_WORDS.fullmatch(words[-1])) or "".join(words) in SECRET_NAMES
