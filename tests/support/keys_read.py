"""Note which objects a test reads."""

from typing import Any

import pytest

from pipeline.storage.store import Store


def keys_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the key of each request for an object, or a part of it, from now."""
    read = list[str]()
    for name in ("read", "read_part"):
        plain = getattr(Store, name)

        def noted(self: Store, key: str, *more: Any, plain: Any = plain, **options: Any) -> Any:
            read.append(key)
            return plain(self, key, *more, **options)

        monkeypatch.setattr(Store, name, noted)
    return read
