//! One schedule: chooses the role of each step.

use messagekit_tests::schedules::Reprocess;

use super::claimer::Claimer;
use super::mutants::Mutant;
use super::owner::{Owner, Step};
use super::seen::Seen;
use super::world::World;
use super::{operator, verdict};

/// The roles, and how often each is chosen.
struct Cast {
    owners: Vec<Owner>,
    claimers: Vec<Claimer>,
}

/// Runs one schedule until it rests, and once more after every handler is repaired; returns the broken promise.
pub(super) async fn run(seed: u64, mutant: Option<&Mutant>) -> Result<Seen, String> {
    let mut world = World::new(seed, mutant).await;
    let mut cast = Cast::of(&mut world);
    cast.play(&mut world).await.map_err(|error| messagekit::chain(&error))?;
    for repaired in [false, true] {
        world.repaired = repaired;
        come_to_rest(&mut world).await?;
        if let Some(broken) = verdict::broken(&world) {
            return Err(broken);
        }
    }
    verdict::unfinished(&world).map_or(Ok(world.seen), Err)
}

impl Cast {
    fn of(world: &mut World) -> Self {
        let owners = (0..world.log.len()).map(|partition| Owner::new(world, partition)).collect();
        let claimers = (0..world.processes.len()).map(Claimer::new).collect();
        Self { owners, claimers }
    }

    async fn play(&mut self, world: &mut World) -> Result<(), messagekit::Error> {
        let (work, retry) = (world.random.u8(10..60), world.random.u8(5..40));
        let (people, chaos) = (world.random.u8(1..10), world.random.u8(1..10));
        for _ in 0..world.random.usize(60..260) {
            match world.random.u8(0..work + retry + people + chaos) {
                step if step < work => self.work(world).await?,
                step if step < work + retry => {
                    let index = world.random.usize(0..self.claimers.len());
                    self.claimers[index].step(world).await?;
                }
                step if step < work + retry + people => operator::step(world).await?,
                _ => self.chaos(world).await,
            }
        }
        Ok(())
    }

    async fn work(&mut self, world: &mut World) -> Result<(), messagekit::Error> {
        let index = world.random.usize(0..self.owners.len());
        let owner = &mut self.owners[index];
        let step = owner.step(world).await?;
        if let Some(left) = &mut owner.late_for {
            world.seen.late += 1;
            *left = left.saturating_sub(1);
            if *left == 0 || step == Step::Died {
                self.owners.swap_remove(index);
            }
        } else if step == Step::Died {
            let partition = owner.partition;
            self.owners[index] = Owner::new(world, partition);
        }
        Ok(())
    }

    async fn chaos(&mut self, world: &mut World) {
        let partition = world.random.usize(0..world.log.len());
        match world.random.u8(0..10) {
            0..3 => world.let_time_pass(),
            3..7 => {
                if world.chance(30) {
                    world.settled[partition] = world.random.usize(0..=world.settled[partition]);
                }
                self.replace_owner(world, partition);
            }
            7..9 => {
                let until = world.committed(partition);
                let from = world.random.usize(0..=until);
                let generation = world.ranges.len() as i32 + 1;
                if until > from && generation <= 3 {
                    world.ranges.push(Reprocess { partition, from, until, generation });
                    world.seen.ranges += 1;
                    world.settled[partition] = world.settled[partition].min(from);
                    self.replace_owner(world, partition);
                }
            }
            _ => {
                let process = world.random.usize(0..world.processes.len());
                world.replace_process(process).await;
                self.claimers[process].forget();
                for index in 0..self.owners.len() {
                    if self.owners[index].process == process && self.owners[index].late_for.is_none() {
                        let partition = self.owners[index].partition;
                        self.owners[index] = Owner::new(world, partition);
                    }
                }
                self.owners.retain(|owner| owner.process != process || owner.late_for.is_none());
            }
        }
    }

    /// The old owner does not know of its replacement yet.
    fn replace_owner(&mut self, world: &mut World, partition: usize) {
        let late_for = world.random.u8(0..6);
        for owner in self.owners.iter_mut().filter(|owner| owner.partition == partition) {
            owner.late_for.get_or_insert(late_for);
        }
        self.owners.retain(|owner| owner.late_for != Some(0));
        let owner = Owner::new(world, partition);
        self.owners.push(owner);
    }
}

/// Works until no role makes progress.
async fn come_to_rest(world: &mut World) -> Result<(), String> {
    // Each round finishes at least one failed message or moves one owner, and there are few of both.
    for _ in 0..2_000 {
        let moved = round(world).await.map_err(|error| messagekit::chain(&error))?;
        if !moved {
            return Ok(());
        }
    }
    Err("it does not come to rest".to_owned())
}

async fn round(world: &mut World) -> Result<bool, messagekit::Error> {
    world.let_time_pass();
    let mut moved = world.repaired && operator::retry_all(world).await?;
    for partition in 0..world.log.len() {
        let mut owner = Owner::new(world, partition);
        let begin = owner.next;
        while owner.step(world).await? == Step::Worked {}
        moved |= owner.next > begin;
    }
    let mut claimer = Claimer::new(0);
    while claimer.step(world).await? {
        moved = true;
    }
    Ok(moved)
}
