"""Pipelines: targets, failures, graphs, strategies, events."""

from __future__ import annotations

from random import Random

import pytest
from conftest import Item, Short, Word, item
from pydantic import BaseModel, ValidationError

from messagekit_rs.topics import DuplicateMessageError, FanOutError, FanOutFailure, MinikafkaError, Source


@pytest.fixture
def items(source):
    items = source.topic("items", Item, dedup=("url",))
    items.extend([item(1), item(2), item(3)])
    return items


@pytest.fixture
def short(source):
    return source.topic("short", Short, dedup=("url",))


@pytest.fixture
def words(source):
    return source.topic("words", Word, dedup=None)


def shortened(value: Item) -> Short:
    return Short(url=value.url)


def fails_on(number: int, error: Exception):
    def function(value: Item) -> Word:
        if value.url.endswith(f"/{number}"):
            raise error
        return Word(text=value.title)

    return function


def test_without_a_target_nothing_moves(items):
    assert items.pipe(lambda value: value.score).run() == [0.25, 0.5, 0.75]
    assert items.count("new") == 3


def test_outputs_are_appended_and_their_records_handled(items, short):
    assert items.pipe(shortened).to(short).run() == [shortened(item(number)) for number in (1, 2, 3)]
    assert (items.count("handled"), [value.url[-1] for value in short.iter_new()]) == (3, ["1", "2", "3"])
    assert items.pipe(shortened).to(short).run() == []


def test_a_target_can_be_named(items, short, source):
    items.pipe(lambda value: {"url": value.url}).to("short").run()
    assert short.count() == 3
    with pytest.raises(KeyError, match="not registered.*long"):
        items.pipe(shortened).to("long")


def test_no_output_handles_a_record_and_a_list_makes_many(items, short, words):
    kept = items.pipe(lambda value: shortened(value) if value.url.endswith("2") else None).to(short)
    assert kept.run() == [None, Short(url="https://example.org/2"), None]
    assert (items.count("handled"), short.count()) == (3, 1)
    short.pipe(lambda value: [Word(text="a"), {"text": "b"}]).to(words).run()
    assert [word.text for word in words.iter_new()] == ["a", "b"]


def test_a_failure_is_the_own_exception_and_its_record_stays_new(items, words):
    own = RuntimeError("not this one")
    with pytest.raises(RuntimeError) as raised:
        items.pipe(fails_on(2, own)).to(words).run()
    assert raised.value is own and raised.value.__context__ is None
    assert (words.count(), [value.url[-1] for value in items.iter_new()]) == (1, ["2", "3"])
    items.pipe(fails_on(9, own)).to(words).run()
    assert (words.count(), items.count("new")) == (3, 0)


def test_an_output_that_does_not_fit_is_a_validation_error(items, words):
    with pytest.raises(ValidationError):
        items.pipe(lambda value: {"no_text": value.title}).to(words).run()
    assert (words.count(), items.count("new")) == (0, 3)


def test_a_duplicate_output_ends_a_strict_run(items, short):
    short.append({"url": "https://example.org/2"})
    with pytest.raises(DuplicateMessageError) as refused:
        items.pipe(shortened).to(short).run()
    assert refused.value.existing == 4
    assert [value.url[-1] for value in items.iter_new()] == ["2", "3"]


def test_a_dry_run_checks_and_writes_nothing(items, short, words):
    assert items.pipe(shortened).to(short).run(dry_run=True) == [shortened(item(number)) for number in (1, 2, 3)]
    with pytest.raises(ValidationError):
        items.pipe(lambda value: {}).to(words).run(dry_run=True)
    assert (items.count("new"), short.count(), words.count()) == (3, 0, 0)


def test_a_graph_is_sorted_and_plotted_in_the_order_given(source, items, short, words):
    second = short.pipe(lambda value: Word(text=value.url)).to(words)
    first = items.pipe(shortened).to(short)
    results = source.full_pipeline(second, first).run()
    assert [len(of_one) for of_one in results] == [3, 3]
    assert results[1][0] == shortened(item(1))
    assert words.count() == 3
    assert source.full_pipeline(first, second).plot() == "graph TD\n    items --> short\n    short --> words"
    assert first.plot() == "graph TD\n    items --> short"
    assert items.pipe(shortened).plot() == "graph TD\n    items"
    counted = first.plot(counts=True)
    assert counted == (
        'graph TD\n    items["items<br/>new 0, handled 3"] --> short["short<br/>new 0, handled 3"]'
    )


def test_a_cycle_is_a_value_error_at_the_run(source, items, short):
    cycle = source.full_pipeline(
        items.pipe(shortened).to(short), short.pipe(lambda value: item(1)).to(items)
    )
    with pytest.raises(ValueError, match="cycle: items, short"):
        cycle.run()


