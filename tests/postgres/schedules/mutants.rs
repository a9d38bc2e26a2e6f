//! Wrong statements and steps, each of which the schedules must catch.
//!
//! Several rules may keep the same promise, and then one wrong rule alone is harmless: a retry compares the rows that it has
//! locked, and a discard checks the failed message, its marker and both again. Such a mutant removes all of them.

/// One wrong statement or step.
pub(super) struct Mutant {
    pub(super) name: &'static str,
    /// A schedule that catches it.
    pub(super) seed: u64,
    pub(super) wrong: Wrong,
}

/// A part of a statement, and its replacement.
pub(super) struct Rewrite {
    pub(super) from: &'static str,
    pub(super) to: &'static str,
}

/// The wrong part.
#[derive(Clone, Copy)]
pub(super) enum Wrong {
    Statement(&'static [Rewrite]),
    Step(Step),
}

/// The wrong step of a consumer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    RunsWhatIsBehind,
    DropsWhatIsBehind,
    SetsCulpritsAsideAlone,
    KeepsAsManyAsFit,
    PassesOverWhatHasNoRoom,
    AdvancesBeforeItsEffects,
    KeepsClaimsThatDidNotRun,
    ClaimsEverythingUnderTheGeneration,
    CommitsWithoutTheLease,
    RunsOutOfOrder,
    LeavesAFollowerOut,
}

const fn step(name: &'static str, seed: u64, step: Step) -> Mutant {
    Mutant { name, seed, wrong: Wrong::Step(step) }
}

const fn statement(name: &'static str, seed: u64, rewrites: &'static [Rewrite]) -> Mutant {
    Mutant { name, seed, wrong: Wrong::Statement(rewrites) }
}

const fn change(from: &'static str, to: &'static str) -> Rewrite {
    Rewrite { from, to }
}

