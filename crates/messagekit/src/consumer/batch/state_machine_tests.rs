//! The state machine compared with a naive model that handles each message by itself, in order.

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU32;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::consumer::{Backoff, OnFailure};
use crate::store::FailureKind;
use crate::transport::BatchLimit;

const LIMIT: Duration = Duration::from_secs(600);
const BATCH: u32 = 10;

/// The effect of a message on its transaction.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Good,
    /// It was finished before.
    Duplicate,
    Fails,
    Permanent,
    /// It ends its transaction silently.
    Swallows,
    /// It holds a lock for too long: always, or once because the machine paused.
    Slow,
    StoodStill,
    /// Its dependency is unavailable, always or for a number of runs.
    Unavailable,
    Briefly(u32),
    /// It crashed five processes.
    Poison,
}

/// The effect of the store on a transaction.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Weather {
    Fine,
    Outage,
    Conflict,
    /// The commit succeeds and its answer is lost.
    Unknown,
    /// The time limit of the transaction is reached after its first message.
    Slow,
    /// A stop is requested.
    Stop,
}

#[derive(Clone, Copy, Debug)]
enum Mutant {
    LosesTheMessageBehind,
    ParksBeforeTheLimit,
    NeverParks,
    BurnsAnAttempt,
    RunsABatchBehindACrash,
    LeavesItsAttempt,
    ForgetsFailures,
}

const MUTANTS: [Mutant; 7] = [
    Mutant::LosesTheMessageBehind,
    Mutant::ParksBeforeTheLimit,
    Mutant::NeverParks,
    Mutant::BurnsAnAttempt,
    Mutant::RunsABatchBehindACrash,
    Mutant::LeavesItsAttempt,
    Mutant::ForgetsFailures,
];

#[derive(Clone, Debug)]
struct Case {
    policy: OnFailure,
    /// Key and kind.
    messages: Vec<(u8, Kind)>,
    weather: Vec<Weather>,
    /// A process crashed in a batch of the lane.
    has_crashed: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    let kind = prop_oneof![
        12 => Just(Kind::Good),
        2 => Just(Kind::Duplicate),
        1 => Just(Kind::Fails),
        1 => Just(Kind::Permanent),
        1 => Just(Kind::Swallows),
        1 => Just(Kind::Slow),
        1 => Just(Kind::StoodStill),
        1 => Just(Kind::Unavailable),
        1 => (1_u32..4).prop_map(Kind::Briefly),
        1 => Just(Kind::Poison),
    ];
    let weather = prop_oneof![
        6 => Just(Weather::Fine),
        1 => Just(Weather::Outage),
        1 => Just(Weather::Conflict),
        1 => Just(Weather::Unknown),
        1 => Just(Weather::Slow),
        1 => Just(Weather::Stop),
    ];
    let policy = prop_oneof![Just(OnFailure::ParkKey), Just(OnFailure::DeadLetter), Just(OnFailure::Block),];
    let messages = prop::collection::vec((0_u8..5, kind), 0..40);
    (policy, messages, prop::collection::vec(weather, 0..60), any::<bool>()).prop_map(
        |(policy, mut messages, weather, has_crashed)| {
            // A message that crashed a process is one of the first messages of the lane.
            let poison = messages.iter().take(BATCH as usize).position(|(_, kind)| *kind == Kind::Poison);
            for (index, (_, kind)) in messages.iter_mut().enumerate() {
                let fails = matches!(
                    kind,
                    Kind::Fails | Kind::Permanent | Kind::Swallows | Kind::Slow | Kind::Unavailable
                );
                let is_innocent = *kind == Kind::Poison && (!has_crashed || poison != Some(index));
                if policy == OnFailure::Block && fails || is_innocent {
                    *kind = Kind::Good;
                }
            }
            Case { policy, messages, weather, has_crashed }
        },
    )
}

#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Applied,
    PassedOver,
    Parked(FailureKind, u32),
    KeyBlocked,
}

