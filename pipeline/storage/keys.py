"""Tell which keys this product writes; nothing else is ever written or deleted."""

import re

# Keys of the product's own making: run ids, hashes, numbers, never untrusted text.
SAFE_KEY = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._=-]*(/[A-Za-z0-9_][A-Za-z0-9._=-]*)*")
# Names of crops: from a template, with values of photos' addresses and lists that
# `crop_names` has made harmless. Letters and digits of any script.
NAMED_KEY = re.compile(
    r"(?:crops|public)/[A-Za-z0-9._=-]+(?:/(?![._])[^/\\\x00-\x20\ud800-\udfff]+)+"
)


def is_own_key(key: str) -> bool:
    """Return whether this product may have written a key; others' files may be in a store too."""
    if NAMED_KEY.fullmatch(key) and ".." not in key and len(key.encode()) <= 1024:
        return True
    return len(key) <= 512 and SAFE_KEY.fullmatch(key) is not None
