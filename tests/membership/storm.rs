//! Three members under a storm: no offset beyond unfinished work, no partition that stalls, each record applied once.

use std::collections::BTreeMap;
use std::time::Duration;

use messagekit::Shutdown;
use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::Program;
use rustix::process::Signal;

use crate::block_on;
use crate::group::{Group, SESSION};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    /// SIGKILL, and a restart under the same name.
    Kill,
    /// SIGTERM, and a restart.
    Leave,
    /// SIGSTOP beyond the session, and SIGCONT as a zombie.
    Freeze,
    /// A fourth member joins, works, and leaves.
    Join,
}

const ALL: [Blow; 4] = [Blow::Kill, Blow::Leave, Blow::Freeze, Blow::Join];

/// The members by name. The last one has no instance id at the broker.
struct Members {
    // They show their logs before the group removes them: fields are dropped in this order.
    members: BTreeMap<&'static str, Program>,
    group: Group,
    waiting: usize,
    patience: Duration,
}

impl Members {
    fn start(group: Group, waiting: usize, patience: Duration) -> Self {
        let mut members = Self { members: BTreeMap::new(), group, waiting, patience };
        ["ada", "bea", "cem"].into_iter().for_each(|name| members.begin(name));
        members
    }

    fn begin(&mut self, name: &'static str) {
        self.members.insert(name, self.group.member(name, matches!(name, "ada" | "bea"), Some(SESSION)));
    }

    async fn until_at_work(&mut self, name: &'static str) {
        let member = self.members.get_mut(name).unwrap();
        self.group.until_at_work(member, name, self.waiting, self.patience).await;
    }

    /// Disturbs a working member, and returns when the group has recovered.
    async fn strike(&mut self, blow: Blow, name: &'static str) {
        println!("{blow:?} {name}");
        self.until_at_work(name).await;
        assert!(self.group.waiting().await > 0, "void: nothing was unfinished");
        match blow {
            Blow::Kill => {
                self.members.get_mut(name).unwrap().kill();
                self.begin(name);
            }
            Blow::Leave => {
                self.members.get_mut(name).unwrap().stop().await;
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
                self.members.remove("dov").unwrap().stop().await;
            }
        }
        self.until_at_work(name).await;
    }

    /// Waits until every record that waits now is applied. A partition of a frozen member waits until another member has it.
    async fn until_others_have_everything(&mut self) {
        eventually("others have its partitions", self.patience, async || self.group.waiting().await == 0)
            .await;
        self.group.supply(self.waiting).await;
    }
}

/// The size of a storm.
struct Size {
    slowest: Duration,
    /// The smallest number of waiting records.
    waiting: usize,
    rounds: usize,
    /// The time that the group has for all its work. A passing run does not use it up.
    patience: Duration,
    /// The longest time that a partition with work may stall. It is the sum of:
    ///
    /// - a session (8 s) until the broker misses a crashed or frozen member;
    /// - the slowest handler in flight, for which the others wait before they hand over;
    /// - the deadline and a second (21 s) until the database ends the transaction of a frozen member;
    /// - after a crash in a first batch, the first messages of twelve partitions, which one process handles one at a time (twelve
    ///   times the slowest handler).
    still: Duration,
}

impl Size {
    /// The sums are 133 s and 35 s.
    fn wanted() -> Self {
        match messagekit_tests::is_full() {
            // Such handlers make a run take many minutes.
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

/// Disturbs the group until each disturbance has happened. Returns the count of each, and the number of applied records.
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
        member.stop().await;
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
    block_on(async {
        let group = Group::new(size.slowest).await;
        let over = Shutdown::new();
        let mut watching = tokio::spawn(group.watch(size.still).look_until(over.clone()));
        let (struck, applied) = tokio::select! {
            // The observer ends first only when it has found a fault.
            seen = &mut watching => panic!("{}", seen.unwrap()),
            storm = storm(group, &size, &mut random) => storm,
        };
        over.request();
        let seen = watching.await.unwrap();
        println!("{applied} records applied once and in order, {struck:?}, {seen}");
        assert_eq!(struck.len(), ALL.len(), "{struck:?}");
    });
}
