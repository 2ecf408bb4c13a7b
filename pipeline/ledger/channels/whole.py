"""Read a channel's live runs where none may be missing."""

from pipeline.errors import RecordError
from pipeline.ledger.channels.live import Standing
from pipeline.ledger.layout import manifest_key
from pipeline.ledger.records import Manifest
from pipeline.ledger.replaced import RESTORE


def every_live_run(stored: Standing, channel: str, behind: int = 0) -> list[Manifest]:
    """Return the live runs of a channel, front first, without the first `behind` of them.

    Raises RecordError if one of those returned is damaged or gone.
    """
    known = {manifest.run_id: manifest for manifest in stored.runs.committed}
    run_ids = stored.channel(channel).runs[behind:]
    for run_id in run_ids:
        if run_id not in known:
            missing = RecordError(manifest_key(run_id), "it is gone, and the run is live", RESTORE)
            raise stored.runs.damaged.get(run_id, missing)
    return [known[run_id] for run_id in run_ids]
