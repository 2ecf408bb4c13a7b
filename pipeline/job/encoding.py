"""Decide what `--format auto` means for a run, once, on the machine that plans it.

JPEG by jpegli needs a package. The plan says whether it is used, so that all workers encode alike:
the settings of a run hold `auto` where it is, `webp` where it is not, and a later job about that
run (to resume, repair or render it) takes what they hold.
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
    """The settings of a job with the format that it has, and what to say of it, perhaps nothing.

    Raises SettingError where a package is missing that the run needs.
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
    """What the settings of a run hold; None where they can't be read, which is told later."""
    try:
        return str(read_spec(store, run_id).settings.get("format"))
    except LedgerError:
        return None


def _was_automatic(settings: Settings, store: Store) -> bool:
    """Whether the latest live run of the job's channel, were it automatic, is."""
    try:
        runs = read_channel(store, channel_for(settings)).runs
    except LedgerError:
        return False
    return bool(runs) and _format_of(store, runs[0]) == AUTO
