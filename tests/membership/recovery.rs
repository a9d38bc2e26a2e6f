//! Stalls of partitions after kills and freezes, with the default settings.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::Program;
use rustix::process::Signal;

use crate::block_on;
use crate::group::{Group, PARTITIONS};
use crate::progress::DatabaseTime;
use crate::steady_supply::SteadySupply;

/// The promise is 10 s for the partitions of a killed member. The limit is twice that, for a machine with busy cores.
const READ_AGAIN: Duration = Duration::from_secs(20);
/// The promise is 1 s. With 20 busy processes for each core it was 3.4 s.
const SURVIVORS: Duration = Duration::from_secs(10);
/// The promise is 3 s after the restart.
const STATIC_READ_AGAIN: Duration = Duration::from_secs(10);
/// The promise is 15 s.
const AFTER_A_STORM: Duration = Duration::from_secs(30);

/// Members with default settings, and records for each partition.
struct Members {
    // They show their logs before the group removes them: fields are dropped in this order.
    members: BTreeMap<&'static str, Program>,
    group: Group,
    are_static: bool,
    supply: SteadySupply,
    /// The time from their start until all partitions were read: the measure of this machine at this hour.
    began_within: Duration,
}

impl Members {
    async fn start(names: &[&'static str], are_static: bool) -> Self {
        let group = Group::new(Duration::from_millis(2)).await;
        let supply = group.steady_supply();
        let (members, began_within) = (BTreeMap::new(), Duration::ZERO);
        let mut members = Self { members, group, are_static, supply, began_within };
        let since = Instant::now();
        names.iter().for_each(|name| members.begin(name));
        members.until_divided().await;
        members.began_within = since.elapsed();
        members
    }

    /// Returns a limit that a machine which is busy with other things keeps too: a return is no slower than a few starts.
    fn limit(&self, on_a_free_machine: Duration) -> Duration {
        on_a_free_machine.max(3 * self.began_within)
    }

    fn begin(&mut self, name: &'static str) {
        self.members.insert(name, self.group.member(name, self.are_static, None));
    }

    fn kill(&mut self, name: &str) {
        self.members.get_mut(name).unwrap().kill();
    }

    /// Waits until each member has its share of the partitions, and each partition has progressed.
    async fn until_divided(&self) {
        let share = PARTITIONS as usize / self.members.len();
        eventually("the partitions are divided", DEADLINE, async || {
            let owners = DatabaseTime::owners(self.group.pool()).await;
            let of = |name: &str| owners.values().filter(|owner| *owner == name).count();
            self.members.keys().all(|name| of(name) == share)
        })
        .await;
        self.until_all_go_on(DatabaseTime::now(self.group.pool()).await).await;
    }

    async fn until_all_go_on(&self, since: DatabaseTime) {
        let pool = self.group.pool();
        eventually("all partitions are read", DEADLINE, async || since.all_have_gone_on(pool).await).await;
    }

    /// Stops everything, and requires that each record was applied once, those of a partition in their order.
    async fn compare(self) {
        let Self { mut group, mut members, supply, .. } = self;
        group.end(supply);
        eventually("all is applied", DEADLINE, async || group.waiting().await == 0).await;
        for member in members.values_mut() {
            member.stop().await;
        }
        group.compare().await;
    }

    /// Kills a member and restarts it, at once or when others have its partitions. Returns the longest stall of the
    /// partitions of the killed member and of the others.
    async fn kill_and_measure(&mut self, name: &'static str, at_once: bool) -> (Duration, Duration) {
        self.until_divided().await;
        let (pool, since) = (self.group.pool().clone(), DatabaseTime::now(self.group.pool()).await);
        let owners = DatabaseTime::owners(&pool).await;
        self.kill(name);
        if !at_once {
            self.until_all_go_on(since).await;
        }
        self.begin(name);
        self.until_divided().await;
        let longest = |is_killed: bool, stands: &BTreeMap<i32, Duration>| {
            let of = |partition: &i32| (owners[partition] == name) == is_killed;
            stands.iter().filter(|(partition, _)| of(partition)).map(|(_, stand)| *stand).max().unwrap()
        };
        let stands = since.longest_stands(&pool).await;
        let found = (longest(true, &stands), longest(false, &stands));
        println!(
            "{name} killed, started {}: its partitions stood {:?}, the others' {:?}",
            if at_once { "at once" } else { "later" },
            found.0,
            found.1
        );
        found
    }
}

#[test]
fn killed_members_partitions_resume_in_seconds_and_others_go_on() {
    block_on(async {
        let mut members = Members::start(&["ada", "bea"], false).await;
        for round in 0..if messagekit_tests::is_full() { 6 } else { 2 } {
            let name = ["ada", "bea"][round / 2 % 2];
            let (killed, others) = members.kill_and_measure(name, round % 2 == 0).await;
            assert!(
                killed < members.limit(READ_AGAIN),
                "partitions of the killed member stood still for {killed:?}"
            );
            assert!(others < members.limit(SURVIVORS), "partitions of the others stood still for {others:?}");
        }
        members.compare().await;
    });
}

#[test]
fn a_killed_member_with_an_instance_id_resumes_at_its_return() {
    block_on(async {
        let mut members = Members::start(&["ada", "bea"], true).await;
        for name in ["ada", "bea"] {
            let (killed, others) = members.kill_and_measure(name, true).await;
            assert!(
                killed < members.limit(STATIC_READ_AGAIN),
                "partitions of the killed member stood still for {killed:?}"
            );
            assert!(others < members.limit(SURVIVORS), "partitions of the others stood still for {others:?}");
        }
        members.compare().await;
    });
}

#[test]
fn all_partitions_resume_soon_after_many_kills_and_freezes() {
    let seed = std::env::var("MESSAGEKIT_SEED").map_or(17, |seed| seed.parse().expect("a seed is a number"));
    println!("MESSAGEKIT_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let names = ["ada", "bea", "cem"];
    block_on(async {
        let mut members = Members::start(&names, false).await;
        // 20 disturbances, 6 s apart, take two minutes.
        for blow in 0..if messagekit_tests::is_full() { 20 } else { 4 } {
            let (name, pause) =
                (names[random.usize(..names.len())], Duration::from_millis(random.u64(..4_000)));
            tokio::time::sleep(pause).await;
            // The last one is a kill: a session must expire after it.
            if blow % 2 == 1 {
                println!("{name} is killed");
                members.kill(name);
                members.begin(name);
            } else {
                let frozen = Duration::from_millis(random.u64(1_000..14_000));
                println!("{name} is frozen for {frozen:?}");
                members.members[name].send(Signal::STOP);
                tokio::time::sleep(frozen).await;
                members.members[name].send(Signal::CONT);
            }
        }
        let last = Instant::now();
        members.until_divided().await;
        let took = last.elapsed();
        println!("all partitions were divided and read {took:?} after the last blow");
        assert!(took < members.limit(AFTER_A_STORM), "it took {took:?}");
        members.compare().await;
    });
}
