//! Operators, who act at random and repeat each other.

use messagekit::Error;
use messagekit::operations::{Action, ActionResult, FailedMessages, Operator};

use super::mutants::Wrong;
use super::world::World;

/// Acts on some failed messages in one transaction.
pub(super) async fn step(world: &mut World) -> Result<(), Error> {
    let act = *world
        .random
        .choice(&[Action::Retry, Action::Retry, Action::Discard, Action::Undo])
        .unwrap_or(&Action::Retry);
    let known: i64 = world
        .raw
        .query_row("SELECT coalesce(max(id), 0) FROM messagekit_failed_messages", [], |row| row.get(0))
        .unwrap();
    let ids: Vec<i64> = (0..world.random.u8(1..4)).map(|_| world.random.i64(0..=known)).collect();
    if act == Action::Retry && world.is(Wrong::RetriesInAnyState) {
        let any = "UPDATE messagekit_failed_messages SET state = 'retry_requested', due = 0, running_since = NULL, token = token + 1
                   WHERE id = ?1";
        world.raw.execute(any, [ids[0]]).unwrap();
        return Ok(());
    }
    let store = world.random.usize(0..world.processes.len());
    let by = Operator::new("ada", "test");
    let acted = world.processes[store].act(act, &ids, &by).await?;
    for (id, acted) in std::iter::zip(&ids, &acted) {
        if *acted == ActionResult::Done {
            world.seen.acts += 1;
            if act == Action::Undo {
                let message = "SELECT message_id FROM messagekit_failed_messages WHERE id = ?1";
                let message = world.raw.query_row(message, [id], |row| row.get(0)).unwrap();
                world.undone.insert(message);
            }
        }
    }
    Ok(())
}

/// Retries all dead letters; returns whether there were any.
pub(super) async fn retry_all(world: &mut World) -> Result<bool, Error> {
    let dead: Vec<i64> = {
        let mut select =
            world.raw.prepare("SELECT id FROM messagekit_failed_messages WHERE state = 'dead'").unwrap();
        select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    world.processes[0].act(Action::Retry, &dead, &Operator::new("ada", "test")).await?;
    Ok(!dead.is_empty())
}
