//! Three members under storm: no offset past unfinished work, no partition that stands still, each record applied once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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

const ALL: [Blow; 4] = [Blow::Kill, Blow::Leave, Blow::Freeze, Blow::Join];

fn full() -> bool {
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
        self.members.insert(name, self.group.member(name, matches!(name, "ada" | "bea")));
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

#[test]
fn a_storm_of_members_passes_over_no_unfinished_work_and_stalls_no_partition() {
    // Handlers of up to eight seconds, as the stated size wants, make a run of many minutes: after each blow a process handles the
    // first messages of its new partitions one at a time.
    let (slowest, waiting, rounds, patience) = match full() {
        true => (Duration::from_secs(8), 36, 3, DEADLINE * 10),
        false => (Duration::from_millis(400), 200, 1, DEADLINE),
    };
    let seed = std::env::var("MESSAGEKIT_SEED").map_or(5, |seed| seed.parse().expect("a seed is a number"));
    println!("MESSAGEKIT_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(async {
        let mut group = Group::new(slowest).await;
        group.supply(waiting).await;
        let (mut watch, over) = (group.watch(patience), Arc::new(AtomicBool::new(false)));
        let is_over = over.clone();
        let watching = tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                watch.look().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            watch.looks
        });
        let mut members = Members::start(group, waiting, patience);
        let mut struck: BTreeMap<Blow, usize> = BTreeMap::new();
        for _ in 0..rounds {
            let mut blows = ALL;
            random.shuffle(&mut blows);
            for blow in blows {
                let name = ["ada", "bea", "cem"][random.usize(..3)];
                members.strike(blow, name).await;
                *struck.entry(blow).or_default() += 1;
                assert!(!watching.is_finished(), "somebody who looks from outside has seen a fault");
            }
        }
        eventually("all is applied", patience, async || members.group.waiting().await == 0).await;
        for (_, mut member) in std::mem::take(&mut members.members) {
            member.leave().await;
        }
        over.store(true, Ordering::Relaxed);
        let looks = watching.await.unwrap();
        let applied = members.group.compare().await;
        println!("{applied} records applied once and in order, {struck:?}, {looks} looks from outside");
        assert!(looks > 0 && struck.len() == ALL.len(), "{looks} looks, {struck:?}");
    });
}
