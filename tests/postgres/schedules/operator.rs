//! Operators, who act at random and repeat each other.

use messagekit::Error;
use messagekit::operations::{Action, ActionResult, FailedMessages, Operator};
use messagekit_postgres::PostgresStore;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::world::{World, cut};

/// Performs an action on some failed messages in one transaction. Mostly the action is valid for the first of them.
pub(super) async fn step(world: &World, store: &PostgresStore) -> Result<(), Error> {
    let known = failed_messages(world, "true").await?;
    if known.is_empty() {
        return Ok(());
    }
    let (act, ids) = {
        let mut state = world.state();
        let random = state.random();
        let chosen: Vec<&Known> =
            (0..random.u8(1..4)).map(|_| &known[random.usize(0..known.len())]).collect();
        let acts: &[Action] = match &*chosen[0].state {
            "discarded" if random.u8(0..10) < 8 => &[Action::Undo],
            "dead" if random.u8(0..10) < 8 => &[Action::Retry, Action::Discard],
            _ => &[Action::Retry, Action::Discard, Action::Undo],
        };
        let act = *random.choice(acts).unwrap_or(&Action::Retry);
        (act, chosen.iter().map(|failed_message| failed_message.id).collect::<Vec<i64>>())
    };
    if act == Action::Undo {
        // Record it before the action: the process may crash before it could record it.
        let meant = known
            .iter()
            .filter(|failed_message| ids.contains(&failed_message.id))
            .map(|failed_message| failed_message.message_id.clone());
        world.state().undone.extend(meant);
    }
    let acted = store.act(act, &ids, &Operator::new("ada", "test")).await?;
    world.state().seen.acts += acted.iter().filter(|acted| **acted == ActionResult::Done).count() as u64;
    Ok(())
}

/// Retries every dead message, and returns whether there was one.
pub(super) async fn retry_all(world: &World, store: &PostgresStore) -> Result<bool, Error> {
    let dead: Vec<i64> = failed_messages(world, "state = 'dead'")
        .await?
        .iter()
        .map(|failed_message| failed_message.id)
        .collect();
    if !dead.is_empty() {
        store.act(Action::Retry, &dead, &Operator::new("ada", "test")).await?;
    }
    Ok(!dead.is_empty())
}

struct Known {
    id: i64,
    message_id: String,
    state: String,
}

async fn failed_messages(world: &World, condition: &str) -> Result<Vec<Known>, Error> {
    let select = sqlx::AssertSqlSafe(format!(
        "SELECT id, message_id, state FROM messagekit.failed_messages WHERE consumer = $1 AND {condition} ORDER BY id"
    ));
    let rows = sqlx::query(select).bind(&world.consumer).fetch_all(&world.direct).await.map_err(cut)?;
    let known = |row: &PgRow| Known { id: row.get(0), message_id: row.get(1), state: row.get(2) };
    Ok(rows.iter().map(known).collect())
}