/// Returns the outcomes when each message is handled by itself.
fn naive(case: &Case) -> Vec<Outcome> {
    let mut blocked = BTreeSet::new();
    let each = case.messages.iter().map(|(key, kind)| {
        let parked = |kind, attempts| Outcome::Parked(kind, attempts);
        let outcome = match kind {
            Kind::Duplicate => return Outcome::PassedOver,
            _ if blocked.contains(key) => return Outcome::KeyBlocked,
            Kind::Good | Kind::StoodStill | Kind::Briefly(_) => return Outcome::Applied,
            Kind::Fails => parked(FailureKind::Failed, 1),
            Kind::Permanent => parked(FailureKind::Permanent, 1),
            Kind::Swallows | Kind::Slow => parked(FailureKind::Transaction, 1),
            Kind::Unavailable => parked(FailureKind::Unavailable, 0),
            Kind::Poison => parked(FailureKind::PoisonMessage, 1),
        };
        if case.policy == OnFailure::ParkKey {
            blocked.insert(*key);
        }
        outcome
    });
    each.collect()
}

macro_rules! ensure {
    ($holds:expr, $($said:tt)*) => {
        if !$holds {
            return Err(format!($($said)*));
        }
    };
}

/// A lane, a store and handlers.
struct World<'a> {
    case: &'a Case,
    mutant: Option<Mutant>,
    now: Instant,
    weather: VecDeque<Weather>,
    outcomes: Vec<Option<Outcome>>,
    blocked: BTreeSet<u8>,
    runs: Vec<u32>,
    /// Since this time the first message reports an unavailable dependency.
    said: Option<(usize, Instant)>,
    /// The attempts of the lane's batch and of a message.
    batch_attempt: bool,
    message_attempt: Option<usize>,
    crash_is_known: bool,
}

impl<'a> World<'a> {
    fn new(case: &'a Case, mutant: Option<Mutant>) -> Self {
        let count = case.messages.len();
        Self {
            case,
            mutant,
            now: Instant::now(),
            weather: case.weather.iter().copied().collect(),
            outcomes: vec![None; count],
            blocked: BTreeSet::new(),
            runs: vec![0; count],
            said: None,
            batch_attempt: false,
            message_attempt: None,
            crash_is_known: case.has_crashed,
        }
    }

    fn is(&self, mutant: fn(Mutant) -> bool) -> bool {
        self.mutant.is_some_and(mutant)
    }

    fn rules(&self) -> Rules {
        let unavailable_limit = match self.mutant {
            Some(Mutant::ParksBeforeTheLimit) => LIMIT / 2,
            Some(Mutant::NeverParks) => LIMIT * 1_000,
            _ => LIMIT,
        };
        Rules {
            on_failure: self.case.policy,
            sets_aside: true,
            runs_again: true,
            attempts: 10,
            backoff: Backoff::fixed(Duration::from_secs(1)),
            deadline: Duration::from_secs(30),
            unavailable_limit,
            batch: BatchLimit {
                messages: NonZeroU32::new(BATCH).expect("10 > 0"),
                time: Duration::from_secs(10),
            },
            calls: None,
        }
    }

    /// Runs until the lane is empty.
    fn play(&mut self) -> Result<(), String> {
        let mut lane = LaneState::new("orders/0", BATCH);
        let mut queue: VecDeque<usize> = (0..self.case.messages.len()).collect();
        for _ in 0..20_000 {
            if queue.is_empty() {
                let outcomes: Vec<_> = self.outcomes.drain(..).flatten().collect();
                let expected = naive(self.case);
                ensure!(outcomes == expected, "{outcomes:?} instead of {expected:?}");
                return Ok(());
            }
            let batch: Vec<usize> = queue.iter().copied().take(lane.limit() as usize).collect();
            let mut report = self.run(lane, &batch)?;
            if self.is(|mutant| matches!(mutant, Mutant::LosesTheMessageBehind)) {
                report.finished = batch.len().min(report.finished + 1);
            }
            queue.drain(..report.finished);
            ensure!(report.finished > 0 || report.wait.is_some() || self.has_reason(&report), "in vain");
            self.now += report.wait.unwrap_or_default() + Duration::from_millis(1);
            lane = report.lane;
        }
        Err(format!("{} messages wait for ever", queue.len()))
    }

    /// A run that finished nothing and does not wait was stopped, or found a crash.
    fn has_reason(&self, report: &Report) -> bool {
        matches!(report.end, RunEnd::Continue | RunEnd::Pause(Pause::CrashFound))
    }

