"""Pipelines between topics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from . import _native
from ._calls import Calls
from ._errors import (
    Details,
    DuplicateMessageError,
    FanOutError,
    FanOutFailure,
    MinikafkaError,
    NativeError,
    exception_of,
)
from ._graph import ordered, plotted
from ._progress import Progress

if TYPE_CHECKING:
    from ._source import Source
    from ._topic import Topic

ModelT = TypeVar("ModelT")
OutputT = TypeVar("OutputT")


class Pipeline(Generic[ModelT, OutputT]):
    """A function over the new records of a topic, and the topic that its outputs go to."""

    def __init__(self, source_topic: Topic[ModelT], fn: Callable[[ModelT], OutputT]):
        self.source_topic = source_topic
        self.fn = fn
        self.target_topic: Topic[Any] | None = None

    def to(self, target: Topic[OutputT] | str) -> Pipeline[ModelT, OutputT]:
        """Set the topic of the outputs, by itself or by the name of one that this source has opened (else ``KeyError``)."""
        if isinstance(target, str):
            target = self.source_topic.source._registered(target)
        self.target_topic = target
        return self

    def run(self, *, dry_run: bool = False, progress: bool = False, timeout: float | None = None) -> list[Any]:
        """Call the function for every new record, and return its results in the order of the records.

        Each record is handled, and its output appended, in one transaction. ``None`` handles a record without an output. What the function
        raises ends the run: the record stays new. Without a target, nothing is written and no record is handled. ``progress`` draws a bar
        on standard error if that is a terminal. After ``timeout`` seconds of waiting for another run, it raises ``sqlite3.OperationalError``.
        """
        graph = FullPipeline([self], self.source_topic.source)
        return graph.run(dry_run=dry_run, progress=progress, timeout=timeout)[0]

    @property
    def source_name(self) -> str:
        """The name of the topic that is read."""
        return self.source_topic.name

    @property
    def target_name(self) -> str | None:
        """The name of the topic that is written, if any."""
        return None if self.target_topic is None else self.target_topic.name

    def plot(self, *, counts: bool = False) -> str:
        """Return the pipeline as a Mermaid diagram."""
        return plotted([self], counts)


class FullPipeline:
    """Pipelines as one graph: arms that read one topic share its records."""

    def __init__(self, pipelines: list[Pipeline[Any, Any]], source: Source | None = None):
        self.pipelines = pipelines
        self._source = source

    def run(
        self,
        *,
        dry_run: bool = False,
        strategy: Literal["strict", "best_effort"] = "strict",
        atomic_batch: int | None = None,
        attempts: int | None = None,
        progress: bool = False,
        timeout: float | None = None,
    ) -> list[list[Any]]:
        """Run the graph over what is new, and return the results of each pipeline.

        ``strict`` keeps all arms of a record or none, and ends at the first failure with the function's own exception. ``best_effort`` keeps
        the arms that succeed and raises ``FanOutError`` at the end. ``atomic_batch`` commits so many records all or nothing. After
        ``attempts`` failures, 10 unless set, a record is dead. ``progress`` draws a bar on standard error for each topic that is read, if
        that is a terminal. One run at a time reads a topic: after ``timeout`` seconds of waiting for another one, it raises
        ``sqlite3.OperationalError``; a function that runs its own pipeline raises after a second. Raises ``ValueError`` for a graph with a cycle.
        """
        if strategy not in ("strict", "best_effort"):
            raise ValueError(f"strategy must be 'strict' or 'best_effort', got {strategy!r}")
        run = _Run(ordered(self.pipelines), dry_run, strategy == "best_effort", progress)
        for arm in run.arms:
            arm.emit("pipeline_start")
        run.call({"atomic_batch": atomic_batch, "attempts": attempts, "timeout": timeout})
        for arm in run.arms:
            arm.emit("pipeline_end", count=len(arm.results), dry_run=dry_run)
        by_pipeline = {id(arm.pipeline): arm.results for arm in run.arms}
        return [by_pipeline[id(pipeline)] for pipeline in self.pipelines]

    def plot(self, *, counts: bool = False) -> str:
        """Return the graph as a Mermaid diagram, its edges in the order of the pipelines."""
        return plotted(self.pipelines, counts)


class _Arm:
    """A pipeline in a run, with its results."""

    def __init__(self, pipeline: Pipeline[Any, Any]):
        self.pipeline = pipeline
        self.results: list[Any] = []
        target = pipeline.target_topic
        self.calls = Calls(pipeline.source_topic, self._outputs, None if target is None else target._model)

    def _outputs(self, value: Any) -> list[Any]:
        made = self.pipeline.fn(value)
        target = self.pipeline.target_topic
        if target is None or made is None:
            self.results.append(made)
            return []
        if isinstance(made, list):
            outputs = [target._model.validate(one) for one in made]
            self.results.append(outputs)
            return outputs
        output = target._model.validate(made)
        self.results.append(output)
        return [output]

    def native(self) -> _native.Arm:
        target = self.pipeline.target_topic
        source = self.pipeline.source_topic._opened()
        return _native.Arm(source, self.calls.answer, None if target is None else target._opened())

    def emit(self, event: str, **more: Any) -> None:
        pipeline = self.pipeline
        source = pipeline.source_topic.source
        source._emit(event, source=pipeline.source_name, target=pipeline.target_name, **more)


@dataclass
class _Run:
    """A run of a graph."""

    groups: list[list[Pipeline[Any, Any]]]
    dry_run: bool
    best_effort: bool
    progress: bool

    def __post_init__(self) -> None:
        self.stages = [[_Arm(pipeline) for pipeline in group] for group in self.groups]
        self.arms = [arm for stage in self.stages for arm in stage]

    def call(self, settings: dict[str, Any]) -> None:
        failures: list[FanOutFailure] = []
        for stage in self.stages:
            # Arms without any target beside them look on: their records stay new.
            moves = any(arm.pipeline.target_topic is not None for arm in stage)
            own = {**settings, "best_effort": self.best_effort, "dry_run": self.dry_run or not moves}
            failures += self._call(stage, own)
        if failures:
            raise FanOutError(failures)

    def _call(self, stage: list[_Arm], settings: dict[str, Any]) -> list[FanOutFailure]:
        """Run a stage, and return the failures that do not end the run."""
        topic = stage[0].pipeline.source_topic
        native = topic.source._native
        failed: BaseException | list[FanOutFailure] = []
        with Progress.over(topic, [arm.calls for arm in stage], wanted=self.progress):
            try:
                native.run([arm.native() for arm in stage], settings)
            except NativeError as error:
                failed = self._failed(stage, Details.of(error))
        topic._heard({})
        if isinstance(failed, BaseException):
            raise failed
        return failed

    def _failed(self, stage: list[_Arm], details: Details) -> BaseException | list[FanOutFailure]:
        stopped = next((arm.calls.stopped for arm in stage if arm.calls.stopped is not None), None)
        if stopped is not None:
            return stopped
        failures = [self._failure(stage, failure) for failure in details.more.get("failures", [])]
        if not failures:
            return exception_of(details)
        return failures if self.best_effort else failures[0].exception

    def _failure(self, stage: list[_Arm], failure: dict[str, Any]) -> FanOutFailure:
        record, source, target = failure["record"], failure["source"], failure["target"]
        exception: BaseException | None = None
        for arm in stage:
            if arm.pipeline.target_name == target and record in arm.calls.exceptions:
                exception = arm.calls.exceptions.pop(record)
                break
        if exception is None and failure["existing"] is not None:
            text = f"duplicate message: topic {target!r} has a record with the same dedup fields"
            exception = DuplicateMessageError(text, failure["existing"])
        return FanOutFailure(record, source, target, exception or MinikafkaError(failure["text"]))
