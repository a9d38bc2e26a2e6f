//! The causes and the effects of an event, over all databases.

use std::collections::{BTreeMap, BTreeSet};

use messagekit::MessageId;
use messagekit::operations::LinkedEvent;

use crate::InDatabase;
use crate::database::{Database, Unreachable, ask_each};
use crate::problem::Problem;

/// How many steps are walked in each direction; each is one request to each database.
pub(super) const DEPTH: usize = 10;
/// How many events are shown in all.
pub(super) const EVENTS: usize = 200;

/// The events around one event.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The cause, its cause, and so on. The last one is unknown if no database has it.
    pub(super) causes: Vec<(MessageId, Option<InDatabase<LinkedEvent>>)>,
    /// The effects of each event.
    pub(super) effects: BTreeMap<String, Vec<InDatabase<LinkedEvent>>>,
    /// Whether there may be more than is shown.
    pub(super) is_cut: bool,
    /// Databases that fell silent on the way.
    pub(super) unreachable: Vec<Unreachable>,
}

/// Walks both ways at once: each step asks for the next cause and for the effects of the last step. A database that is silent
/// once is left out of the steps after it, because each would wait for it as long.
pub(super) async fn walk(
    mut databases: Vec<&Database>,
    root: &MessageId,
    cause: Option<MessageId>,
) -> Result<Tree, Problem> {
    let mut tree = Tree::default();
    let mut seen = BTreeSet::from([root.clone()]);
    let mut next_cause = cause.filter(|cause| !seen.contains(cause));
    let mut frontier = vec![root.clone()];
    for _ in 0..DEPTH {
        if next_cause.is_none() && frontier.is_empty() {
            return Ok(tree);
        }
        let asked: Vec<MessageId> = next_cause.iter().cloned().collect();
        let found = step(&mut databases, &asked, &frontier, &mut tree).await?;
        if databases.is_empty() {
            tree.is_cut = true;
            return Ok(tree);
        }
        let was = std::mem::take(&mut frontier);
        let mut cause = None;
        for event in found {
            let id = event.event_id.clone();
            if next_cause.as_ref() == Some(&id) {
                seen.insert(id.clone());
                cause = Some((event.links.causation_id.clone(), event));
            } else if event.links.causation_id.as_ref().is_some_and(|cause| was.contains(cause))
                && seen.insert(id.clone())
            {
                if seen.len() > EVENTS {
                    tree.is_cut = true;
                    continue;
                }
                let of = event.links.causation_id.as_ref().map(ToString::to_string).unwrap_or_default();
                tree.effects.entry(of).or_default().push(event);
                frontier.push(id);
            }
        }
        if let Some(id) = next_cause.take() {
            let (next, view) = cause.map_or((None, None), |(next, view)| (next, Some(view)));
            next_cause = next.filter(|next| !seen.contains(next));
            tree.causes.push((id, view));
        }
    }
    // What stands beyond the last step is not known.
    tree.is_cut |= next_cause.is_some() || !frontier.is_empty();
    Ok(tree)
}

/// Asks the databases for events by their ids and by their causes, and keeps those that answer.
async fn step(
    databases: &mut Vec<&Database>,
    ids: &[MessageId],
    causes: &[MessageId],
    tree: &mut Tree,
) -> Result<Vec<InDatabase<LinkedEvent>>, Problem> {
    let most = u32::try_from(EVENTS).unwrap_or(u32::MAX).saturating_add(2);
    let answers = ask_each(databases.iter().copied(), |database| async move {
        database.store.linked_events(ids, causes, most).await
    });
    let answers = answers.await?;
    *databases = answers.answered.iter().map(|(database, _)| *database).collect();
    tree.unreachable.extend(answers.unreachable);
    let mut found = Vec::new();
    for (database, events) in answers.answered {
        tree.is_cut |= events.len() >= most as usize;
        found.extend(InDatabase::all(&database.name, events));
    }
    Ok(found)
}
