//! K2: one of three members of a group is killed or frozen, or each is restarted in turn.

mod client;
mod disturb;
mod members;
mod watch;
mod writer;

use std::sync::Arc;

use crate::frame::{Better, Cell, Contender, Goal, Measured, Outcome, Plan, Role, Spread, Target};
use crate::peers;
use crate::resources::{Database, Topic};
use crate::settings::Settings;

use disturb::{Disturbance, FREEZE, VICTIM};
use members::{Kind, MEMBERS, Members, name};
use watch::Watch;
use writer::Writer;

pub(crate) use client::Client;

pub(crate) const K2: Cell = Cell {
    id: "K2",
    title: "a member of a group is killed, frozen, restarted",
    figure: WORST,
    better: Better::Lower,
    plan,
};

const WORST: &str = "seconds without progress, worst partition";
const MEDIAN: &str = "median partition";
/// The partitions that the disturbed member did not own.
const OTHERS: &str = "worst of the other members' partitions";

const OURS: &str = "messagekit consumer";
const NAMED: &str = "messagekit consumer, with instance ids";
const BARE: &str = "bare librdkafka consumer";

/// Each connection has the name of its member, and each row records that name.
const TABLES: &str = "
CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account text NOT NULL, number bigint NOT NULL,
    member text NOT NULL DEFAULT current_setting('application_name'));
CREATE INDEX ON effects ((number % 6), number)";

const SEEN: &str = "CREATE TABLE seen (id text PRIMARY KEY)";

fn plan(settings: Arc<Settings>) -> Plan {
    let (mut contenders, mut goals) = (Vec::new(), Vec::new());
    for disturbance in Disturbance::ALL {
        let kinds = [
            (OURS, Role::Ours, Kind::Own(Client::Ours)),
            (NAMED, Role::Ours, Kind::Own(Client::Named)),
            (BARE, Role::Limit, Kind::Own(Client::Bare)),
        ];
        let [peer, ..] = &peers::CONSUMERS;
        let peer = settings.peers.then_some((peer.name, Role::Peer, Kind::Peer(peer)));
        for (name, role, kind) in kinds.into_iter().chain(peer) {
            let settings = Arc::clone(&settings);
            let run = move || measure(Arc::clone(&settings), kind, disturbance);
            contenders.push(Contender::new(disturbance.name(), name, role, run));
        }
        for (over, figure, most) in wanted(disturbance) {
            let (group, target) = (disturbance.name(), Target::AtMost(most));
            goals.push(Goal { group, figure, over, under: None, target });
        }
    }
    let sizes = format!(
        "{MEMBERS} members, 6 partitions with an event of 1 KiB each 100 ms in each; defaults of each client; a frozen member for {} s",
        FREEZE.as_secs()
    );
    Plan { sizes, contenders, goals }
}

fn wanted(disturbance: Disturbance) -> Vec<(&'static str, &'static str, f64)> {
    match disturbance {
        Disturbance::Kill => vec![(OURS, WORST, 10.0), (OURS, OTHERS, 1.0), (NAMED, WORST, 3.0)],
        Disturbance::Freeze => vec![(OURS, WORST, 10.0), (OURS, OTHERS, 1.0)],
        Disturbance::Restarts => Vec::new(),
    }
}

async fn measure(settings: Arc<Settings>, kind: Kind, disturbance: Disturbance) -> Outcome<Measured> {
    let database = match kind {
        Kind::Own(Client::Ours | Client::Named) => Database::migrated(settings.database()?).await?,
        Kind::Own(Client::Bare) | Kind::Peer(_) => {
            let database = Database::empty(settings.database()?).await?;
            database.execute(SEEN.to_owned()).await?;
            database
        }
    };
    database.execute(TABLES.to_owned()).await?;
    let topic = Topic::make(settings.kafka()?).await?;
    let writer = Writer::start(settings.kafka()?, &topic.name)?;
    let watch = Watch::start(&database.url).await?;
    let mut members = Members::start(&settings, kind, &database, &topic)?;
    watch.until_shared().await?;

    let owners = watch.owners();
    watch.begin();
    disturbance.strike(&mut members, &watch).await?;
    watch.until_calm().await?;

    let waits = watch.waits();
    members.are_alive()?;
    let written = writer.finish().await?;
    watch.until_applied(written).await?;
    let all = Spread::of(waits.iter().copied());
    let ledger = database.judge(written, super::consume::APPLIED).await?;
    let measured = Measured::new(ledger).with(WORST, all.max).with(MEDIAN, all.median);
    if disturbance == Disturbance::Restarts {
        return Ok(measured);
    }
    let victim = Some(name(VICTIM));
    let others = waits.iter().zip(&owners).filter(|(_, owner)| **owner != victim).map(|(wait, _)| *wait);
    Ok(measured.with(OTHERS, Spread::of(others).max))
}