def test_strict_arms_of_a_record_are_kept_together(source, items, short, words):
    with pytest.raises(RuntimeError):
        source.full_pipeline(
            items.pipe(shortened).to(short), items.pipe(fails_on(2, RuntimeError("no"))).to(words)
        ).run()
    assert [value.url[-1] for value in items.iter_handled()] == ["1"]
    assert [value.url[-1] for value in items.iter_new()] == ["2", "3"]
    assert (short.count(), words.count()) == (1, 1)


def test_best_effort_keeps_the_arms_that_succeed_and_calls_only_the_others_again(source, items, short, words):
    own, calls = RuntimeError("no"), []

    def counted(value):
        calls.append(value.url[-1])
        return shortened(value)

    def graph(number):
        return source.full_pipeline(
            items.pipe(counted).to(short), items.pipe(fails_on(number, own)).to(words)
        )

    with pytest.raises(FanOutError) as raised:
        graph(2).run(strategy="best_effort")
    assert raised.value.failures == [FanOutFailure(2, "items", "words", own)]
    assert "1 sibling failure(s)" in str(raised.value) and "record=2 items -> words: RuntimeError: no" in str(raised.value)
    assert isinstance(raised.value, MinikafkaError)
    assert (short.count(), words.count(), items.count("new")) == (3, 2, 1)
    graph(9).run(strategy="best_effort")
    assert (short.count(), words.count(), items.count("handled")) == (3, 3, 3)
    assert calls == ["1", "2", "3"]


def chained(source, names, first=lambda value: value):
    """Open topics, and return them with pipelines that copy each into the next one."""
    topics = [source.topic(name, Word, dedup=None) for name in names]
    functions = [first, *[lambda value: value for _ in topics[2:]]]
    return topics, [topics[n].pipe(function).to(topics[n + 1]) for n, function in enumerate(functions)]


def texts(topic):
    return sorted(value.text for value in (*topic.iter_new(), *topic.iter_handled()))


def test_a_failed_record_keeps_no_other_from_later_topics(source):
    own = RuntimeError("no")

    def fails_on_two(value):
        if value.text == "2":
            raise own
        return value

    chain, behind = chained(source, "abcd", fails_on_two)
    beside, others = chained(source, "xyz")
    chain[0].extend([Word(text=text) for text in "123"])
    beside[0].extend([Word(text="4")])
    for _ in range(2):
        with pytest.raises(FanOutError) as raised:
            source.full_pipeline(*behind, *others).run(strategy="best_effort", attempts=5)
        assert raised.value.failures == [FanOutFailure(2, "a", "b", own)]
        assert [texts(topic) for topic in chain[1:]] == [["1", "3"]] * 3
        assert [texts(topic) for topic in beside[1:]] == [["4"]] * 2
    assert chain[0].count("new") == 1


def test_a_poison_record_changes_nothing_for_any_other():
    for seed in range(12):
        random = Random(seed)
        edges = [(first, second) for second in range(1, 6) for first in range(second) if random.random() < 0.5]
        random.shuffle(edges)
        if not edges:
            continue
        poison = random.choice(edges)
        clean, poisoned = outputs(edges, None), outputs(edges, poison)
        # A text names its number and the topics that it went through: what the arm would have made of 2 begins so.
        for topic, made in clean.items():
            lost = [text for text in made if text.startswith("2:") and f"{poison[0]}-{poison[1]}" in text]
            assert sorted(poisoned[topic] + lost) == sorted(made), f"seed {seed}, topic {topic}"


def outputs(edges, poison):
    """Run a graph over three records of each topic, with an arm that fails on every form of the second, and return the texts of the topics."""
    with Source(":memory:") as source:
        topics = [source.topic(f"t{number}", Word, dedup=None) for number in range(6)]
        for topic in topics:
            topic.extend([Word(text=f"{number}:") for number in (1, 2, 3)])

        def arm(edge):
            def function(value: Word) -> Word:
                if edge == poison and value.text.startswith("2:"):
                    raise RuntimeError("no")
                return Word(text=f"{value.text} {edge[0]}-{edge[1]}")

            return topics[edge[0]].pipe(function).to(topics[edge[1]])

        graph = source.full_pipeline(*[arm(edge) for edge in edges])
        if poison is None:
            graph.run(strategy="best_effort")
        else:
            with pytest.raises(FanOutError):
                graph.run(strategy="best_effort")
        return {number: texts(topic) for number, topic in enumerate(topics)}