    fn run(&mut self, lane: LaneState, batch: &[usize]) -> Result<Report, String> {
        let mut machine = StateMachine::new(self.rules(), lane, vec![true; batch.len()], self.now);
        for _ in 0..1_000 {
            if self.weather.front() == Some(&Weather::Stop) {
                self.weather.pop_front();
                machine.stop();
            }
            self.now += Duration::from_millis(1);
            let result = match machine.next(self.now) {
                Step::Stop => {
                    ensure!(!self.batch_attempt && self.message_attempt.is_none(), "an attempt stays");
                    return Ok(machine.report());
                }
                Step::Begin(attempt) => self.begin(attempt, batch),
                Step::Withdraw(_) => {
                    if !self.is(|mutant| matches!(mutant, Mutant::LeavesItsAttempt)) {
                        (self.batch_attempt, self.message_attempt) = (false, None);
                    }
                    StepResult::Withdrawn(true)
                }
                Step::Clear => {
                    self.crash_is_known = false;
                    StepResult::Cleared
                }
                Step::RunTransaction(plan) => self.transaction(&machine, plan, batch)?,
            };
            machine.take_result(self.now, result);
        }
        Err("a batch run does not end".to_owned())
    }

    fn begin(&mut self, attempt: AttemptSubject, batch: &[usize]) -> StepResult {
        let others = match attempt {
            AttemptSubject::Batch => {
                self.batch_attempt = true;
                u32::from(self.crash_is_known)
            }
            AttemptSubject::Message(index) => {
                self.message_attempt = Some(batch[index]);
                if self.case.messages[batch[index]].1 == Kind::Poison { 5 } else { 0 }
            }
        };
        StepResult::Begun { others }
    }

    fn transaction(
        &mut self,
        machine: &StateMachine,
        mut plan: Plan,
        batch: &[usize],
    ) -> Result<StepResult, String> {
        if self.is(|mutant| matches!(mutant, Mutant::RunsABatchBehindACrash)) {
            plan.handlers = AllowedHandlers::All;
        }
        let weather = self.weather.pop_front().unwrap_or(Weather::Fine);
        let (mut written, mut blocked) = (Vec::new(), self.blocked.clone());
        let (mut done, mut is_aborted) = (ConsumerStats { batches: 1, ..ConsumerStats::default() }, false);
        let mut through = plan.range.end;
        for index in plan.range.clone() {
            let message = batch[index];
            let key = self.case.messages[message].0;
            let forgets = self.is(|mutant| matches!(mutant, Mutant::ForgetsFailures));
            if let Some(failure) = machine.failed().get(&index).filter(|_| !forgets || index % 2 == 0) {
                self.check_parked(message, failure)?;
                let burnt = u32::from(self.is(|mutant| matches!(mutant, Mutant::BurnsAnAttempt)));
                written.push((message, Outcome::Parked(failure.kind, failure.attempts + burnt)));
                done.set_aside += 1;
                if self.case.policy == OnFailure::ParkKey {
                    blocked.insert(key);
                    through = index + 1;
                    break;
                }
                continue;
            }
            if self.passes_over(message, &mut written, &mut done) {
                continue;
            }
            let time_is_up = weather == Weather::Slow && done.handled > 0;
            if time_is_up || !plan.handlers.may_run(index) {
                through = index;
                break;
            }
            self.check_run(machine, &plan, index, message)?;
            if let Some(fault) = self.handle(index, message, &mut is_aborted) {
                return Ok(StepResult::Failed { index, fault });
            }
            written.push((message, Outcome::Applied));
            done.handled += 1;
        }
        if is_aborted {
            let failure = Failure::retryable(FailureKind::Transaction, "over");
            return Ok(StepResult::Failed { index: plan.range.start, fault: Fault::Blame(failure) });
        }
        let range = plan.range.start..through;
        if weather != Weather::Outage && weather != Weather::Conflict {
            self.keep(written, blocked)?;
            if plan.clears.is_some_and(|cleared| range.contains(&cleared)) {
                self.message_attempt = None;
            }
            if !range.is_empty() {
                self.said = None;
            }
        }
        if matches!(weather, Weather::Outage | Weather::Unknown) {
            self.said = None;
        }
        Ok(result_in(weather, range, done))
    }

    /// Returns whether the claim of a message prevents its run.
    fn passes_over(
        &self,
        message: usize,
        written: &mut Vec<(usize, Outcome)>,
        done: &mut ConsumerStats,
    ) -> bool {
        let (key, kind) = self.case.messages[message];
        // A commit whose answer was lost may have finished it.
        let is_finished = self.outcomes[message].is_some();
        let is_duplicate = is_finished || kind == Kind::Duplicate;
        if is_duplicate {
            written.extend((!is_finished).then_some((message, Outcome::PassedOver)));
            done.duplicates += 1;
        } else if self.blocked.contains(&key) {
            written.push((message, Outcome::KeyBlocked));
            done.parked += 1;
        }
        is_duplicate || self.blocked.contains(&key)
    }

