//! Every fault, and the case that must notice it.

/// A suite of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// [`transport`](crate::transport).
    Transport,
    /// [`store`](crate::store).
    Store,
    /// [`relay`](crate::relay).
    Relay,
}

/// One line of [`TABLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What the adapter does wrong.
    pub fault: Fault,
    /// Where the case stands.
    pub suite: Suite,
    /// The name of the case that must fail.
    pub case: &'static str,
}

macro_rules! faults {
    ($($(#[$doc:meta])+ $fault:ident: $suite:ident $case:ident,)+) => {
        /// What a faulty adapter does wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$doc])+ $fault,)+
        }

        /// Which case must notice which fault.
        pub const TABLE: &[Row] =
            &[$(Row { fault: Fault::$fault, suite: Suite::$suite, case: stringify!($case) },)+];
    };
}

faults! {
    /// Publishing drops each hundredth message and says `Ok`.
    LosesOneInAHundred: Transport delivers_every_message,
    /// Two neighbours of a partition change places.
    ReordersAPartition: Transport keeps_order_per_key,
    /// A new consumer skips what is there already.
    StartsAtTheEnd: Transport new_consumer_starts_at_the_earliest,
    /// All consumers share one position.
    SharesOneCursor: Transport two_consumers_each_get_all,
    /// Whoever waits is not woken.
    NeverWakes: Transport waits_for_what_is_published_later,
    /// Only the first topic of a source is read.
    ReadsOneTopic: Transport reads_every_topic_of_its_source,
    /// All records of a partition stand at offset 0.
    RepeatsPlaces: Transport position_identifies_one_record,
    /// Messages arrive without their key.
    DropsTheKey: Transport carries_headers_and_key_unchanged,
    /// Messages arrive with their id as the only header.
    DropsHeaders: Transport carries_headers_and_key_unchanged,
    /// Bytes go through text.
    ManglesBytes: Transport carries_bytes_that_are_not_text,
    /// The empty key becomes none.
    DropsTheEmptyKey: Transport absent_and_empty_keys_stay_different,
    /// Payloads end after 65,536 bytes.
    CutsPayloads: Transport empty_and_large_payloads,
    /// Messages are written with the next batch; the last batch is lost with its publisher.
    AnswersBeforeDurable: Transport publish_returns_only_when_durable,
    /// A batch has one result.
    OneResultPerBatch: Transport answers_one_result_per_message,
    /// What stands behind a refused message of its key is published.
    PublishesBehindARefusal: Transport oks_of_a_key_are_a_prefix,
    /// Settling does nothing.
    ForgetsSettles: Transport settled_is_not_redelivered,
    /// Releasing does nothing.
    ForgetsReleases: Transport released_is_redelivered,
    /// Released messages go behind everything.
    ReleasesToTheEnd: Transport released_comes_before_later_ones,
    /// Messages that are released while their lane is paused count as settled.
    SettlesPausedReleases: Transport released_in_a_paused_lane_goes_to_the_next_member,
    /// A message is settled when it is delivered.
    SettlesOnDelivery: Transport redelivers_when_subscriber_dies_unsettled,
    /// A lane has another name in each assignment.
    NamesLanesAnew: Transport lanes_have_the_same_names_in_each_process,
    /// A settled message settles everything before it.
    SettlesTheMaximum: Transport settling_out_of_order_loses_nothing,
    /// A receipt of an earlier assignment settles in the present one.
    SettlesOldEpochs: Transport stale_receipts_change_nothing,
    /// Nobody is told that lanes were lost.
    HidesLosses: Transport lost_lanes_come_back_with_greater_epochs,
    /// Every assignment has epoch 0.
    RepeatsEpochs: Transport lost_lanes_come_back_with_greater_epochs,
    /// A redelivered message has the position of its first delivery.
    RepeatsPositions: Transport positions_grow_within_a_lane,
    /// Pausing does nothing.
    IgnoresPause: Transport paused_lane_delivers_nothing_more_than_was_in_flight,
    /// Resuming does nothing.
    IgnoresResume: Transport resume_goes_on,
    /// A pause of any epoch pauses the present one.
    PausesAnyEpoch: Transport a_lane_of_another_epoch_is_not_paused,
    /// Each member gets everything.
    SharesNothing: Transport members_share_the_work,
    /// A member that closes keeps its lanes.
    NeverLeaves: Transport a_leaving_member_hands_its_lanes_over,
    /// A revoked lane goes to its next owner at once.
    FreesRevokedLanes: Transport revoked_lane_is_not_reassigned_before_it_is_done,
    /// What is settled in a revoked lane is forgotten.
    ForgetsRevokedSettles: Transport what_is_settled_while_revoking_counts,
    /// A close settles what is out.
    CloseSettlesEverything: Transport closes_cleanly_with_messages_in_flight,
    /// A close takes back what was settled since the start.
    CloseForgetsSettles: Transport what_was_settled_before_the_close_stays_settled,
    /// After a close the stream does not end.
    HangsAfterClose: Transport yields_nothing_after_a_close,
    /// Hostile topic names are cleaned instead of refused.
    TakesAnyTopic: Transport refuses_a_topic_that_breaks_the_grammar,

    /// A commit rolls back and says `Ok`.
    CommitRollsBack: Store commit_keeps_the_row,
    /// A rollback commits.
    RollbackCommits: Store rollback_leaves_no_row,
    /// A dropped transaction commits.
    DropCommits: Store dropped_transaction_leaves_no_row,
    /// A commit after a failed statement says `Ok`, as a bare `COMMIT` does.
    CommitHidesAborted: Store swallowed_error_fails_the_commit,
    /// The offsets row does not notice a failed statement.
    AdvanceHidesAborted: Store swallowed_error_fails_the_last_statement,
    /// Work that wishes a commit is rolled back.
    TransactForgetsCommits: Store transact_commits,
    /// Work that wishes a rollback is committed.
    TransactKeepsRollbacks: Store transact_rolls_back,
    /// A begin that fails is told as a commit that failed.
    TransactHidesBegin: Store transact_reports_begin_errors,
    /// A refused commit is told as one whose answer was lost.
    TransactHidesRefusals: Store transact_reports_refused_commits,
    /// Dropped work commits.
    DroppedTransactCommits: Store dropped_transact_leaves_no_row,
    /// Events are written without their headers.
    EventsLoseHeaders: Store commit_makes_event_readable,
    /// Events are written at once, outside the transaction.
    EventsOutsideTransaction: Store rollback_leaves_no_event,
    /// The events of one write stand backwards.
    EventsBackwards: Store outbox_order_is_kept,
    /// Events are lost when the row is kept.
    EventsForgotten: Store events_and_rows_share_the_commit,
    /// Every claim is fresh.
    ClaimAlwaysFresh: Store claim_is_fresh_once_per_consumer,
    /// All consumers share their markers.
    ClaimIgnoresConsumer: Store same_id_is_fresh_for_another_consumer,
    /// A claim looks first and writes at the commit.
    ClaimLooksFirst: Store concurrent_claims_yield_one_fresh,
    /// A claim that meets an open one answers done.
    ClaimTakesRivalsForDone: Store a_rival_is_fresh_after_a_rollback,
    /// A claim is written at once, outside the transaction.
    ClaimSurvivesRollback: Store rolled_back_claim_is_fresh_again,
    /// Each copy of a message in a batch is fresh.
    SecondCopyFresh: Store second_copy_in_one_batch_is_not_fresh,
    /// The first copy of a message in a batch speaks for all, whatever their generations.
    FirstCopySpeaksForAll: Store copy_in_a_range_is_fresh_beside_one_outside,
    /// A claim does not see the earlier ones of its transaction.
    OwnClaimsAreFresh: Store second_claim_in_one_transaction_is_not_fresh,
    /// Taking claims back does nothing.
    UnclaimDoesNothing: Store unclaimed_is_fresh_again,
    /// Taking one claim back takes all of the transaction.
    UnclaimTakesAll: Store unclaim_keeps_the_other_claims,
    /// Taking a claim back takes the marker of every consumer.
    UnclaimIgnoresConsumer: Store unclaim_touches_no_earlier_claim,
    /// Taking a claim of a range back forgets that its message was done before.
    UnclaimForgetsWhatWasDone: Store unclaimed_range_is_done_as_it_was,
    /// Claims are answered in the order of their ids.
    ClaimsAnswerSorted: Store claims_answer_in_input_order,
    /// More than five hundred claims are an error.
    ClaimsRunOutOfParameters: Store claims_come_in_large_batches,
    /// Ids are compared without case and outer spaces.
    IdsIgnoreCase: Store ids_differ_by_every_byte,
    /// The marker commits although its transaction is rolled back.
    MarkerWithoutEffects: Store effects_and_marker_share_the_commit,
    /// The last position wins.
    OffsetsGoBack: Store positions_only_grow,
    /// Positions are written at once, outside the transaction.
    OffsetsOutsideTransaction: Store positions_share_the_commit,
    /// All key lanes of a partition share a position.
    OffsetsIgnoreKeyLanes: Store positions_are_kept_apart,
    /// A failed message is written and its message is not held.
    FailedMessageWithoutMarker: Store set_aside_holds_the_message,
    /// Setting aside again says that it was done.
    SetAsideAgain: Store set_aside_twice_is_already_settled,
    /// An applied message is set aside.
    SetsAppliedAside: Store set_aside_of_an_applied_message_is_already_settled,
    /// A claim of the same transaction does not count.
    SetsOwnClaimAside: Store set_aside_behind_its_own_claim_is_already_settled,
    /// Failed messages keep 1,000 bytes of payload.
    FailedMessageCutsPayload: Store set_aside_keeps_exact_bytes,
    /// Failed messages keep bytes as text.
    FailedMessageManglesBytes: Store set_aside_keeps_exact_bytes,
    /// A message without an id gets a new one.
    FailedMessageInventsId: Store set_aside_keeps_a_message_without_an_id,
    /// Failed message and marker are written at once, outside the transaction.
    FailedMessageOutsideTransaction: Store rolled_back_set_aside_leaves_nothing,
    /// A message is held for every consumer.
    HoldsForEverybody: Store set_aside_is_for_one_consumer,
    /// What is set aside knows of no generation.
    SetsAsideUnderNoGeneration: Store culprit_of_a_range_is_set_aside_once_for_its_generation,
    /// Failed messages run by themselves.
    LeasesTheDead: Store failed_message_is_not_leased,
    /// The delay of a failure is ignored.
    LeasesTooEarly: Store failed_message_is_not_leased_before_it_is_due,
    /// A leased failed message is leased to everybody.
    LeasesTwice: Store due_failed_message_is_leased_once,
    /// The newest failed message runs first.
    LeasesNewestFirst: Store oldest_due_is_leased_first,
    /// A consumer runs the failed messages of all.
    LeasesForAnybody: Store leases_are_for_one_consumer,
    /// A leased message comes without its key.
    LeaseDropsTheKey: Store leased_failed_message_is_whole,
    /// A lease never ends.
    LeaseNeverEnds: Store expired_lease_counts_a_crash,
    /// The death of a run is not counted.
    ForgetsKills: Store expired_lease_counts_a_crash,
    /// Two workers that look at the same time lease the same failed message.
    LeaseLooksFirst: Store concurrent_leases_share_no_failed_message,
    /// A resolved message stays held.
    ResolveLeavesHeld: Store resolve_marks_done,
    /// A failed message is resolved at once, outside the transaction.
    ResolveOutsideTransaction: Store rolled_back_resolve_changes_nothing,
    /// Any token resolves.
    ResolveIgnoresToken: Store stale_token_cannot_resolve,
    /// Any token fails and gives back.
    AnswerIgnoresToken: Store stale_token_cannot_answer,
    /// A lease can be answered again.
    AnswersTwice: Store answered_lease_is_over,
    /// A failed message is due at once.
    FailForgetsDelay: Store failed_failed_message_waits_until_due,
    /// A failed message never dies.
    FailKeepsRetrying: Store permanent_failure_of_a_retry_is_dead,
    /// Giving back counts as an attempt.
    HandBackBurnsAttempt: Store handed_back_failed_message_burns_no_attempt,
    /// Asking for a retry does nothing.
    RetryDoesNothing: Store operator_retry_runs_a_failed_message_once,
    /// Asking for a retry does not look at the state.
    RetryWithoutCompareAndSet: Store second_retry_changes_nothing,
    /// Asking for a retry of nothing succeeds.
    RetryInventsFailedMessages: Store retry_of_an_unknown_failed_message_is_not_found,
    /// A failed replay is tried again and again.
    ReplayGoesOn: Store failed_replay_is_dead_at_once,
    /// The oldest failed message stands first.
    ListsOldestFirst: Store failed_messages_are_listed_newest_first_and_filtered,
    /// The filter by state is ignored.
    ListIgnoresState: Store failed_messages_are_listed_newest_first_and_filtered,
    /// Every page is the first one.
    ListIgnoresBefore: Store pages_join_without_a_gap,
    /// The error is not kept.
    FailedMessageForgetsError: Store failed_message_tells_its_failure,
    /// A failed message that does not exist is told as a conflict.
    ShowMisnamesUnknown: Store show_of_an_unknown_failed_message_is_not_found,
    /// Lists do not know how large a message is.
    ListForgetsSizes: Store lists_tell_what_failed_messages_tell,
    /// Selections go downwards.
    IdsDescend: Store ids_ascend_and_keep_the_filter,
    /// The lower bound of a selection is ignored.
    FilterIgnoresAfter: Store ids_ascend_and_keep_the_filter,
    /// The filter by kind is ignored.
    FilterIgnoresKind: Store each_filter_narrows,
    /// The filter by fingerprint is ignored.
    FilterIgnoresFingerprint: Store each_filter_narrows,
    /// The filter by key is ignored.
    FilterIgnoresKey: Store each_filter_narrows,
    /// The filter by time is ignored.
    FilterIgnoresTimes: Store each_filter_narrows,
    /// The filter by origin is ignored.
    FilterIgnoresOrigin: Store each_filter_narrows,
    /// Totals count open failed messages only.
    TotalsCountOpenFailedMessages: Store totals_count_by_consumer_and_state,
    /// The smallest group stands first.
    GroupsSmallestFirst: Store groups_gather_what_failed_alike,
    /// A group shows its oldest failed message.
    GroupsShowTheOldest: Store groups_gather_what_failed_alike,
    /// An act looks first and acts later.
    ActLooksFirst: Store two_operators_at_once_act_once,
    /// Acts are answered backwards.
    ActAnswersBackwards: Store acts_answer_in_order,
    /// Giving up does nothing.
    DiscardDoesNothing: Store discarded_message_is_never_applied,
    /// A handler that runs resolves what was given up.
    DiscardFencesNobody: Store discard_fences_the_handler_that_runs,
    /// A discarded message stays held.
    DiscardLeavesHeld: Store late_copy_of_a_discarded_message_is_discarded,
    /// A failed message that was brought back keeps the marker of one that was given up.
    UndoLeavesDiscarded: Store undone_and_retried_failed_message_is_applied_once,
    /// Acts do not look at the state.
    ActsWithoutCompareAndSet: Store acts_need_the_right_state,
    /// A person's retry goes on counting.
    RetryKeepsAttempts: Store retry_counts_from_zero,
    /// What retention forgot stays forgotten.
    UndoTrustsRetention: Store undo_after_a_forgotten_marker_holds_the_message_again,
    /// One failed message that contradicts its marker fails the act on all.
    OneFailedMessageFailsAll: Store act_against_a_late_copy_is_refused_alone,
    /// An act that did nothing is not written down.
    AuditForgetsRefusals: Store every_act_leaves_one_row_of_the_audit,
    /// Nobody knows by which request an act came.
    AuditForgetsRequests: Store every_act_leaves_one_row_of_the_audit,
    /// What is parked does not hold its key.
    ParkHoldsNoKey: Store parked_message_holds_its_key,
    /// A key is held in every topic.
    BlockedKeysIgnoreTopic: Store parked_message_holds_its_key,
    /// Keys are compared as texts.
    BlockedKeysAreText: Store blocked_keys_differ_by_every_byte,
    /// What is set aside alone holds its key.
    SetAsideHoldsItsKey: Store message_set_aside_alone_holds_no_key,
    /// What is behind is marked as held, and there is no failed message of it.
    BehindIsForgotten: Store message_behind_is_kept_and_waits,
    /// Taking back a claim behind a key leaves its marker.
    UnclaimLeavesBehind: Store unclaimed_message_behind_leaves_nothing,
    /// Messages are parked at once, outside the transaction.
    ParksOutsideTransaction: Store rolled_back_park_holds_nothing,
    /// What is settled is parked again.
    ParkIgnoresMarkers: Store message_that_is_settled_is_not_parked,
    /// What is parked knows of no generation.
    ParksUnderNoGeneration: Store culprit_of_a_range_is_parked_once_for_its_generation,
    /// Whatever is parked is dead.
    ParkedIsDead: Store parked_culprit_is_due_as_its_failure_says,
    /// What waits goes on waiting when its turn has come.
    NobodyIsPromoted: Store failed_messages_of_a_key_run_in_their_order,
    /// The failed messages of a key stand in the order in which they were parked.
    ParksByArrival: Store failed_messages_of_a_key_are_ordered_by_position,
    /// A key whose first failed message is dead is free.
    DeadHeadLeavesItsKey: Store dead_head_holds_its_key,
    /// The next failed message runs before the one before it is committed.
    PromotesBeforeTheCommit: Store rolled_back_retry_keeps_its_key_blocked,
    /// Giving a failed message up lets nobody run.
    DiscardPromotesNobody: Store discarded_failed_message_leaves_its_key,
    /// A key stays held when its last failed message is given up.
    DiscardKeepsItsKey: Store discarded_failed_message_leaves_its_key,
    /// What is brought back does not hold its key.
    UndoHoldsNoKey: Store undone_head_holds_its_key_again,
    /// What is due runs although a failed message of its key is before it.
    LeasesPastADeadHead: Store undone_head_holds_its_key_again,
    /// What has never run is dead when it is brought back.
    UndoneDies: Store undone_failed_message_that_never_ran_takes_its_turn,
    /// What waits is said to be retried.
    RetriesWhatWaits: Store waiting_failed_message_is_not_retried,
    /// There is room for every culprit.
    ParkHasEndlessRoom: Store culprit_without_room_is_not_parked,
    /// There is room for everything behind.
    BehindHasEndlessRoom: Store messages_behind_are_kept_as_far_as_there_is_room,
    /// Nobody sees how much waits for a failed message.
    ListForgetsWhatWaits: Store lists_tell_what_a_head_holds_back,
    /// Whether somebody is before a message is decided when it is claimed.
    WaitsBehindADrainedKey: Store message_parked_behind_a_draining_key_still_runs,
    /// What is claimed behind a key that is freed before it is parked becomes the head of the key.
    ParksBehindAFreeKey: Store nothing_is_parked_behind_a_freed_key,
    /// A run takes the last of those that wait first.
    FollowersOutOfOrder: Store run_takes_what_waits_in_order,
    /// A message that waits behind another one is given as one that has failed.
    FollowersBurnAttempts: Store run_takes_what_waits_in_order,
    /// A run takes everything that waits, however much it is.
    FollowersAreEndless: Store run_takes_no_more_than_it_may,
    /// Of a run only the head is resolved.
    RunResolvesItsHeadOnly: Store run_is_resolved_in_one_commit,
    /// A run that takes everything leaves its key blocked, as one that counts itself out once.
    RunKeepsItsKey: Store run_of_all_frees_its_key,
    /// The followers are resolved although the head is not.
    RunIgnoresTheLease: Store run_needs_its_lease,
    /// A run begins although its lease is over.
    RunBeginsWithoutTheLease: Store run_needs_its_lease,
    /// A run is resolved although one of its messages was given up.
    RunIgnoresWhatAnOperatorDid: Store operator_fences_a_run,
    /// A run leaves no trace, so that its death is that of its head.
    RunIsNotNoted: Store death_in_a_run_is_blamed_on_no_message,
    /// Messages of a run in which a process has ended are run together again.
    ForgetsWhoRunsAlone: Store death_in_a_run_is_blamed_on_no_message,
    /// A run begins although nothing waits.
    RunsAlone: Store lone_message_begins_no_run,
    /// What was brought back never runs by itself.
    UndoneWaitsForEver: Store keys_keep_their_order_through_random_lives,
    /// Deaths are not counted.
    SuspectsForgetDeaths: Store note_without_an_answer_counts_a_death,
    /// A note of one's own counts as somebody else's.
    SuspectsSuspectThemselves: Store note_of_ones_own_counts_no_death,
    /// What another one has counted as a death stays one, although it is taken back.
    CountedNotesStay: Store note_of_the_living_goes_with_them,
    /// Absolving does nothing.
    AbsolveDoesNothing: Store absolved_message_is_forgotten,
    /// A message is absolved at once, outside the transaction.
    AbsolvesOutsideTransaction: Store rolled_back_absolution_keeps_the_deaths,
    /// Taking a note back does nothing.
    StandDownDoesNothing: Store stood_down_note_counts_no_death,
    /// Taking a note back absolves.
    StandDownAbsolves: Store standing_down_keeps_earlier_deaths,
    /// Sweeping does nothing.
    SweepDoesNothing: Store cleanup_clears_attempts_of_finished_messages,
    /// All consumers share their suspects.
    SuspectsIgnoreConsumer: Store in_flight_attempts_belong_to_one_consumer,
    /// What was found twice is kept twice.
    KeepsAgain: Store found_message_is_one_failed_message,
    /// What a broker kept runs by itself.
    KeepsAlive: Store found_message_is_one_failed_message,
    /// A message is kept once, wherever it died.
    KeepIgnoresScope: Store dead_letters_of_two_scopes_are_two_failed_messages,
    /// A message that was returned is the one it was.
    KeepForgetsReturns: Store second_death_after_a_return_is_a_new_failed_message,
    /// What was found is kept at once, outside the transaction.
    KeepsOutsideTransaction: Store rolled_back_keep_leaves_nothing,
    /// Failed messages of queues go back through topics too.
    ReturnsIgnoreOrigin: Store returns_are_leased_by_origin,
    /// Nothing is said to be on its way back.
    NothingGoesBack: Store oldest_redelivery_is_the_oldest_open_one_of_its_target,
    /// What goes back does not know where it died.
    ReturnsForgetScope: Store returns_are_answered_under_their_scope,
    /// What can go nowhere is retried.
    RetriesWithoutAWayBack: Store failed_message_without_a_way_back_is_not_retried,
    /// Failures are noted at once, outside the transaction.
    NotesFailureOutsideTransaction: Store failure_of_an_own_event_is_noted_once,
    /// Every event is taken for an own one.
    NotesStrangers: Store failure_of_a_strangers_event_is_not_noted,
    /// A cleanup removes nothing.
    CleansNothing: Store markers_leave_a_day_after_their_window,
    /// A trial removes what it counts.
    TrialsRemove: Store trial_removes_nothing_and_tells_of_nothing,
    /// No consumer learns that markers of it were removed.
    RemovesUntold: Store consumer_learns_since_when_its_markers_are_complete,
    /// Each consumer learns what was removed of others.
    TellsEverybody: Store removed_markers_are_reported_to_their_consumer_only,
    /// A marker that is removed late takes back what the ones before it told.
    TellsTheLastRemoval: Store time_since_when_markers_are_complete_never_goes_back,
    /// The newest event stands first.
    EventsNewestFirst: Store events_are_listed_oldest_first_and_filtered,
    /// The type of events is not looked at.
    EventsIgnoreType: Store events_are_listed_oldest_first_and_filtered,
    /// The key of events is not looked at.
    EventsIgnoreKey: Store events_are_listed_oldest_first_and_filtered,
    /// The range of events is not looked at.
    EventsIgnoreTimes: Store events_are_listed_oldest_first_and_filtered,
    /// Every page of events is the first one.
    EventsIgnoreCursor: Store pages_of_events_join_without_a_gap,
    /// A count does not look at markers.
    CountForgetsMarkers: Store count_tells_what_would_be_published,
    /// A count does not look at windows.
    CountForgetsWindows: Store count_tells_what_is_too_old,
    /// A count does not look at what was removed.
    CountForgetsRemovals: Store count_tells_what_no_marker_remembers,
    /// The events of a replay are chosen when a worker takes it.
    ReplayChoosesLate: Store replay_publishes_what_was_chosen_when_it_was_ordered,
    /// A step publishes everything.
    StepIgnoresMax: Store replay_goes_step_by_step,
    /// A replay is leased to everybody.
    ReplayLeasedTwice: Store replay_is_leased_to_one_worker,
    /// Any lease of a replay is as good as the last.
    StepIgnoresEpoch: Store later_lease_fences_the_earlier,
    /// Stopping a replay does nothing.
    CancelDoesNothing: Store cancelled_replay_publishes_no_more,
    /// Copies go out without their type.
    CopiesLoseTheirType: Store replay_under_the_same_ids_repeats_the_bytes,
    /// Copies are listed beside their event.
    ListsCopies: Store copies_are_not_listed,
    /// A replay under new ids keeps the old ones.
    ReplayKeepsIds: Store replay_under_new_ids_makes_events_of_their_own,
    /// What cannot be renamed goes out under its old id.
    ReplayHidesErrors: Store failed_renaming_fails_the_replay,
    /// A range may begin before everything that is kept.
    TakesAnyRange: Store range_before_the_oldest_event_is_refused,
    /// It does not matter what a person has confirmed.
    OrderIgnoresCount: Store replay_of_another_count_is_refused,
    /// A replay of nothing runs for ever.
    EmptyReplayRuns: Store replay_of_nothing_is_done_at_once,
    /// The oldest replay stands first.
    ReplaysOldestFirst: Store replays_are_listed_newest_first,
    /// A replay that does not exist is told as a conflict.
    ReplayMisnamesUnknown: Store unknown_replay_is_not_found,
    /// Replays are not written down.
    AuditForgetsReplays: Store orders_and_cancels_are_in_the_audit,
    /// Giving a lease back forgives the deaths of earlier runs.
    HandBackForgetsKills: Store failed_message_keeps_the_rules_through_random_lives,
    /// The database is said to be down.
    PingFails: Store database_answers_pings,
    /// Shards that are handed over stay.
    HandsNothingOver: Relay one_relay_has_every_shard_and_two_share_them,
    /// A relay that comes gets what others have.
    RobsTheLiving: Relay one_relay_has_every_shard_and_two_share_them,
    /// A shard that was lost is not told.
    HidesLostShards: Relay shards_of_a_crashed_relay_are_taken_when_its_lease_ends,
    /// Every renewal counts as a change of hands.
    EpochsGrowWithEachLease: Relay expired_lease_reads_nothing_even_without_another_relay,
    /// Any epoch is as good as the present one.
    ReadsOldEpochs: Relay shard_of_another_epoch_is_lost_and_the_others_are_read,
    /// All relays count as one.
    RelaysShareAName: Relay many_that_come_at_once_share_each_shard_out_once,
    /// What is published stays pending.
    ForgetsWhatIsPublished: Relay committed_events_are_found_until_they_are_published,
    /// Headers come in the opposite order.
    HeadersInAnotherOrder: Relay message_goes_out_as_it_was_written,
    /// Places are called decided that are not given yet.
    DecidesTooMuch: Relay nothing_appears_below_the_stable_position,
    /// What is confirmed already is read again.
    ReadsWhatIsConfirmed: Relay what_is_confirmed_or_paused_is_left_out,
    /// Topics that are paused are read.
    ReadsWhatIsPaused: Relay paused_backlog_hides_nothing,
    /// An answer has as many events as there are.
    ReadsWithoutALimit: Relay what_is_confirmed_or_paused_is_left_out,
    /// The last event comes first.
    ReadsBackwards: Relay what_is_confirmed_or_paused_is_left_out,
    /// An answer has as many bytes as there are.
    PagesAreEndless: Relay page_is_never_larger_than_memory_allows_and_never_empty,
    /// It is not told that there is more.
    PagesAreNeverCut: Relay page_is_never_larger_than_memory_allows_and_never_empty,
    /// A delayed event is pending at once.
    DelaysNothing: Relay delayed_event_is_found_when_it_is_due,
    /// Whoever asks what is due hears that nothing is delayed.
    NothingIsEverDue: Relay delayed_event_is_found_when_it_is_due,
    /// What is delayed together changes places.
    DelaysTurnTheOrder: Relay many_delayed_events_become_due_in_their_order,
    /// Whatever stands at the place of a published event is deleted.
    DeletesByPlace: Relay entry_of_another_event_deletes_and_sets_aside_nothing,
    /// One more is counted than was set aside.
    CountsSetAsideWrongly: Relay refused_event_takes_what_is_behind_it_in_its_key,
    /// Lists do not say why an event was refused.
    HidesWhatTheBrokerSaid: Relay refused_event_takes_what_is_behind_it_in_its_key,
    /// It is not told that an earlier event of the key was refused.
    HidesHeldEvents: Relay later_event_of_a_refused_key_is_held_and_set_aside_behind_it,
    /// Events are set aside under any epoch.
    SetsAsideForAnybody: Relay relay_without_the_shard_rejects_nothing,
    /// A retry counts one event, whatever waits behind it.
    RetriesOneEventOnly: Relay retry_restores_a_whole_key_in_order_and_rereads_its_shard,
    /// A discard is a retry.
    DiscardPutsBack: Relay discarded_event_is_gone_and_lets_go_what_waits_for_it_alone,
    /// What is set aside is gone.
    LosesWhatIsSetAside: Relay operator_and_relay_moving_one_key_at_once_lose_nothing,
    /// A relay is not woken.
    WakesNoRelay: Relay commit_of_the_outbox_wakes_a_relay,
    /// What was rolled back is pending all the same.
    RolledBackEventsArePending: Relay committed_events_are_published_and_no_others,
}