def test_a_duplicate_is_success_in_best_effort(source, items, short):
    short.append({"url": "https://example.org/2"})
    source.full_pipeline(items.pipe(shortened).to(short)).run(strategy="best_effort")
    assert (short.count(), items.count("handled")) == (3, 3)


def test_an_unknown_strategy_is_refused(source, items, short):
    with pytest.raises(ValueError, match="strategy"):
        source.full_pipeline(items.pipe(shortened).to(short)).run(strategy="hopeful")


def test_an_atomic_batch_is_kept_whole_or_not(source, items, words):
    graph = source.full_pipeline(items.pipe(fails_on(3, RuntimeError("no"))).to(words))
    with pytest.raises(RuntimeError):
        graph.run(atomic_batch=2)
    assert (words.count(), items.count("handled")) == (2, 2)


def test_a_record_is_dead_after_its_attempts(source, items, words):
    graph = source.full_pipeline(items.pipe(fails_on(1, RuntimeError("no"))).to(words))
    for _ in range(2):
        with pytest.raises(RuntimeError):
            graph.run(attempts=2)
    assert (items.count("new"), items.count("dead")) == (2, 1)
    graph.run(attempts=2)
    assert (words.count(), items.count("handled")) == (2, 2)


def test_topics_of_two_files_make_no_pipeline(source, items):
    with Source(":memory:") as other:
        target = other.topic("short", Short, dedup=None)
        with pytest.raises(ValueError, match="two databases"):
            items.pipe(shortened).to(target).run()
        assert (items.count("new"), target.count()) == (3, 0)


def test_an_interrupt_ends_the_run_and_counts_as_no_failure(items, words):
    def interrupted(value):
        raise KeyboardInterrupt

    for _ in range(12):
        with pytest.raises(KeyboardInterrupt):
            items.pipe(interrupted).to(words).run()
    assert (items.count("new"), items.count("dead")) == (3, 0)


def test_a_function_that_runs_its_own_pipeline_is_refused(items, words):
    def again(value):
        items.pipe(again).to(words).run()

    with pytest.raises(MinikafkaError, match="waits for itself"):
        items.pipe(again).to(words).run()
    assert words.count() == 0


def test_a_function_may_use_the_source(source, items, words):
    def appends(value):
        words.append({"text": value.url})
        return Word(text=str(items.count("handled")))

    items.pipe(appends).to(words).run()
    assert words.count() == 6


def test_events_of_a_run_come_in_order(observer):
    source = Source(":memory:", on_event=observer)
    items = source.topic("items", Item, dedup=None)
    short = source.topic("short", Short, dedup=None)
    items.extend([item(1), item(2)])
    observer.heard.clear()
    items.pipe(shortened).to(short).run()
    names = observer.names()
    assert (names[0], names[-1]) == ("pipeline_start", "pipeline_end")
    assert observer.heard[0][1] == {"source": "items", "target": "short"}
    assert observer.heard[-1][1] == {"source": "items", "target": "short", "count": 2, "dry_run": False}
    appended = [kwargs for name, kwargs in observer.heard if name == "message_appended"]
    assert appended == [{"topic": "short", "payload": {"url": f"https://example.org/{number}"}} for number in (1, 2)]
    assert [kwargs for name, kwargs in observer.heard if name == "message_handled"] == [
        {"topic": "items", "id": number} for number in (1, 2)
    ]
    observer.heard.clear()
    items.pipe(shortened).to(short).run(dry_run=True)
    assert observer.names() == ["pipeline_start", "pipeline_end"]


def test_what_is_rolled_back_is_not_heard_of(observer):
    source = Source(":memory:", on_event=observer)
    items = source.topic("items", Item, dedup=None)
    short = source.topic("short", Short, dedup=None)
    words = source.topic("words", Word, dedup=None)
    items.append(item(1))
    observer.heard.clear()
    with pytest.raises(RuntimeError):
        source.full_pipeline(
            items.pipe(shortened).to(short), items.pipe(fails_on(1, RuntimeError("no"))).to(words)
        ).run()
    assert "message_appended" not in observer.names()


def test_an_error_that_is_kept_for_operators_quotes_no_values(path):
    import sqlite3

    class Strict(BaseModel):
        number: int

    with Source(path) as source:
        items = source.topic("items", Item, dedup=None)
        items.append(item(1, "a secret title"))
        numbers = source.topic("numbers", Strict, dedup=None)
        with pytest.raises(ValidationError):
            items.pipe(lambda value: {"number": value.title}).to(numbers).run()
    connection = sqlite3.connect(path)
    ((error,),) = connection.execute("SELECT error FROM messagekit_failed_messages").fetchall()
    connection.close()
    assert "number: int_parsing" in error and "secret" not in error
