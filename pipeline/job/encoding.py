"""Decide what `--format auto` means for a run, once, on the machine that plans it.

JPEG by jpegli needs a package. The plan records whether it is used, so that all workers encode
alike: a run's settings contain `auto` if it is and `webp` if it is not. A later job about that run
(to resume, repair or render it) uses the recorded value.
"""

from dataclasses import replace

from pipeline.errors import LedgerError, SettingError
from pipeline.ledger.channels.channel import read_channel
from pipeline.ledger.pinned import read_spec
from pipeline.live_table import channel_for
from pipeline.settings import Settings
from pipeline.settings.formats import AUTO, chosen_format, has_jpegli, in_words
from pipeline.storage.store import Store


def with_chosen_format(settings: Settings, store: Store) -> tuple[Settings, str]:
    """Return a job's settings with the chosen format, and a message about it, which may be empty.

    Raises SettingError if a package that the run needs is missing.
    """
    asked, run_id = settings.thumbnails, settings.input.resume or settings.input.retry
    if not asked.is_automatic:
        asked.check_packages()
        return settings, ""
    recorded = _format_of(store, run_id) if run_id else None
    try:
        chosen, why = chosen_format(asked, recorded)
    except SettingError as error:
        raise SettingError(
            error.field, f"{error.problem}; run {run_id} was begun with it"
        ) from error
    text = f"crops: {in_words(chosen)}{why}"
    if chosen != AUTO and recorded is None and not has_jpegli() and _was_automatic(settings, store):
        text = f"WARNING: {text}; what is live was made with it, so all photos are done once more"
    return replace(settings, thumbnails=replace(asked, format=chosen)), text


def _format_of(store: Store, run_id: str) -> str | None:
    """Return a run's recorded format; None if it can't be read, which is reported later."""
    try:
        return str(read_spec(store, run_id).settings.get("format"))
    except LedgerError:
        return None


def _was_automatic(settings: Settings, store: Store) -> bool:
    """Return whether the latest live run of the channel that the job has with `auto` has it too."""
    try:
        runs = read_channel(store, channel_for(settings)).runs
    except LedgerError:
        return False
    return bool(runs) and _format_of(store, runs[0]) == AUTO
