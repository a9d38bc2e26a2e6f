"""The order of pipelines, and their picture."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._pipeline import Pipeline


def ordered(pipelines: list[Pipeline[Any, Any]]) -> list[list[Pipeline[Any, Any]]]:
    """Group pipelines by the topic that they read, each group after all that lead to it. ``ValueError`` for a cycle."""
    left, groups = list(pipelines), []
    while left:
        targets = {pipeline.target_name for pipeline in left}
        first = next((pipeline for pipeline in left if pipeline.source_name not in targets), None)
        if first is None:
            names = ", ".join(dict.fromkeys(pipeline.source_name for pipeline in left))
            raise ValueError(f"pipeline contains a cycle: {names}")
        of_group = [pipeline for pipeline in left if _view(pipeline) == _view(first)]
        groups.append(of_group)
        left = [pipeline for pipeline in left if _view(pipeline) != _view(first)]
    return groups


def _view(pipeline: Pipeline[Any, Any]) -> tuple[str, str]:
    topic = pipeline.source_topic
    return topic.name, topic._native.consumer()


def plotted(pipelines: list[Pipeline[Any, Any]], counts: bool) -> str:
    """Return a Mermaid diagram, with the numbers of records below each name if asked."""
    drawn: set[str] = set()

    def node(topic: Any) -> str:
        name = topic.name if re.fullmatch(r"(?!end$)[A-Za-z0-9._-]+", topic.name) else "t_" + re.sub(r"\W", "_", topic.name)
        if topic.name in drawn or (not counts and name == topic.name):
            return name
        drawn.add(topic.name)
        escaped = re.sub(r'["<>&#;]', lambda found: f"#{ord(found[0])};", topic.name)
        label = f"<br/>new {topic.count('new')}, handled {topic.count('handled')}" if counts else ""
        return f'{name}["{escaped}{label}"]'

    lines = ["graph TD"]
    for pipeline in pipelines:
        line = f"    {node(pipeline.source_topic)}"
        if pipeline.target_topic is not None:
            line += f" --> {node(pipeline.target_topic)}"
        lines.append(line)
    return "\n".join(lines)
