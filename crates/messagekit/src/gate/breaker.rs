//! The state of a circuit breaker. Pure: the caller passes the time, and there is no lock.

use std::time::Duration;

use tokio::time::Instant;

/// The result of a run, for the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The dependency worked.
    Success,
    /// The dependency failed.
    Failure,
    /// The result does not concern the dependency: an invalid message, or no handler has started.
    Neutral,
}

/// The current state of a [`CircuitBreaker`](super::CircuitBreaker).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Everything is admitted.
    Closed,
    /// Nothing is admitted until the open time has passed.
    Open,
    /// One trial message is admitted; its outcome decides the next state.
    HalfOpen,
}

/// Counts consecutive failures, opens, and admits one trial message after the open time.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    failures: u32,
    open_for: Duration,
    state: State,
    /// Increases with each change of state. The result of a permit of an older generation is ignored.
    generation: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failed: u32 },
    Open { until: Instant },
    HalfOpen { trying: bool },
}

/// The result of a request for admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// All ready messages, under this generation.
    All(u64),
    /// One message, under this generation.
    One(u64),
    /// None before this time.
    Until(Instant),
    /// None before the outcome of the trial message.
    AfterTrial,
}

impl Breaker {
    pub(super) fn new(failures: u32, open_for: Duration) -> Self {
        Self { failures: failures.max(1), open_for, state: State::Closed { failed: 0 }, generation: 0 }
    }

    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        match &mut self.state {
            State::Closed { .. } => Admission::All(self.generation),
            State::Open { until } if now < *until => Admission::Until(*until),
            State::Open { .. } => {
                self.change(State::HalfOpen { trying: true });
                Admission::One(self.generation)
            }
            State::HalfOpen { trying: true } => Admission::AfterTrial,
            State::HalfOpen { trying } => {
                *trying = true;
                Admission::One(self.generation)
            }
        }
    }

    pub(super) fn record(&mut self, generation: u64, verdict: Verdict, now: Instant) {
        if generation != self.generation {
            return;
        }
        match (&mut self.state, verdict) {
            (State::Closed { failed }, Verdict::Success) => *failed = 0,
            (State::Closed { failed }, Verdict::Failure) => {
                *failed += 1;
                if *failed >= self.failures {
                    self.open(now);
                }
            }
            (State::HalfOpen { .. }, Verdict::Success) => self.change(State::Closed { failed: 0 }),
            (State::HalfOpen { .. }, Verdict::Failure) => self.open(now),
            (State::HalfOpen { trying }, Verdict::Neutral) => *trying = false,
            (State::Closed { .. }, Verdict::Neutral) | (State::Open { .. }, _) => {}
        }
    }

    /// Returns whether a permit was granted by the state that the breaker is in.
    pub(super) fn is_current(&self, generation: u64) -> bool {
        self.generation == generation
    }

    /// Takes back a permit whose messages did not run.
    pub(super) fn abandon(&mut self, generation: u64) {
        if generation == self.generation
            && let State::HalfOpen { trying } = &mut self.state
        {
            *trying = false;
        }
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until } if now < until => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Returns until when nothing is admitted.
    pub(super) fn open_until(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Open { until } if now < until => Some(until),
            _ => None,
        }
    }

    /// Returns since when nothing is admitted.
    pub(super) fn opened_at(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Open { until } if now < until => until.checked_sub(self.open_for),
            _ => None,
        }
    }

    fn open(&mut self, now: Instant) {
        self.change(State::Open { until: now + self.open_for });
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(10);

    /// A naive model: a list of phases with the results that were reported in each.
    struct Model {
        failures: usize,
        phases: Vec<Phase>,
    }

    enum Phase {
        Closed(Vec<Verdict>),
        Open(Instant),
        Half { out: bool },
    }

    impl Model {
        fn admit(&mut self, now: Instant) -> Option<(usize, bool)> {
            if let Some(Phase::Open(since)) = self.phases.last()
                && now.duration_since(*since) >= OPEN_FOR
            {
                self.phases.push(Phase::Half { out: false });
            }
            let phase = self.phases.len() - 1;
            match self.phases.last_mut() {
                Some(Phase::Closed(_)) => Some((phase, false)),
                Some(Phase::Half { out }) if !*out => {
                    *out = true;
                    Some((phase, true))
                }
                _ => None,
            }
        }

        fn record(&mut self, phase: usize, verdict: Option<Verdict>, now: Instant) {
            if phase + 1 != self.phases.len() {
                return;
            }
            let failures = self.failures;
            let next = match (self.phases.last_mut(), verdict) {
                (Some(Phase::Closed(reported)), Some(verdict)) => {
                    reported.push(verdict);
                    let counted = reported.iter().rev().filter(|verdict| **verdict != Verdict::Neutral);
                    let in_a_row = counted.take_while(|verdict| **verdict == Verdict::Failure).count();
                    (in_a_row >= failures).then_some(Phase::Open(now))
                }
                (Some(Phase::Half { .. }), Some(Verdict::Success)) => Some(Phase::Closed(Vec::new())),
                (Some(Phase::Half { .. }), Some(Verdict::Failure)) => Some(Phase::Open(now)),
                (Some(Phase::Half { out }), _) => {
                    *out = false;
                    None
                }
                _ => None,
            };
            self.phases.extend(next);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Admit,
        Report(prop::sample::Index, Option<Verdict>),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let verdict = prop_oneof![
            2 => Just(Some(Verdict::Success)),
            5 => Just(Some(Verdict::Failure)),
            1 => Just(Some(Verdict::Neutral)),
            1 => Just(None),
        ];
        prop_oneof![
            4 => Just(Step::Admit),
            4 => (any::<prop::sample::Index>(), verdict).prop_map(|(index, verdict)| Step::Report(index, verdict)),
            2 => (1_u64..12).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn it_admits_what_a_naive_model_admits(failures in 1_u32..4, steps in prop::collection::vec(step(), 1..80)) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(failures, OPEN_FOR);
            let mut model = Model { failures: failures as usize, phases: vec![Phase::Closed(Vec::new())] };
            let mut permits = Vec::new();
            for step in steps {
                match step {
                    Step::Wait(seconds) => now += Duration::from_secs(seconds),
                    Step::Admit => {
                        let expected = model.admit(now);
                        let found = match breaker.admit(now) {
                            Admission::All(generation) => Some((generation, false)),
                            Admission::One(generation) => Some((generation, true)),
                            Admission::Until(until) => {
                                prop_assert!(now < until && until <= now + OPEN_FOR);
                                None
                            }
                            Admission::AfterTrial => None,
                        };
                        prop_assert_eq!(found.map(|(_, one)| one), expected.map(|(_, one)| one));
                        if let (Some((generation, _)), Some((phase, _))) = (found, expected) {
                            permits.push((generation, phase));
                        }
                    }
                    Step::Report(index, verdict) if !permits.is_empty() => {
                        let (generation, phase) = permits.swap_remove(index.index(permits.len()));
                        match verdict {
                            Some(verdict) => breaker.record(generation, verdict, now),
                            None => breaker.abandon(generation),
                        }
                        model.record(phase, verdict, now);
                    }
                    Step::Report(..) => {}
                }
                let expected = match model.phases.last() {
                    Some(Phase::Closed(_)) => BreakerState::Closed,
                    Some(Phase::Open(since)) if now.duration_since(*since) < OPEN_FOR => BreakerState::Open,
                    _ => BreakerState::HalfOpen,
                };
                prop_assert_eq!(breaker.state(now), expected);
            }
        }
    }

    #[tokio::test]
    async fn a_call_from_before_it_opened_neither_closes_nor_reopens_it() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(1, OPEN_FOR);
        let Admission::All(early) = breaker.admit(now) else { panic!("closed") };
        breaker.record(early, Verdict::Failure, now);
        breaker.record(early, Verdict::Success, now);
        assert_eq!(breaker.state(now), BreakerState::Open);
        now += OPEN_FOR;
        assert!(matches!(breaker.admit(now), Admission::One(_)));
        breaker.record(early, Verdict::Success, now);
        assert_eq!((breaker.state(now), breaker.admit(now)), (BreakerState::HalfOpen, Admission::AfterTrial));
    }
}
