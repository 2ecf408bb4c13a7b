"""Encode a run's crops again in other sizes, formats or ratios, without deciding them again."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from pipeline.cli.runs.command import OneRun
from pipeline.errors import NothingToDoError
from pipeline.options import check, option
from pipeline.report.progress import Log
from pipeline.stop import Stop

SAME = "same"


@dataclass(frozen=True, kw_only=True)
class Render(OneRun):
    """Encode a run's crops again, as a candidate run; nothing is detected or scored."""

    thumbnail_size: int | None = option(
        None, "longest side of an encoded crop; default: as in the run", "px", least=1
    )
    format: Literal["same", "auto", "webp", "jpeg", "png", "avif"] = option(
        SAME, "encoding of the crops, as for crop_bucket; `same`: as in the run"
    )
    quality: int | None = option(
        None, "encoder quality, 1 to 100; default: as in the run", least=1, most=100
    )
    colour: Literal["same", "srgb", "keep"] = option(
        SAME, "sRGB, or wider colours if photos have them; `same`: as in the run"
    )
    ratios: str = option(
        "",
        "comma-separated shapes: some of the run's, or ratios within a tenth of one",
        placeholder="SHAPES",
    )
    local: bool = option(False, "run in processes on this machine, without Ray")
    channel: str = option("", "channel that the new run is a candidate for", placeholder="NAME")

    def __post_init__(self) -> None:
        check(self)

    def run(self) -> int:
        from pipeline.cli.crop import run_with_signals
        from pipeline.rendering import RenderRequest, plan_rendering
        from pipeline.run import available_cores, carry_out
        from pipeline.settings import RunningSettings

        names = ("thumbnail_size", "format", "quality", "colour", "ratios")
        asked: dict[str, Any] = {name: getattr(self, name) for name in names}
        changes = {name: value for name, value in asked.items() if value not in (None, "", SAME)}
        request = RenderRequest(self.output, self.run_id, changes, self.channel or None, self.local)
        running = RunningSettings(output=self.output, local=self.local)
        log = Log("json" if self.json else running.log_format)
        try:
            planned = plan_rendering(request, partial(available_cores, running, log, Stop()))
        except NothingToDoError as error:
            log.say("nothing_to_do", f"nothing to do: {error}")
            return 0

        def work(log: Log, stop: Stop) -> str:
            return carry_out(planned, log, stop)

        settings = planned.settings.running
        return run_with_signals(
            work, "json" if self.json else settings.log_format, settings.drain_s
        )
