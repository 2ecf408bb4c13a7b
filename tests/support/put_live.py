"""Put runs at the front of a channel, as a promotion does."""

from pipeline.ledger.channels.channel import ChannelVersion
from pipeline.ledger.channels.moves import advance, next_version
from pipeline.storage.store import Store


def put(store: Store, *runs: str, name: str = "web") -> ChannelVersion | None:
    """Create the next version of a channel, by `me`: these runs, then the live ones."""
    return advance(
        store,
        name,
        lambda live: next_version(store, live, [*runs, *live.runs], "promote", who="me"),
    )