pub(super) const MUTANTS: &[Mutant] = &[
    step("what is behind runs", 1, Step::RunsWhatIsBehind),
    step("what is behind is not kept", 1, Step::DropsWhatIsBehind),
    step("a culprit is set aside alone", 1, Step::SetsCulpritsAsideAlone),
    step("a part of what is behind is kept", 1, Step::KeepsAsManyAsFit),
    step("what has no room is passed over", 1, Step::PassesOverWhatHasNoRoom),
    step("offsets come before effects", 1, Step::AdvancesBeforeItsEffects),
    step("claims that did not run are kept", 7, Step::KeepsClaimsThatDidNotRun),
    step("a generation has no range", 1, Step::ClaimsEverythingUnderTheGeneration),
    step("a run whose lease is over is kept", 18, Step::CommitsWithoutTheLease),
    step("a run takes what waits from its end", 3, Step::RunsOutOfOrder),
    step("a run passes over the first that waits", 6, Step::LeavesAFollowerOut),
    statement(
        "a claim looks at no key",
        1,
        &[change("THEN 'held' ELSE 'done' END", "THEN 'done' ELSE 'done' END")],
    ),
    statement(
        "a claim of a generation takes what is held",
        13,
        &[
            change("(q.outcome <> 'done' OR q.generation >= b.generation)", "q.generation >= b.generation"),
            change(
                "WHERE p.outcome = 'done' AND p.generation < excluded.generation",
                "WHERE p.generation < excluded.generation",
            ),
        ],
    ),
    statement(
        "the marker of a culprit says done",
        2,
        &[change("day_of($2), 'held', $3 WHERE", "day_of($2), 'done', $3 WHERE")],
    ),
    statement(
        "what was done before its range settles a culprit",
        23,
        &[change("(q.outcome <> 'done' OR q.generation >= $3)) IS NULL", "true) IS NULL")],
    ),
    statement(
        "a culprit of a range is held under no generation",
        3,
        &[change("day_of($2), 'held', $3 WHERE", "day_of($2), 'held', 0 WHERE $3::int IS NOT NULL AND")],
    ),
    statement("a failed message is not counted in", 1, &[change("SET count = h.count + excluded.count", "SET count = h.count")]),
    statement(
        "a resolve looks before it has the key",
        1,
        &[
            change(
                "UPDATE messagekit.blocked_keys SET count = count - $4::int\nWHERE consumer = $1 AND topic = $2 AND key_hash = $3 AND count >= $4::int",
                "SELECT FROM messagekit.blocked_keys WHERE consumer = $1 AND topic = $2 AND key_hash = $3 AND count >= $4::int",
            ),
            change(
                "DELETE FROM messagekit.blocked_keys WHERE consumer = $1 AND topic = $4 AND key_hash = $5 AND count = 0),",
                "DELETE FROM messagekit.blocked_keys WHERE consumer = $1 AND topic = $4 AND key_hash = $5 AND count = 1),
                 fewer AS (UPDATE messagekit.blocked_keys SET count = count - 1
                   WHERE consumer = $1 AND topic = $4 AND key_hash = $5 AND count > 1),",
            ),
        ],
    ),
    statement(
        "a new head waits",
        1,
        &[
            change("CASE WHEN b.waits THEN 'blocked'", "CASE WHEN true THEN 'blocked'"),
            change("CASE WHEN NOT b.waits THEN", "CASE WHEN false THEN"),
        ],
    ),
    statement(
        "a dead head leaves its key",
        1,
        &[change(
            "AND o.parked\n      AND o.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')",
            "AND o.parked\n      AND o.state IN ('retry_scheduled', 'blocked', 'retry_requested')",
        )],
    ),
    statement(
        "a resolve does not count its failed message out",
        1,
        &[change("SET count = count - $4::int", "SET count = count")],
    ),
    statement(
        "a run counts itself out as one failed message",
        1,
        &[change("SET count = count - $4::int", "SET count = count - least($4::int, 1)")],
    ),
    statement(
        "a resolve lets nobody run",
        1,
        &[change("WHERE d.state = 'blocked' AND d.id = (\n", "WHERE false AND d.id = (\n")],
    ),
    statement("a resolve leaves an empty key", 6, &[change("AND count = 0),\nmarker", "AND false),\nmarker")]),
    statement(
        "a resolve leaves the marker held",
        1,
        &[change(
            "SET outcome = 'done', processed_at = now()\n  WHERE p.consumer = $1 AND p.message_id = (SELECT",
            "SET outcome = 'held', processed_at = now()\n  WHERE p.consumer = $1 AND p.message_id = (SELECT",
        )],
    ),
    statement(
        "a resolve compares no token",
        6,
        &[change(
            "SET state = 'resolved', reason = 'applied', due = NULL, running_since = NULL, attempts = attempts - 1,\n    changed_at = clock_timestamp()\n  WHERE id = $2 AND token = $3 AND running_since IS NOT NULL",
            "SET state = 'resolved', reason = 'applied', due = NULL, running_since = NULL, attempts = attempts - 1,\n    changed_at = clock_timestamp()\n  WHERE id = $2 AND $3::bigint IS NOT NULL",
        )],
    ),
    statement(
        "a discard lets nobody run",
        6,
        &[change("WHERE d.state = 'blocked' AND d.id = ANY(ARRAY(", "WHERE false AND d.id = ANY(ARRAY(")],
    ),
    statement(
        "an act leaves an empty key",
        1,
        &[change("AND h.key_hash = b.key_hash AND h.count = 0", "AND h.key_hash = b.key_hash AND false")],
    ),
    statement(
        "an act leaves the marker",
        12,
        &[change(
            "DO UPDATE SET outcome = excluded.outcome, processed_at = now() WHERE p.outcome = $4",
            "DO UPDATE SET outcome = p.outcome, processed_at = now() WHERE p.outcome = $4",
        )],
    ),
    statement(
        "a discard does not count its failed messages out",
        15,
        &[change("SET count = h.count + b.failed_messages", "SET count = h.count + greatest(b.failed_messages, 0)")],
    ),
    statement(
        "an undo does not count its failed messages in",
        2,
        &[change("SET count = h.count + b.failed_messages", "SET count = h.count + least(b.failed_messages, 0)")],
    ),
    statement(
        "an act does not lock its failed messages",
        24,
        &[change(
            "WHERE d.id = ANY($1::bigint[]) ORDER BY d.id FOR UPDATE OF d",
            "WHERE d.id = ANY($1::bigint[]) ORDER BY d.id",
        )],
    ),
    statement(
        "a culprit is parked without its marker",
        3,
        &[change(
            "INSERT INTO messagekit.processed_messages AS p (consumer, message_id, day, outcome, generation)
SELECT $1, $2, messagekit.day_of($2), 'held', $3 WHERE (
  SELECT true FROM messagekit.processed_messages q
  WHERE q.consumer = $1 AND q.message_id = $2 AND q.day = messagekit.day_of($2) AND (q.outcome <> 'done' OR q.generation >= $3)) IS NULL
ON CONFLICT ON CONSTRAINT processed_messages_pkey DO UPDATE
  SET outcome = excluded.outcome, generation = excluded.generation, earlier = p.generation, processed_at = now()
  WHERE p.outcome = 'done' AND p.generation < excluded.generation",
            "SELECT 1 WHERE (
  SELECT true FROM messagekit.processed_messages q
  WHERE q.consumer = $1::text AND q.message_id = $2::text AND (q.outcome <> 'done' OR q.generation >= $3::int)) IS NULL",
        )],
    ),
    statement(
        "a retry sets without comparing",
        24,
        &[
            change(" AND state IN ('retry_scheduled', 'dead', 'retry_requested') AND running_since IS NULL", ""),
            change(
                "WHERE d.id = ANY($1::bigint[]) ORDER BY d.id FOR UPDATE OF d",
                "WHERE d.id = ANY($1::bigint[]) ORDER BY d.id",
            ),
            // The other actions lock their failed messages nevertheless.
            change(
                "FROM messagekit.failed_messages d WHERE d.id = ANY($1::bigint[]) AND d.parked ORDER BY 1, 2, 3",
                "FROM messagekit.failed_messages d WHERE d.id = ANY(ARRAY(
                   SELECT l.id FROM messagekit.failed_messages l WHERE l.id = ANY($1::bigint[]) ORDER BY l.id FOR UPDATE))
                   AND d.parked ORDER BY 1, 2, 3",
            ),
        ],
    ),
    statement(
        "a discard closes what is resolved",
        19,
        &[
            change("SELECT d.id, d.state, d.consumer,", "SELECT d.id, replace(d.state, 'resolved', 'retry_scheduled') AS state, d.consumer,"),
            change(
                "(SELECT p.outcome FROM messagekit.processed_messages p WHERE p.consumer = d.consumer",
                "(SELECT nullif(p.outcome, 'done') FROM messagekit.processed_messages p WHERE p.consumer = d.consumer",
            ),
            change(
                "WHERE id = ANY($1::bigint[]) AND state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')",
                "WHERE id = ANY($1::bigint[])",
            ),
            change("processed_at = now() WHERE p.outcome = $4", "processed_at = now() WHERE p.outcome IN ($4, 'done')"),
        ],
    ),
];

/// What is taken back forgets that it was done before its range. A schedule notices only when a second copy of the same record
/// then comes from outside of the range, once in about 90: `taken_back` leads it there.
pub(super) const TAKEN_BACK_FORGETS: &[Rewrite] = &[
    change("AND earlier IS NOT NULL\n    AND xmin", "AND false\n    AND xmin"),
    change("AND earlier IS NULL\n    AND xmin", "AND xmin"),
];

/// A claim that has waited looks at no key again. A schedule notices once in some hundred: `second_look` leads it there.
pub(super) const LOOKS_AT_NO_KEY_AGAIN: &[Rewrite] = &[change(
    "AS b (topic, key_hash)\nWHERE (SELECT true FROM messagekit.blocked_keys",
    "AS b (topic, key_hash)\nWHERE false AND (SELECT true FROM messagekit.blocked_keys",
)];
