//! Three members under storm: no offset past unfinished work, no partition that stands still, each record applied once.

use std::collections::BTreeMap;
use std::time::Duration;

use messagekit::Shutdown;
use messagekit_testkit::{DEADLINE, eventually};
use rustix::process::Signal;

use crate::group::Group;
use crate::process::Process;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    /// SIGKILL, and back under the same name.
    Kill,
    /// SIGTERM, and back.
    Leave,
    /// SIGSTOP past the session, and on as a zombie.
    Freeze,
    /// A fourth one comes, works, and goes.
    Join,
}

/// How long the broker believes in a member that says nothing.
const SESSION: Duration = Duration::from_secs(8);

const ALL: [Blow; 4] = [Blow::Kill, Blow::Leave, Blow::Freeze, Blow::Join];

pub(crate) fn full() -> bool {
    std::env::var("MESSAGEKIT_FULL").is_ok_and(|full| full == "1")
}

/// The members by name; the last one has no name at the broker.
struct Members {
    group: Group,
    members: BTreeMap<&'static str, Process>,
    waiting: usize,
    patience: Duration,
}

impl Members {
    fn start(group: Group, waiting: usize, patience: Duration) -> Self {
        let mut members = Self { group, members: BTreeMap::new(), waiting, patience };
        ["ada", "bea", "cem"].into_iter().for_each(|name| members.begin(name));
        members
    }

    fn begin(&mut self, name: &'static str) {
        self.members.insert(name, self.group.member(name, matches!(name, "ada" | "bea"), Some(SESSION)));
    }

    /// Waits until a member has applied more than before, while there is something to do.
    async fn until_at_work(&mut self, name: &'static str) {
        let before = self.group.applied_by().await.get(name).copied().unwrap_or(0);
        let (group, waiting) = (&mut self.group, self.waiting);
        eventually("the member works", self.patience, async || {
            group.supply(waiting).await;
            group.applied_by().await.get(name).copied().unwrap_or(0) > before
        })
        .await;
    }

    /// Strikes a member that works, and returns when the group has got over it.
    async fn strike(&mut self, blow: Blow, name: &'static str) {
        self.until_at_work(name).await;
        assert!(self.group.waiting().await > 0, "void: nothing was unfinished");
        match blow {
            Blow::Kill => {
                self.members.get_mut(name).unwrap().kill();
                self.begin(name);
            }
            Blow::Leave => {
                self.members.get_mut(name).unwrap().leave().await;
                self.begin(name);
            }
            Blow::Freeze => {
                self.members[name].send(Signal::STOP);
                self.until_others_have_everything().await;
                self.members[name].send(Signal::CONT);
            }
            Blow::Join => {
                self.begin("dov");
                self.until_at_work("dov").await;
                self.members.remove("dov").unwrap().leave().await;
            }
        }
        self.until_at_work(name).await;
        let ended = self.members.get_mut(name).unwrap().ended();
        assert_eq!(ended, None, "{name}: {}", self.members[name].said());
    }

    /// Waits until all that waits now was applied: a partition of somebody frozen is not, until another has it.
    async fn until_others_have_everything(&mut self) {
        eventually("others have its partitions", self.patience, async || self.group.waiting().await == 0)
            .await;
        self.group.supply(self.waiting).await;
    }
}

/// What a storm is made of.
struct Size {
    slowest: Duration,
    /// How many records wait at least.
    waiting: usize,
    rounds: usize,
    /// How long the group may take for all that it has to do: a green run never waits for it.
    patience: Duration,
    /// How long a partition that has work may stand still. The longest that it does with reason is the sum of: a session (8 s)
    /// until a dead or frozen member is missed; the handlers in work (the slowest) for which the others wait before they hand
    /// over; the deadline and a second (21 s) until the database ends the transaction of whoever is frozen; and, behind a death
    /// in a first batch, the first messages of twelve partitions, which one process handles one at a time (twelve times the
    /// slowest).
    still: Duration,
}

impl Size {
    /// The sums are 133 s and 35 s.
    fn wanted() -> Self {
        match full() {
            // Such handlers make a run of many minutes.
            true => Self {
                slowest: Duration::from_secs(8),
                waiting: 36,
                rounds: 3,
                patience: DEADLINE * 10,
                still: Duration::from_secs(240),
            },
            false => Self {
                slowest: Duration::from_millis(400),
                waiting: 200,
                rounds: 1,
                patience: DEADLINE,
                still: Duration::from_secs(90),
            },
        }
    }
}

/// Strikes until each blow has struck; returns how often each did, and how many records were applied.
async fn storm(mut group: Group, size: &Size, random: &mut fastrand::Rng) -> (BTreeMap<Blow, usize>, usize) {
    group.supply(size.waiting).await;
    let watch = group.watch(size.still);
    let mut members = Members::start(group, size.waiting, size.patience);
    let mut struck: BTreeMap<Blow, usize> = BTreeMap::new();
    for _ in 0..size.rounds {
        let mut blows = ALL;
        random.shuffle(&mut blows);
        for blow in blows {
            let name = ["ada", "bea", "cem"][random.usize(..3)];
            members.strike(blow, name).await;
            *struck.entry(blow).or_default() += 1;
        }
    }
    eventually("all is applied", size.patience, async || members.group.waiting().await == 0).await;
    eventually("all is committed", size.patience, async || watch.is_through().await).await;
    for (_, mut member) in std::mem::take(&mut members.members) {
        member.leave().await;
    }
    assert!(watch.is_through().await, "who left has taken an offset back");
    (struck, members.group.compare().await)
}

#[test]
fn a_storm_of_members_skips_no_message_and_stalls_no_partition() {
    let size = Size::wanted();
    let seed = std::env::var("MESSAGEKIT_SEED").map_or(5, |seed| seed.parse().expect("a seed is a number"));
    println!("MESSAGEKIT_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(async {
        let group = Group::new(size.slowest).await;
        let over = Shutdown::new();
        let mut watching = tokio::spawn(group.watch(size.still).look_until(over.clone()));
        let (struck, applied) = tokio::select! {
            // Whoever looks ends first only when they have seen a fault.
            seen = &mut watching => panic!("{}", seen.unwrap()),
            storm = storm(group, &size, &mut random) => storm,
        };
        over.request();
        let seen = watching.await.unwrap();
        println!("{applied} records applied once and in order, {struck:?}, {seen}");
        assert_eq!(struck.len(), ALL.len(), "{struck:?}");
    });
}
