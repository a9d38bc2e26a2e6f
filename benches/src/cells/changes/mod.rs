//! W3: rows whose changes are events, beside the same rows with an event by hand.

mod fixture;
mod postgres;
mod sqlite;

use std::sync::Arc;

use crate::frame::{Better, Cell, Contender, Goal, Plan, Role, Target};
use crate::settings::Settings;
use fixture::{FIGURE, Way};

pub(crate) const W3: Cell =
    Cell { id: "W3", title: "changes of a table as events", figure: FIGURE, better: Better::Higher, plan };

const PLAIN: (&str, Role, Way) = ("without events", Role::Limit, Way::Plain);
const BY_HAND: (&str, Role, Way) = ("an event by hand", Role::Limit, Way::ByHand);
const SOURCE: (&str, Role, Way) = ("source", Role::Ours, Way::Source);
const SET_ASIDE: (&str, Role, Way) = ("source that sets failing rows aside", Role::Ours, Way::SetAside);
const KEPT: (&str, Role, Way) = ("source of a kept topic", Role::Ours, Way::Kept);

fn plan(settings: Arc<Settings>) -> Plan {
    let mut plan = Plan {
        sizes: "rows of four columns, inserted by one connection that knows nothing of messagekit".to_owned(),
        contenders: Vec::new(),
        goals: Vec::new(),
    };
    for (group, statements, rows) in [("PostgreSQL, 1 row", 4_000, 1), ("PostgreSQL, 10,000 rows", 5, 10_000)]
    {
        for (name, role, way) in [PLAIN, BY_HAND, SOURCE, SET_ASIDE, KEPT] {
            let settings = Arc::clone(&settings);
            let statements = if rows == 1 { settings.scaled(statements) } else { statements };
            let run = move || postgres::write(Arc::clone(&settings), way, statements, rows);
            plan.contenders.push(Contender::new(group, name, role, run));
        }
        plan.goals.push(goal(group, SOURCE.0, 1.0));
    }
    let group = "SQLite, 1,000 rows in a transaction";
    for (name, role, way) in [PLAIN, BY_HAND, KEPT] {
        let settings = Arc::clone(&settings);
        let run = move || {
            let settings = Arc::clone(&settings);
            async move { sqlite::write(&settings, way, settings.scaled(50_000)).await }
        };
        plan.contenders.push(Contender::new(group, name, role, run));
    }
    plan.goals.push(goal(group, KEPT.0, 0.6));
    plan
}

fn goal(group: &str, over: &'static str, least: f64) -> Goal {
    let target = Target::AtLeast(least);
    Goal { group: group.to_owned(), figure: FIGURE, over, under: Some(BY_HAND.0), target }
}
