"""A planned run: what there is to do and why, and how its work begins."""

from dataclasses import dataclass, field

from pipeline.cropping.weights import Weights
from pipeline.job.ending import earlier_verdict, ending_of
from pipeline.ledger.coverage.incremental import Todo
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.manifest import read_committed
from pipeline.ledger.plan import TaskCuts
from pipeline.live_table import Ending, Removal, apply_removals, go_live
from pipeline.report.progress import Log
from pipeline.schema import INPUT_SEEN
from pipeline.settings import Settings, Verdict
from pipeline.stages.worker import Job
from pipeline.storage.store import Store
from pipeline.words import counted, runs_command


@dataclass(frozen=True)
class PlannedRun:
    """A run that is planned and not yet written to the store.

    overridden: photos of the input to which a row of the table of overrides applies.
    removal: photos to remove from the live table.
    """

    settings: Settings
    weights: Weights
    store: Store
    todo: Todo
    tasks: TaskCuts
    overridden: int = 0
    removal: Removal = field(default_factory=Removal)

    @property
    def message(self) -> str:
        """What there is to do, why, and what earlier runs have done, in words."""
        left, reasons = self.todo.inputs.num_rows, self.todo.reasons.items()
        if not left:
            return "; ".join([f"nothing to do: {self._done_before}", *self._override_notes])
        why = ", ".join(f"{count:,} {reason}" for reason, count in reasons)
        tasks = self.todo.begun_tasks or self.tasks.task_count
        size = f"{counted(left, 'photo')} in {counted(tasks, 'task')} ({why})"
        if self.seen:
            size += f", {self.seen:,} of which look like bytes that are done"
        before = [self._done_before] if self.todo.covered else []
        return "; ".join([f"run {self.todo.spec.run_id}: {size}", *before, *self._override_notes])

    @property
    def _done_before(self) -> str:
        """How many photos need no work, and how many of them have failed, in words."""
        if not self.todo.covered:
            return "the input has no photos to crop"
        said = [f"earlier runs have done {counted(self.todo.covered, 'photo')}"]
        if self.todo.postponed:
            said.append(
                f"{self.todo.postponed:,} of these failed by circumstances and wait for a later "
                f"night: {self._retry('circumstances')} does them now"
            )
        if self.todo.given_up:
            said.append(
                f"{self.todo.given_up:,} of these failed for good under another version of the "
                f"code: {self._retry('permanent')} does them again"
            )
        return "; ".join(said)

    def _retry(self, kind: str) -> str:
        return runs_command("retry", self.store.uri, "RUN", "--kind", kind)

    @property
    def _override_notes(self) -> list[str]:
        """What the table of overrides asks for, in words."""
        said = []
        if self.overridden:
            said.append(f"overrides apply to {counted(self.overridden, 'photo')} of the input")
        if self.removal.forgotten:
            forgotten = counted(len(self.removal.forgotten), "address is", "addresses are")
            said.append(f"{forgotten} to be forgotten")
        return said

    @property
    def seen(self) -> int:
        """How many photos look like the same bytes as one that an earlier run has done."""
        if INPUT_SEEN.name not in self.todo.inputs.column_names:
            return 0
        return int(self.todo.inputs.num_rows - self.todo.inputs[INPUT_SEEN.name].null_count)

    def begin(self) -> tuple[Job, Ledger]:
        """Pin the plan in the output store, or continue the run that was begun there.

        Raises LedgerError if the store refuses.
        """
        ledger = Ledger.open(self.store, self.todo.spec, self.todo.inputs, self.tasks)
        decisions_of = self.todo.spec.render_of
        job = Job(
            self.settings, self.weights, ledger.run_id,
            decisions_of=decisions_of, repeats=self.todo.repeats,
        )  # fmt: skip
        return job, ledger

    def apply_removals(self, log: Log) -> None:
        """Remove forgotten and missing photos from the live table; a dry run only reports them."""
        apply_removals(self.settings, self.store, self.todo, self.removal, log)

    def end_without_work(self, log: Log) -> Ending:
        """Return how a job with nothing left to do ends: as the latest run of its photos has ended.

        If an earlier job was killed between committing a run and making it live, the run goes live
        now if it passes the gate.
        """
        verdict: Verdict = "done"
        if self.todo.latest and (manifest := read_committed(self.store, self.todo.latest)):
            verdict = earlier_verdict(self.settings, manifest, log)
        if self.settings.running.dry_run or self.settings.estimating.estimate:
            return verdict
        return ending_of(verdict, go_live(self.settings, self.store, log))
