//! The whole consumer under random faults. Each message is either applied once or dead once. The order of a key is kept
//! if the policy keeps it.

use std::time::Duration;

use messagekit::{ErrorKind, OnFailure};
use messagekit_memory::Failpoint;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::fixture::{Action, seconds};
use crate::flaky::Call;
use crate::play::{Case, Fate, KEYS, Play, Step};

fn fates() -> impl Strategy<Value = Fate> {
    let troubles = prop_oneof![
        Just(Action::Fail),
        Just(Action::Swallow),
        Just(Action::Panic),
        Just(Action::Unavailable),
        Just(Action::Conflict),
        Just(Action::Permanent),
        Just(Action::TransactionTimeout),
        Just(Action::Take(seconds(2))),
    ];
    let good = Just(Fate { acts: vec![], then: Action::Apply });
    let slow = (1_u64..8).prop_map(|ms| Fate { acts: vec![], then: Action::Take(Duration::from_millis(ms)) });
    let troubled = vec(troubles, 1..5).prop_map(|acts| Fate { acts, then: Action::Apply });
    let lost = prop_oneof![Just(Action::Permanent), Just(Action::Fail), Just(Action::Swallow)];
    let lost = lost.prop_map(|then| Fate { acts: vec![], then });
    prop_oneof![6 => good, 3 => slow, 3 => troubled, 1 => lost]
}

fn steps() -> impl Strategy<Value = Step> {
    use Failpoint::*;
    let points = prop::sample::select(vec![
        Begin, Claim, Advance, SetAside, Park, ParkBehind, Resolve, Lease, BeginRun, Fail, HandBack, Commit,
    ]);
    let kinds = prop::sample::select(vec![ErrorKind::Unavailable, ErrorKind::Conflict]);
    let unknown = prop::sample::select(vec![CommitUnknownKept, CommitUnknownLost]);
    let calls =
        vec![Call::Begin, Call::Claim, Call::SetAside, Call::Commit, Call::Lease, Call::Fail, Call::HandBack];
    use messagekit::operations::Action::{Discard, Retry, Undo};
    let acts = prop::sample::select(vec![Retry, Retry, Discard, Undo]);
    prop_oneof![
        24 => (0..KEYS.len(), fates()).prop_map(|(key, fate)| Step::Push(key, fate)),
        4 => any::<Index>().prop_map(Step::PushCopy),
        14 => prop_oneof![4 => 0_u64..20, 1 => 100_u64..3_000].prop_map(Step::Pass),
        2 => Just(Step::LoseLanes),
        1 => Just(Step::Redeliver),
        3 => (points, kinds).prop_map(|(point, kind)| Step::FailNext(point, kind)),
        2 => unknown.prop_map(|point| Step::FailNext(point, ErrorKind::OutcomeUnknown)),
        1 => prop::sample::select(calls).prop_map(Step::Down),
        2 => Just(Step::Up),
        1 => Just(Step::CloseGate),
        2 => Just(Step::OpenGate),
        3 => Just(Step::Join),
        1 => any::<Index>().prop_map(Step::Stop),
        2 => any::<Index>().prop_map(Step::Kill),
        4 => (acts, any::<Index>()).prop_map(|(act, index)| Step::ActByPerson(act, index)),
    ]
}

fn cases() -> impl Strategy<Value = Case> {
    use OnFailure::{Block, DeadLetter, ParkKey};
    let policy = prop::sample::select(vec![DeadLetter, Block, ParkKey, ParkKey]);
    (policy, 1_usize..4, 1_u32..4, 1_u32..8, 1_u32..10, 1_u32..10, vec(steps(), 1..70)).prop_map(
        |(policy, partitions, key_lanes, room, batch, grant, steps)| Case {
            policy,
            partitions,
            key_lanes,
            room,
            batch,
            grant,
            steps,
        },
    )
}

fn config() -> ProptestConfig {
    let full = std::env::var_os("MESSAGEKIT_FULL").is_some_and(|full| full == "1");
    ProptestConfig {
        cases: if full { 20_000 } else { 400 },
        max_shrink_iters: 500,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn each_message_is_applied_once_or_dead_once(case in cases()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let mut play = Play::new(case.clone());
            for step in case.steps {
                play.step(step).await;
            }
            play.heal().await;
            play.check().await;
        });
    }
}
