//! Wrong statements in place of right ones; the schedules must detect each of them.

/// One wrong statement.
pub(super) struct Mutant {
    pub(super) name: &'static str,
    pub(super) wrong: Wrong,
}

/// The place of the mistake.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A trigger in the file changes the rows that the store writes.
    File(&'static str),
    ClaimsWithoutLookingAtKeys,
    RunsWhatIsBehind,
    DropsWhatIsBehind,
    SetsCulpritsAsideAlone,
    KeepsAsManyAsFit,
    PassesOverWhatHasNoRoom,
    AdvancesBeforeItsEffects,
    KeepsClaimsThatDidNotRun,
    ClaimsEverythingUnderTheGeneration,
    ForgetsTheGenerationOfCulprits,
    CommitsWithoutTheLease,
    RetriesInAnyState,
    RunsOutOfOrder,
    ResolvesTheHeadOfARun,
}

const fn file(name: &'static str, trigger: &'static str) -> Mutant {
    Mutant { name, wrong: Wrong::File(trigger) }
}

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant { name: "a claim looks at no key", wrong: Wrong::ClaimsWithoutLookingAtKeys },
    Mutant { name: "what is behind runs", wrong: Wrong::RunsWhatIsBehind },
    Mutant { name: "what is behind is not kept", wrong: Wrong::DropsWhatIsBehind },
    Mutant { name: "a culprit is set aside alone", wrong: Wrong::SetsCulpritsAsideAlone },
    Mutant { name: "a part of what is behind is kept", wrong: Wrong::KeepsAsManyAsFit },
    Mutant { name: "what has no room is passed over", wrong: Wrong::PassesOverWhatHasNoRoom },
    Mutant { name: "offsets come before effects", wrong: Wrong::AdvancesBeforeItsEffects },
    Mutant { name: "claims that did not run are kept", wrong: Wrong::KeepsClaimsThatDidNotRun },
    Mutant { name: "a generation has no range", wrong: Wrong::ClaimsEverythingUnderTheGeneration },
    Mutant { name: "a culprit of a range has no generation", wrong: Wrong::ForgetsTheGenerationOfCulprits },
    Mutant { name: "a run whose lease is over is kept", wrong: Wrong::CommitsWithoutTheLease },
    Mutant { name: "a retry compares no state", wrong: Wrong::RetriesInAnyState },
    Mutant { name: "a run takes what waits from its end", wrong: Wrong::RunsOutOfOrder },
    Mutant { name: "a run resolves its head only", wrong: Wrong::ResolvesTheHeadOfARun },
    file(
        "the marker of a failed message says done",
        "AFTER INSERT ON messagekit_processed_messages WHEN NEW.outcome = 1 BEGIN
           UPDATE messagekit_processed_messages SET outcome = 0
           WHERE consumer_id = NEW.consumer_id AND message_id = NEW.message_id; END",
    ),
    file(
        "a failed message of a culprit forgets its key",
        "AFTER INSERT ON messagekit_failed_messages WHEN NEW.parked = 1 AND NEW.state <> 'blocked' BEGIN
           UPDATE messagekit_failed_messages SET parked = 0 WHERE id = NEW.id; END",
    ),
    file(
        "a new head waits",
        "AFTER INSERT ON messagekit_failed_messages WHEN NEW.parked = 1 BEGIN
           UPDATE messagekit_failed_messages SET state = 'blocked', due = NULL WHERE id = NEW.id; END",
    ),
    file(
        "a dead head leaves its key",
        "AFTER UPDATE OF state ON messagekit_failed_messages WHEN OLD.state <> 'discarded' AND NEW.state = 'dead' BEGIN
           UPDATE messagekit_failed_messages SET parked = 0 WHERE id = NEW.id; END",
    ),
    file(
        "a resolve lets nobody run",
        "BEFORE UPDATE OF state ON messagekit_failed_messages
         WHEN OLD.state = 'blocked' AND NEW.state = 'retry_scheduled' AND EXISTS (
           SELECT 1 FROM messagekit_failed_messages d
           WHERE d.key = NEW.key AND d.state = 'resolved' AND d.changed_at = NEW.changed_at)
         BEGIN SELECT RAISE(IGNORE); END",
    ),
    file(
        "a discard lets nobody run",
        "BEFORE UPDATE OF state ON messagekit_failed_messages
         WHEN OLD.state = 'blocked' AND NEW.state = 'retry_scheduled' AND EXISTS (
           SELECT 1 FROM messagekit_failed_messages d
           WHERE d.key = NEW.key AND d.state = 'discarded' AND d.changed_at = NEW.changed_at)
         BEGIN SELECT RAISE(IGNORE); END",
    ),
    file(
        "a resolve leaves the marker held",
        "AFTER UPDATE OF outcome ON messagekit_processed_messages WHEN OLD.outcome = 1 AND NEW.outcome = 0 BEGIN
           UPDATE messagekit_processed_messages SET outcome = 1
           WHERE consumer_id = NEW.consumer_id AND message_id = NEW.message_id; END",
    ),
    file(
        "a discard leaves the marker held",
        "BEFORE UPDATE OF outcome ON messagekit_processed_messages WHEN OLD.outcome = 1 AND NEW.outcome = 2
         BEGIN SELECT RAISE(IGNORE); END",
    ),
    file(
        "a discard deletes the marker",
        "AFTER UPDATE OF outcome ON messagekit_processed_messages WHEN OLD.outcome = 1 AND NEW.outcome = 2 BEGIN
           DELETE FROM messagekit_processed_messages
           WHERE consumer_id = NEW.consumer_id AND message_id = NEW.message_id; END",
    ),
    file(
        "an undo leaves the marker discarded",
        "BEFORE UPDATE OF outcome ON messagekit_processed_messages WHEN OLD.outcome = 2 AND NEW.outcome = 1
         BEGIN SELECT RAISE(IGNORE); END",
    ),
    file(
        "an undo does not hold the key again",
        "AFTER UPDATE OF state ON messagekit_failed_messages WHEN OLD.state = 'discarded' BEGIN
           UPDATE messagekit_failed_messages SET parked = 0 WHERE id = NEW.id AND state <> 'blocked'; END",
    ),
    file(
        "what is brought back waits, and nothing is before it",
        "AFTER UPDATE OF state ON messagekit_failed_messages WHEN OLD.state = 'dead' AND NEW.state = 'retry_scheduled' BEGIN
           UPDATE messagekit_failed_messages SET state = 'blocked', due = NULL WHERE id = NEW.id; END",
    ),
];