    fn keep(&mut self, written: Vec<(usize, Outcome)>, blocked: BTreeSet<u8>) -> Result<(), String> {
        for (message, outcome) in written {
            ensure!(self.outcomes[message].replace(outcome).is_none(), "{message} is finished twice");
        }
        self.blocked = blocked;
        Ok(())
    }

    /// After a crash, only the handler with an attempt runs. No handler runs before the attempt of its batch.
    fn check_run(
        &self,
        machine: &StateMachine,
        plan: &Plan,
        index: usize,
        message: usize,
    ) -> Result<(), String> {
        ensure!(self.case.messages[message].1 != Kind::Poison || !self.case.has_crashed, "poison runs");
        ensure!(index > 0 || machine.first_attempt() == 1, "an outage costs an attempt");
        match machine.lane.guard.mode() {
            Mode::Batch => ensure!(self.batch_attempt, "{message} runs without the attempt of its batch"),
            Mode::OneByOne => {
                ensure!(self.message_attempt == Some(message), "{message} runs without an attempt");
                ensure!(plan.handlers == AllowedHandlers::Only(index), "others run beside {message}");
            }
            Mode::Off => {}
        }
        Ok(())
    }

    fn check_parked(&self, message: usize, failure: &Failure) -> Result<(), String> {
        if failure.kind == FailureKind::Unavailable {
            let waited = self.said.filter(|(said, _)| *said == message);
            let waited = waited.map_or(Duration::ZERO, |(_, since)| self.now - since);
            ensure!(waited >= LIMIT, "{message} is parked after {waited:?}");
        }
        Ok(())
    }

    fn handle(&mut self, index: usize, message: usize, is_aborted: &mut bool) -> Option<Fault> {
        self.runs[message] += 1;
        let failed = |kind| Failure::retryable(kind, "no");
        match self.case.messages[message].1 {
            Kind::Good | Kind::Duplicate | Kind::Poison => None,
            Kind::Swallows => {
                *is_aborted = true;
                None
            }
            _ if *is_aborted => Some(Fault::Blame(failed(FailureKind::Transaction))),
            Kind::Fails => Some(Fault::Message(failed(FailureKind::Failed))),
            Kind::Permanent => Some(Fault::Message(Failure::permanent(FailureKind::Permanent, "no"))),
            Kind::StoodStill if self.runs[message] > 1 => None,
            Kind::Slow | Kind::StoodStill => {
                Some(Fault::TransactionTimeout(failed(FailureKind::Transaction)))
            }
            Kind::Briefly(runs) if self.runs[message] > runs => None,
            Kind::Unavailable | Kind::Briefly(_) => {
                if index == 0 && self.said.is_none_or(|(said, _)| said != message) {
                    self.said = Some((message, self.now));
                }
                Some(Fault::Unavailable("down".to_owned()))
            }
        }
    }
}

fn result_in(weather: Weather, range: Range<usize>, done: ConsumerStats) -> StepResult {
    let (index, away) = (range.start, "away".to_owned());
    match weather {
        Weather::Outage | Weather::Unknown => StepResult::Failed { index, fault: Fault::Outage(away) },
        Weather::Conflict => StepResult::Failed { index, fault: Fault::Conflict(away) },
        _ => StepResult::Committed { through: range.end, done, took: Duration::from_millis(1) },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// The same messages are applied and parked, each once and in order, whatever the store does meanwhile. No message is lost
    /// between the finished ones and the rest, and no outage costs an attempt.
    #[test]
    fn a_lane_ends_as_handling_each_message_by_itself_would(case in cases()) {
        let played = World::new(&case, None).play();
        prop_assert!(played.is_ok(), "{}", played.unwrap_err());
    }
}

#[test]
fn every_mutant_is_caught() {
    let mut runner = TestRunner::deterministic();
    let cases: Vec<Case> =
        (0..500).map(|_| cases().new_tree(&mut runner).expect("a case can be made").current()).collect();
    for mutant in MUTANTS {
        let is_caught = cases.iter().any(|case| World::new(case, Some(mutant)).play().is_err());
        assert!(is_caught, "{mutant:?} passes for the real one");
    }
    assert!(cases.iter().all(|case| World::new(case, None).play().is_ok()));
}
