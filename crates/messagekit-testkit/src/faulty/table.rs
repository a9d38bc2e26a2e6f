//! Every fault, and the case that must catch it.

/// A suite of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// [`transport`](crate::transport).
    Transport,
    /// [`store`](crate::store).
    Store,
    /// [`log`](crate::log).
    Log,
    /// [`relay`](crate::relay).
    Relay,
}

/// One row of [`TABLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The fault of the adapter.
    pub fault: Fault,
    /// The suite of the case.
    pub suite: Suite,
    /// The name of the case that must fail.
    pub case: &'static str,
}

macro_rules! faults {
    ($($(#[$doc:meta])+ $fault:ident: $suite:ident $case:ident,)+) => {
        /// A fault of an adapter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$doc])+ $fault,)+
        }

        /// The case that must catch each fault.
        pub const TABLE: &[Row] =
            &[$(Row { fault: Fault::$fault, suite: Suite::$suite, case: stringify!($case) },)+];
    };
}

faults! {
    /// Publishing drops each hundredth message and returns `Ok`.
    LosesOneInAHundred: Transport delivers_every_message,
    /// Two neighbours of a partition are swapped.
    ReordersAPartition: Transport keeps_order_per_key,
    /// A new consumer skips the messages that exist already.
    StartsAtTheEnd: Transport new_consumer_starts_at_the_earliest,
    /// All consumers share one position.
    SharesOneCursor: Transport two_consumers_each_get_all,
    /// A waiting subscriber is not woken.
    NeverWakes: Transport waits_for_what_is_published_later,
    /// Only the first topic of a source is read.
    ReadsOneTopic: Transport reads_every_topic_of_its_source,
    /// All records of a partition have offset 0.
    RepeatsPlaces: Transport position_identifies_one_record,
    /// Messages arrive without their key.
    DropsTheKey: Transport carries_headers_and_key_unchanged,
    /// Messages arrive with their id as the only header.
    DropsHeaders: Transport carries_headers_and_key_unchanged,
    /// Bytes are converted to text and back.
    ManglesBytes: Transport carries_bytes_that_are_not_text,
    /// An empty key becomes an absent key.
    DropsTheEmptyKey: Transport absent_and_empty_keys_stay_different,
    /// Payloads are cut after 65,536 bytes.
    CutsPayloads: Transport empty_and_large_payloads,
    /// Messages are written with the next batch; the last batch is lost with its publisher.
    AnswersBeforeDurable: Transport publish_returns_only_when_durable,
    /// A batch has one result for all its messages.
    OneResultPerBatch: Transport answers_one_result_per_message,
    /// Messages behind a refused message of their key are published.
    PublishesBehindARefusal: Transport oks_of_a_key_are_a_prefix,
    /// Settling does nothing.
    ForgetsSettles: Transport settled_is_not_redelivered,
    /// Releasing does nothing.
    ForgetsReleases: Transport released_is_redelivered,
    /// Released messages go to the end of the lane.
    ReleasesToTheEnd: Transport released_comes_before_later_ones,
    /// Messages that are released while their lane is paused count as settled.
    SettlesPausedReleases: Transport released_in_a_paused_lane_goes_to_the_next_member,
    /// A message is settled when it is delivered.
    SettlesOnDelivery: Transport redelivers_when_subscriber_dies_unsettled,
    /// A lane has a different name in each assignment.
    NamesLanesAnew: Transport lanes_have_the_same_names_in_each_process,
    /// A settled message settles everything before it.
    SettlesTheMaximum: Transport settling_out_of_order_loses_nothing,
    /// A receipt of an earlier assignment settles in the current one.
    SettlesOldEpochs: Transport stale_receipts_change_nothing,
    /// The subscriber does not report lost lanes.
    HidesLosses: Transport lost_lanes_come_back_with_greater_epochs,
    /// Every assignment has epoch 0.
    RepeatsEpochs: Transport lost_lanes_come_back_with_greater_epochs,
    /// A redelivered message has the position of its first delivery.
    RepeatsPositions: Transport positions_grow_within_a_lane,
    /// Pausing does nothing.
    IgnoresPause: Transport paused_lane_delivers_nothing_more_than_was_in_flight,
    /// Resuming does nothing.
    IgnoresResume: Transport resume_goes_on,
    /// A pause with any epoch pauses the current one.
    PausesAnyEpoch: Transport a_lane_of_another_epoch_is_not_paused,
    /// The lag counts every record, settled or not.
    LagIgnoresSettles: Transport lag_counts_what_is_not_settled,
    /// A member with a paused lane tells no lag.
    LagStopsWithAPause: Transport lag_of_a_paused_lane_grows,
    /// A member that has closed repeats its last lag.
    LagOutlivesTheMember: Transport lag_moves_with_the_lanes,
    /// Each member receives every message.
    SharesNothing: Transport members_share_the_work,
    /// A member that closes keeps its lanes.
    NeverLeaves: Transport a_leaving_member_hands_its_lanes_over,
    /// A revoked lane is assigned to its next owner at once.
    FreesRevokedLanes: Transport revoked_lane_is_not_reassigned_before_it_is_done,
    /// Receipts that are settled in a revoked lane are forgotten.
    ForgetsRevokedSettles: Transport what_is_settled_while_revoking_counts,
    /// A close settles the messages in flight.
    CloseSettlesEverything: Transport closes_cleanly_with_messages_in_flight,
    /// A close undoes every settle since the start.
    CloseForgetsSettles: Transport what_was_settled_before_the_close_stays_settled,
    /// The stream does not end after a close.
    HangsAfterClose: Transport yields_nothing_after_a_close,
    /// Hostile topic names are cleaned instead of refused.
    TakesAnyTopic: Transport refuses_a_topic_that_breaks_the_grammar,

    /// A commit rolls back and returns `Ok`.
    CommitRollsBack: Store commit_keeps_the_row,
    /// A rollback commits.
    RollbackCommits: Store rollback_leaves_no_row,
    /// A dropped transaction commits.
    DropCommits: Store dropped_transaction_leaves_no_row,
    /// A commit after a failed statement returns `Ok`, as a bare `COMMIT` does.
    CommitHidesAborted: Store swallowed_error_fails_the_commit,
    /// The write of the offsets row does not report a failed statement.
    AdvanceHidesAborted: Store swallowed_error_fails_the_last_statement,
    /// Work that ends with a commit is rolled back.
    TransactForgetsCommits: Store transact_commits,
    /// Work that ends with a rollback is committed.
    TransactKeepsRollbacks: Store transact_rolls_back,
    /// A begin that fails is reported as a commit that failed.
    TransactHidesBegin: Store transact_reports_begin_errors,
    /// A refused commit is reported as one with an unknown outcome.
    TransactHidesRefusals: Store transact_reports_refused_commits,
    /// Work that is dropped is committed.
    DroppedTransactCommits: Store dropped_transact_leaves_no_row,
    /// Events are written without their headers.
    EventsLoseHeaders: Store commit_makes_event_readable,
    /// Events are written at once, outside the transaction.
    EventsOutsideTransaction: Store rollback_leaves_no_event,
    /// The events of one write are in reverse order.
    EventsBackwards: Store outbox_order_is_kept,
    /// Events are lost when the row is kept.
    EventsForgotten: Store events_and_rows_share_the_commit,
    /// Every claim is fresh.
    ClaimAlwaysFresh: Store claim_is_fresh_once_per_consumer,
    /// All consumers share their markers.
    ClaimIgnoresConsumer: Store same_id_is_fresh_for_another_consumer,
    /// A claim reads first and writes at the commit.
    ClaimLooksFirst: Store concurrent_claims_yield_one_fresh,
    /// A claim that meets an open claim returns `Done`.
    ClaimTakesRivalsForDone: Store a_rival_is_fresh_after_a_rollback,
    /// A claim is written at once, outside the transaction.
    ClaimSurvivesRollback: Store rolled_back_claim_is_fresh_again,
    /// Every copy of a message in a batch is fresh.
    SecondCopyFresh: Store second_copy_in_one_batch_is_not_fresh,
    /// The first copy of a message in a batch decides for all copies, whatever their generations.
    FirstCopySpeaksForAll: Store copy_in_a_range_is_fresh_beside_one_outside,
    /// A claim does not see the earlier claims of its transaction.
    OwnClaimsAreFresh: Store second_claim_in_one_transaction_is_not_fresh,
    /// Unclaiming does nothing.
    UnclaimDoesNothing: Store unclaimed_is_fresh_again,
    /// Unclaiming one message unclaims every message of the transaction.
    UnclaimTakesAll: Store unclaim_keeps_the_other_claims,
    /// Unclaiming removes the marker of every consumer.
    UnclaimIgnoresConsumer: Store unclaim_touches_no_earlier_claim,
    /// Unclaiming in a range forgets that the message was applied before.
    UnclaimForgetsWhatWasDone: Store unclaimed_range_is_done_as_it_was,
    /// Answers to claims are in the order of their ids.
    ClaimsAnswerSorted: Store claims_answer_in_input_order,
    /// More than five hundred claims in a call are an error.
    ClaimsRunOutOfParameters: Store claims_come_in_large_batches,
    /// Ids are compared without case and surrounding spaces.
    IdsIgnoreCase: Store ids_differ_by_every_byte,
    /// The marker is committed although its transaction is rolled back.
    MarkerWithoutEffects: Store effects_and_marker_share_the_commit,
    /// The last position wins.
    OffsetsGoBack: Store positions_only_grow,
    /// Positions are written at once, outside the transaction.
    OffsetsOutsideTransaction: Store positions_share_the_commit,
    /// All key lanes of a partition share a position.
    OffsetsIgnoreKeyLanes: Store positions_are_kept_apart,
    /// A priming is written at once, outside the transaction.
    PrimingOutsideTransaction: Store primings_share_the_commit,
    /// The last frontier wins.
    FrontierGoesBack: Store frontier_never_goes_back,
    /// A frontier continues a priming that is finished.
    FrontierContinuesFinished: Store finished_priming_stays_finished,
    /// A priming begins behind the last one, whichever number was named.
    PrimingBeginsAgain: Store next_priming_begins_once_with_nothing,
    /// A value of an earlier priming is written to the last one.
    EarlierPrimingWrites: Store earlier_priming_writes_nothing,
    /// All consumers share a priming.
    PrimingIgnoresConsumer: Store primings_are_kept_apart,
    /// A failed message is written without its marker.
    FailedMessageWithoutMarker: Store set_aside_holds_the_message,
    /// Setting a message aside a second time reports that it was done.
    SetAsideAgain: Store set_aside_twice_is_already_settled,
    /// A message that was applied can be set aside.
    SetsAppliedAside: Store set_aside_of_an_applied_message_is_already_settled,
    /// A claim of the same transaction is ignored.
    SetsOwnClaimAside: Store set_aside_behind_its_own_claim_is_already_settled,
    /// Failed messages keep 1,000 bytes of payload.
    FailedMessageCutsPayload: Store set_aside_keeps_exact_bytes,
    /// Failed messages store bytes as text.
    FailedMessageManglesBytes: Store set_aside_keeps_exact_bytes,
    /// A message without an id gets a new one.
    FailedMessageInventsId: Store set_aside_keeps_a_message_without_an_id,
    /// Failed message and marker are written at once, outside the transaction.
    FailedMessageOutsideTransaction: Store rolled_back_set_aside_leaves_nothing,
    /// A message is held for every consumer.
    HoldsForEverybody: Store set_aside_is_for_one_consumer,
    /// Setting aside ignores the generation.
    SetsAsideUnderNoGeneration: Store culprit_of_a_range_is_set_aside_once_for_its_generation,
    /// Dead messages are retried without an action.
    LeasesTheDead: Store failed_message_is_not_leased,
    /// The delay of a failure is ignored.
    LeasesTooEarly: Store failed_message_is_not_leased_before_it_is_due,
    /// A leased failed message is leased again to other workers.
    LeasesTwice: Store due_failed_message_is_leased_once,
    /// The newest failed message is leased first.
    LeasesNewestFirst: Store oldest_due_is_leased_first,
    /// A consumer leases the failed messages of all consumers.
    LeasesForAnybody: Store leases_are_for_one_consumer,
    /// A leased message comes without its key.
    LeaseDropsTheKey: Store leased_failed_message_is_whole,
    /// A lease never ends.
    LeaseNeverEnds: Store expired_lease_counts_a_crash,
    /// The crash of a run is not counted.
    ForgetsKills: Store expired_lease_counts_a_crash,
    /// Two workers that read at the same time lease the same failed message.
    LeaseLooksFirst: Store concurrent_leases_share_no_failed_message,
    /// The message of a resolved failed message stays held.
    ResolveLeavesHeld: Store resolve_marks_done,
    /// A failed message is resolved at once, outside the transaction.
    ResolveOutsideTransaction: Store rolled_back_resolve_changes_nothing,
    /// Any token can resolve.
    ResolveIgnoresToken: Store stale_token_cannot_resolve,
    /// Any token can fail and hand back.
    AnswerIgnoresToken: Store stale_token_cannot_answer,
    /// A lease accepts a second answer.
    AnswersTwice: Store answered_lease_is_over,
    /// A failed message is due at once after a failed retry.
    FailForgetsDelay: Store failed_retry_waits_until_due,
    /// A failed message is never dead.
    FailKeepsRetrying: Store permanent_failure_of_a_retry_is_dead,
    /// Handing back counts as an attempt.
    HandBackBurnsAttempt: Store handed_back_failed_message_burns_no_attempt,
    /// A retry by an operator does nothing.
    RetryDoesNothing: Store operator_retry_runs_a_failed_message_once,
    /// A retry by an operator does not check the state.
    RetryWithoutCompareAndSet: Store second_retry_changes_nothing,
    /// A retry of an unknown failed message succeeds.
    RetryInventsFailedMessages: Store retry_of_an_unknown_failed_message_is_not_found,
    /// A failed message keeps the reason of its state when the run that an operator requested fails.
    FailKeepsTheReason: Store failed_replay_is_dead_at_once,
    /// A failed retry by an operator is retried without end.
    ReplayGoesOn: Store failed_replay_is_dead_at_once,
    /// The oldest failed message is listed first.
    ListsOldestFirst: Store failed_messages_are_listed_newest_first_and_filtered,
    /// The filter by state is ignored.
    ListIgnoresState: Store failed_messages_are_listed_newest_first_and_filtered,
    /// Every page is the first one.
    ListIgnoresBefore: Store pages_join_without_a_gap,
    /// The error is not stored.
    FailedMessageForgetsError: Store failed_message_tells_its_failure,
    /// An unknown failed message is reported as a conflict.
    ShowMisnamesUnknown: Store show_of_an_unknown_failed_message_is_not_found,
    /// Lists do not contain the size of a message.
    ListForgetsSizes: Store lists_tell_what_failed_messages_tell,
    /// Selections are in descending order.
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
    /// The filter for open messages is ignored.
    FilterIgnoresOpen: Store open_messages_are_those_still_to_be_applied,
    /// The filter by origin is ignored.
    FilterIgnoresOrigin: Store each_filter_narrows,
    /// Totals count open failed messages only.
    TotalsCountOpenFailedMessages: Store totals_count_by_consumer_and_state,
    /// The smallest group is listed first.
    GroupsSmallestFirst: Store groups_gather_what_failed_alike,
    /// A group shows its oldest failed message.
    GroupsShowTheOldest: Store groups_gather_what_failed_alike,
    /// An action reads first and writes later.
    ActLooksFirst: Store two_operators_at_once_act_once,
    /// Action results are in reverse order.
    ActAnswersBackwards: Store acts_answer_in_order,
    /// Paced retries are all due at once.
    PaceIsIgnored: Store paced_retries_are_due_one_after_the_other,
    /// Every consumer was seen just now.
    SeesEveryConsumer: Store consumer_is_seen_when_it_notes_its_window,
    /// Only the first failed run is kept.
    ForgetsFailedRuns: Store failed_runs_are_kept,
    /// More than the last twenty failed runs are kept.
    KeepsTheFirstRuns: Store last_twenty_failed_runs_are_kept,
    /// A run that ended without a result leaves no trace.
    ForgetsRunsWithoutAResult: Store run_without_a_result_is_kept,
    /// A message that waits for its key has a failed run.
    WaitsCountAsFailedRuns: Store only_failed_runs_are_kept,
    /// A message that fails anew has failed runs from before.
    FailedRunsOutliveTheirMessage: Store message_that_fails_anew_has_its_new_runs,
    /// A retry of a scheduled run requests one, whose failure is the end.
    ScheduledRunIsRequested: Store scheduled_run_is_retried_now,
    /// A retry of a run that is due, or in flight, is accepted again.
    PlannedRunIsRetriedTwice: Store second_retry_of_a_planned_run_changes_nothing,
    /// A retry reads first and writes later.
    RunNowLooksFirst: Store retries_at_once_of_a_planned_run_cause_one_run,
    /// A run that an operator requested stays planned for later.
    RequestedRunKeepsItsTime: Store requested_run_is_retried_now,
    /// A pace puts a planned run off.
    PacePostponesRuns: Store pace_postpones_no_planned_run,
    /// No message runs after the head of its key was retried.
    RetriedHeadPromotesNothing: Store retried_head_is_followed_in_order,
    /// A retried message runs before the head of its key.
    RetryOvertakesItsKey: Store retried_message_overtakes_none_of_its_key,
    /// A message has one version for ever.
    VersionsStandStill: Store every_change_makes_another_version,
    /// A selection tells how many messages it has, and not which.
    SelectionOnlyCounts: Store swap_inside_a_selection_changes_its_digest,
    /// An action on a selection does not compare versions.
    SelectionTakesWhatChanged: Store changed_message_of_a_selection_is_skipped,
    /// An action on a selection does not compare the filter.
    SelectionForgetsItsFilter: Store message_outside_the_filter_is_skipped,
    /// A message that moved up in its key counts as changed.
    SelectionSkipsWhatMovedUp: Store key_is_discarded_in_several_batches,
    /// Retries of a selection are due at once.
    SelectionForgetsItsPace: Store selection_is_retried_at_its_pace,
    /// A discard does nothing.
    DiscardDoesNothing: Store discarded_message_is_never_applied,
    /// A running handler resolves a discarded message.
    DiscardFencesNobody: Store discard_fences_the_handler_that_runs,
    /// A discarded message stays held.
    DiscardLeavesHeld: Store late_copy_of_a_discarded_message_is_discarded,
    /// An undone failed message keeps the marker of a discarded one.
    UndoLeavesDiscarded: Store undone_and_retried_failed_message_is_applied_once,
    /// Actions do not check the state.
    ActsWithoutCompareAndSet: Store acts_need_the_right_state,
    /// A retry by an operator continues to count attempts.
    RetryKeepsAttempts: Store retry_counts_from_zero,
    /// An undo does not restore a marker that retention removed.
    UndoTrustsRetention: Store undo_after_a_forgotten_marker_holds_the_message_again,
    /// One failed message that contradicts its marker fails the action on all.
    OneFailedMessageFailsAll: Store act_against_a_late_copy_is_refused_alone,
    /// An action that changed nothing is not in the audit.
    AuditForgetsRefusals: Store every_act_leaves_one_row_of_the_audit,
    /// The audit does not contain the request of an action.
    AuditForgetsRequests: Store every_act_leaves_one_row_of_the_audit,
    /// A parked message does not block its key.
    ParkHoldsNoKey: Store parked_message_holds_its_key,
    /// A key is blocked in every topic.
    BlockedKeysIgnoreTopic: Store parked_message_holds_its_key,
    /// Keys are compared as text.
    BlockedKeysAreText: Store blocked_keys_differ_by_every_byte,
    /// A message that is set aside without parking blocks its key.
    SetAsideHoldsItsKey: Store message_set_aside_alone_holds_no_key,
    /// A message behind its key is marked as held, without a failed message.
    BehindIsForgotten: Store message_behind_is_kept_and_waits,
    /// Unclaiming a message behind its key leaves its marker.
    UnclaimLeavesBehind: Store unclaimed_message_behind_leaves_nothing,
    /// Messages are parked at once, outside the transaction.
    ParksOutsideTransaction: Store rolled_back_park_holds_nothing,
    /// A settled message is parked again.
    ParkIgnoresMarkers: Store message_that_is_settled_is_not_parked,
    /// Parking ignores the generation.
    ParksUnderNoGeneration: Store culprit_of_a_range_is_parked_once_for_its_generation,
    /// Every parked message is dead.
    ParkedIsDead: Store parked_culprit_is_due_as_its_failure_says,
    /// A waiting message is not promoted when its turn has come.
    NobodyIsPromoted: Store failed_messages_of_a_key_run_in_their_order,
    /// The failed messages of a key are in the order in which they were parked.
    ParksByArrival: Store failed_messages_of_a_key_are_ordered_by_position,
    /// A key whose first failed message is dead is free.
    DeadHeadLeavesItsKey: Store dead_head_holds_its_key,
    /// The next failed message runs before the previous one is committed.
    PromotesBeforeTheCommit: Store rolled_back_retry_keeps_its_key_blocked,
    /// A discard does not promote the next failed message.
    DiscardPromotesNobody: Store discarded_failed_message_leaves_its_key,
    /// A key stays blocked when its last failed message is discarded.
    DiscardKeepsItsKey: Store discarded_failed_message_leaves_its_key,
    /// An undone message does not block its key.
    UndoHoldsNoKey: Store undone_head_holds_its_key_again,
    /// A due message runs although an earlier failed message of its key exists.
    LeasesPastADeadHead: Store undone_head_holds_its_key_again,
    /// A message that never ran is dead after an undo.
    UndoneDies: Store undone_failed_message_that_never_ran_takes_its_turn,
    /// An undo requests a run of a message that was dead.
    UndoRetriesADeadHead: Store dead_head_that_is_brought_back_runs_on_request,
    /// An undo repeats the request that was discarded.
    UndoRepeatsARequest: Store request_does_not_survive_a_discard_and_its_undo,
    /// An undone message is scheduled although an earlier one of its key is open.
    UndoneLeavesItsTurn: Store message_behind_that_is_brought_back_keeps_its_turn,
    /// A message whose first run had begun never runs by itself after an undo.
    UndoneRunIsOver: Store begun_first_run_is_repeated_after_an_undo,
    /// An undo makes a requested message dead.
    UndoTakesARequestBack: Store undo_of_a_request_changes_nothing,
    /// An action answers the state that it usually leads to.
    ActAnswersTheUsualState: Store act_on_one_answers_the_state_that_is_stored,
    /// A retry of a waiting message is accepted.
    RetriesWhatWaits: Store waiting_failed_message_is_not_retried,
    /// Every failing message fits into the parking limits.
    ParkHasEndlessRoom: Store culprit_without_room_is_not_parked,
    /// Every message behind its key fits into the parking limits.
    BehindHasEndlessRoom: Store messages_behind_are_kept_as_far_as_there_is_room,
    /// Lists do not contain the number of messages behind a failed message.
    ListForgetsWhatWaits: Store lists_tell_what_a_head_holds_back,
    /// The store decides at the claim whether a message has one before it.
    WaitsBehindADrainedKey: Store message_parked_behind_a_draining_key_still_runs,
    /// A message that was claimed behind a key becomes its head, although the key was freed before it is parked.
    ParksBehindAFreeKey: Store nothing_is_parked_behind_a_freed_key,
    /// A run takes the last of the waiting messages first.
    FollowersOutOfOrder: Store run_takes_what_waits_in_order,
    /// A message that waits behind another one is returned as a failed one.
    FollowersBurnAttempts: Store run_takes_what_waits_in_order,
    /// A run takes every waiting message, without a limit.
    FollowersAreEndless: Store run_takes_no_more_than_it_may,
    /// Only the head of a run is resolved.
    RunResolvesItsHeadOnly: Store run_is_resolved_in_one_commit,
    /// A run that takes every message leaves its key blocked: it counts itself once too few.
    RunKeepsItsKey: Store run_of_all_frees_its_key,
    /// The followers are resolved although the head is not.
    RunIgnoresTheLease: Store run_needs_its_lease,
    /// A run begins although its lease is over.
    RunBeginsWithoutTheLease: Store run_needs_its_lease,
    /// A run is resolved although an operator discarded one of its messages.
    RunIgnoresWhatAnOperatorDid: Store operator_fences_a_run,
    /// A run is not recorded, and its crash counts for its head.
    RunIsNotNoted: Store death_in_a_run_is_blamed_on_no_message,
    /// Messages of a run in which a process crashed are run together again.
    ForgetsWhoRunsAlone: Store death_in_a_run_is_blamed_on_no_message,
    /// A run begins although no message waits behind its head.
    RunsAlone: Store lone_message_begins_no_run,
    /// An undone message never runs by itself.
    UndoneWaitsForEver: Store keys_keep_their_order_through_random_lives,
    /// Crashes are not counted.
    AttemptsForgetDeaths: Store note_without_an_answer_counts_a_death,
    /// An in-flight attempt of this process counts as one of another process.
    AttemptsCountTheirOwn: Store own_attempt_counts_no_crash,
    /// A withdrawn attempt still counts as a crash after another process has counted it.
    CountedNotesStay: Store note_of_the_living_goes_with_them,
    /// Clearing attempts does nothing.
    ClearingDoesNothing: Store cleared_attempts_are_forgotten,
    /// Attempts are cleared at once, outside the transaction.
    AttemptsClearedOutsideTransaction: Store rolled_back_absolution_keeps_the_deaths,
    /// Withdrawing an attempt does nothing.
    WithdrawalDoesNothing: Store withdrawn_attempt_counts_no_crash,
    /// Withdrawing an attempt clears every attempt.
    WithdrawalClearsAttempts: Store standing_down_keeps_earlier_deaths,
    /// Cleanup of attempts does nothing.
    SweepDoesNothing: Store cleanup_clears_attempts_of_finished_messages,
    /// All consumers share their in-flight attempts.
    AttemptsIgnoreConsumer: Store in_flight_attempts_belong_to_one_consumer,
    /// A dead letter that was found twice is recorded twice.
    KeepsAgain: Store found_message_is_one_failed_message,
    /// A recorded dead letter is retried without an action.
    KeepsAlive: Store found_message_is_one_failed_message,
    /// A message is recorded once for all scopes.
    KeepIgnoresScope: Store dead_letters_of_two_scopes_are_two_failed_messages,
    /// A dead letter that died again after a redelivery is the same failed message.
    KeepForgetsReturns: Store second_death_after_a_return_is_a_new_failed_message,
    /// A dead letter is recorded at once, outside the transaction.
    KeepsOutsideTransaction: Store rolled_back_keep_leaves_nothing,
    /// Redelivery to a topic leases failed messages of queues too.
    ReturnsIgnoreOrigin: Store returns_are_leased_by_origin,
    /// The oldest open redelivery is not reported.
    NothingGoesBack: Store oldest_redelivery_is_the_oldest_open_one_of_its_target,
    /// Redeliveries do not know the scope of their dead letter.
    ReturnsForgetScope: Store returns_are_answered_under_their_scope,
    /// A failed message without a redelivery target is retried.
    RetriesWithoutAWayBack: Store failed_message_without_a_way_back_is_not_retried,
    /// Failures are recorded at once, outside the transaction.
    NotesFailureOutsideTransaction: Store failure_of_an_own_event_is_noted_once,
    /// Every event counts as an event of this database.
    NotesStrangers: Store failure_of_a_strangers_event_is_not_noted,
    /// A cleanup removes nothing.
    CleansNothing: Store markers_leave_a_day_after_their_window,
    /// A trial run removes the rows that it counts.
    TrialsRemove: Store trial_removes_nothing_and_tells_of_nothing,
    /// Consumers do not learn that their markers were removed.
    RemovesUntold: Store consumer_learns_since_when_its_markers_are_complete,
    /// Each consumer learns about removed markers of other consumers.
    TellsEverybody: Store removed_markers_are_reported_to_their_consumer_only,
    /// A marker that is removed later moves the reported time back.
    TellsTheLastRemoval: Store time_since_when_markers_are_complete_never_goes_back,
    /// The newest event is listed first.
    EventsNewestFirst: Store events_are_listed_oldest_first_and_filtered,
    /// The type filter of events is ignored.
    EventsIgnoreType: Store events_are_listed_oldest_first_and_filtered,
    /// The key filter of events is ignored.
    EventsIgnoreKey: Store events_are_listed_oldest_first_and_filtered,
    /// The time filter of events is ignored.
    EventsIgnoreTimes: Store events_are_listed_oldest_first_and_filtered,
    /// Every page of events is the first one.
    EventsIgnoreCursor: Store pages_of_events_join_without_a_gap,
    /// A count ignores markers.
    CountForgetsMarkers: Store count_tells_what_would_be_published,
    /// A count ignores dedup windows.
    CountForgetsWindows: Store count_tells_what_is_too_old,
    /// A count ignores removed markers.
    CountForgetsRemovals: Store count_tells_what_no_marker_remembers,
    /// The events of a replay are chosen when a worker leases it.
    ReplayChoosesLate: Store replay_publishes_what_was_chosen_when_it_was_ordered,
    /// A step publishes every event.
    StepIgnoresMax: Store replay_goes_step_by_step,
    /// A leased replay is leased again to other workers.
    ReplayLeasedTwice: Store replay_is_leased_to_one_worker,
    /// Any earlier lease of a replay is accepted.
    StepIgnoresEpoch: Store later_lease_fences_the_earlier,
    /// Cancelling a replay does nothing.
    CancelDoesNothing: Store cancelled_replay_publishes_no_more,
    /// Republications lose their type.
    CopiesLoseTheirType: Store replay_under_the_same_ids_repeats_the_bytes,
    /// Republications are listed beside their event.
    ListsCopies: Store copies_are_not_listed,
    /// A replay under new ids keeps the old ones.
    ReplayKeepsIds: Store replay_under_new_ids_makes_events_of_their_own,
    /// A message that cannot get a new id is published under its old one.
    ReplayHidesErrors: Store failed_renaming_fails_the_replay,
    /// A range may begin before the oldest stored event.
    TakesAnyRange: Store range_before_the_oldest_event_is_refused,
    /// The count that the operator confirmed is ignored.
    OrderIgnoresCount: Store replay_of_another_count_is_refused,
    /// A replay without events never ends.
    EmptyReplayRuns: Store replay_of_nothing_is_done_at_once,
    /// The oldest replay is listed first.
    ReplaysOldestFirst: Store replays_are_listed_newest_first,
    /// An unknown replay is reported as a conflict.
    ReplayMisnamesUnknown: Store unknown_replay_is_not_found,
    /// The operator of a cancelled replay may have a name of any length.
    AuditKeepsLongNames: Store operators_with_long_names_are_refused,
    /// Replays are not in the audit.
    AuditForgetsReplays: Store orders_and_cancels_are_in_the_audit,
    /// Handing a lease back resets the crash count.
    HandBackForgetsKills: Store failed_message_keeps_the_rules_through_random_lives,
    /// The record of an event has no links.
    RecordForgetsLinks: Store event_is_found_with_its_links,
    /// The links of an event stay among its headers.
    LinksArePublished: Store links_are_not_published,
    /// The record of an unknown event tells of a failure.
    UnknownEventFailed: Store record_of_an_unknown_event_is_empty,
    /// The events that an event led to are not found.
    EffectsAreLost: Store causes_and_effects_are_found,
    /// A correlation does not contain its first event.
    CorrelationForgetsItsFirst: Store events_of_a_correlation_are_found,
    /// The record of an event has no marker.
    RecordForgetsOutcomes: Store record_tells_what_each_consumer_did,
    /// The record of an event has no action.
    RecordForgetsActions: Store record_tells_what_operators_did,
    /// The record of an event has no replay.
    RecordForgetsReplays: Store record_tells_of_replays_and_republications,
    /// The record of an event has no republication.
    RecordForgetsRepublications: Store record_tells_of_replays_and_republications,
    /// The record of an event has replays that did not choose it.
    RecordTellsOfEveryReplay: Store record_tells_of_replays_and_republications,
    /// The audit begins with the oldest action.
    AuditOldestFirst: Store audit_is_read_newest_first,
    /// The audit of one operator has the actions of all.
    AuditIgnoresOperator: Store each_filter_narrows_the_audit,
    /// The audit of a failed message or a replay has the actions on all.
    AuditIgnoresIds: Store each_filter_narrows_the_audit,
    /// The time filter of the audit is ignored.
    AuditIgnoresTimes: Store each_filter_narrows_the_audit,
    /// Every page of the audit is the first one.
    AuditRepeatsPages: Store pages_of_the_audit_join_without_a_gap,
    /// The state at a glance has consumers with failed messages only.
    StatusForgetsConsumers: Store status_has_each_consumer_with_a_marker,
    /// The state at a glance keeps the time of the first marker that it has shown.
    StatusFreezesMarkers: Store newest_marker_is_found_behind_a_foreign_id,
    /// The state at a glance has one state of each consumer's failed messages.
    StatusForgetsStates: Store status_counts_failed_messages,
    /// The state at a glance has no dedup window.
    StatusForgetsWindows: Store status_has_the_window_of_a_consumer,
    /// The state at a glance has no running replay.
    StatusForgetsReplays: Store status_counts_running_replays,
    /// A note replaces what was counted before.
    UnhandledCountsLastNote: Store unhandled_messages_are_counted_by_topic_and_type,
    /// All consumers share what they have passed over.
    UnhandledIgnoresConsumer: Store unhandled_messages_belong_to_their_consumer,
    /// Every type that a producer invents is shown.
    UnhandledWithoutBound: Store unhandled_types_of_a_consumer_are_bounded,
    /// The database is reported as down.
    PingFails: Store database_answers_pings,
    /// Shards that are handed over stay with their relay.
    HandsNothingOver: Relay one_relay_has_every_shard_and_two_share_them,
    /// A new relay takes shards that other relays hold.
    RobsTheLiving: Relay one_relay_has_every_shard_and_two_share_them,
    /// A lost shard is not reported.
    HidesLostShards: Relay shards_of_a_crashed_relay_are_taken_when_its_lease_ends,
    /// Every renewal increases the epoch.
    EpochsGrowWithEachLease: Relay expired_lease_reads_nothing_even_without_another_relay,
    /// Any epoch is accepted.
    ReadsOldEpochs: Relay shard_of_another_epoch_is_lost_and_the_others_are_read,
    /// All relays count as one relay.
    RelaysShareAName: Relay many_that_come_at_once_share_each_shard_out_once,
    /// A published event stays pending.
    ForgetsWhatIsPublished: Relay committed_events_are_found_until_they_are_published,
    /// Headers are in reverse order.
    HeadersInAnotherOrder: Relay message_goes_out_as_it_was_written,
    /// Positions that open transactions can still undercut are reported as stable.
    DecidesTooMuch: Relay nothing_appears_below_the_stable_position,
    /// Confirmed events are read again.
    ReadsWhatIsConfirmed: Relay what_is_confirmed_or_paused_is_left_out,
    /// Paused topics are read.
    ReadsWhatIsPaused: Relay paused_backlog_hides_nothing,
    /// A page ignores its limit of events.
    ReadsWithoutALimit: Relay what_is_confirmed_or_paused_is_left_out,
    /// The last event comes first.
    ReadsBackwards: Relay what_is_confirmed_or_paused_is_left_out,
    /// A page ignores its limit of bytes.
    PagesAreEndless: Relay page_is_never_larger_than_memory_allows_and_never_empty,
    /// The page does not report that more events exist.
    PagesAreNeverCut: Relay page_is_never_larger_than_memory_allows_and_never_empty,
    /// A delayed event is pending at once.
    DelaysNothing: Relay delayed_event_is_found_when_it_is_due,
    /// The next due time is reported as absent.
    NothingIsEverDue: Relay delayed_event_is_found_when_it_is_due,
    /// Events that are delayed together change their order.
    DelaysTurnTheOrder: Relay many_delayed_events_become_due_in_their_order,
    /// Any event at the position of a published event is deleted.
    DeletesByPlace: Relay entry_of_another_event_deletes_and_sets_aside_nothing,
    /// The count of events that were set aside is one too high.
    CountsSetAsideWrongly: Relay refused_event_takes_what_is_behind_it_in_its_key,
    /// Lists do not say why an event was refused.
    HidesWhatTheBrokerSaid: Relay refused_event_takes_what_is_behind_it_in_its_key,
    /// The page does not report that an earlier event of the key was refused.
    HidesHeldEvents: Relay later_event_of_a_refused_key_is_held_and_set_aside_behind_it,
    /// Events are set aside under any epoch.
    SetsAsideForAnybody: Relay relay_without_the_shard_rejects_nothing,
    /// A retry counts one event, however many wait behind it.
    RetriesOneEventOnly: Relay retry_restores_a_whole_key_in_order_and_rereads_its_shard,
    /// A discard is a retry.
    DiscardPutsBack: Relay discarded_event_is_gone_and_lets_go_what_waits_for_it_alone,
    /// Events that are set aside are lost.
    LosesWhatIsSetAside: Relay operator_and_relay_moving_one_key_at_once_lose_nothing,
    /// A relay is not woken.
    WakesNoRelay: Relay commit_of_the_outbox_wakes_a_relay,
    /// An event that was rolled back is pending.
    RolledBackEventsArePending: Relay committed_events_are_published_and_no_others,
    /// Appended records are readable before their commit.
    LogReadsUncommitted: Log append_is_seen_whole_after_its_commit,
    /// A rolled back append leaves a record behind.
    RollbackTakesAnOffset: Log rolled_back_append_takes_no_offset,
    /// A reader passes over each tenth record.
    LogSkipsRecords: Log reader_skips_no_record_of_concurrent_writers,
    /// A partition without records begins again.
    LogForgetsItsEnd: Log next_offset_outlives_the_records,
    /// A reader goes on behind deleted records without a word.
    LogHidesDeletions: Log overtaken_reader_learns_what_was_deleted,
    /// A time finds the record behind the first one.
    LogFindsLaterRecords: Log times_find_the_first_record_since_then,
    /// A consumer that never began has a position.
    LogInventsPositions: Log positions_of_a_consumer_are_found,
    /// Records come without the time at which they were stored.
    LogForgetsTimes: Log topics_come_in_the_order_of_their_time,
    /// A reader at the end passes over the first record that is new.
    LogSkipsNewRecords: Log a_live_reader_sees_what_is_new,
    /// Claims are not written.
    ClaimsAreForgotten: Log claimed_record_is_claimed_once,
    /// A new consumer skips the records that exist already.
    ClaimsBeginAtTheEnd: Log claims_begin_at_the_earliest_record,
    /// The end of a partition is read once.
    ClaimsSeeTheFirstEnd: Log new_records_are_claimed_when_they_come,
    /// All consumers share their claims.
    ClaimsIgnoreTheConsumer: Log consumers_claim_apart,
    /// Claimed records come without their key.
    ClaimDropsTheKey: Log claimed_records_are_whole,
    /// No failed message comes back to the workers that claim.
    ClaimsLeaseNoFailedMessage: Log requested_retry_is_claimed,
    /// Workers of one topic get the failed messages of another one.
    ClaimsLeaseOfAnyTopic: Log requested_retry_stays_in_its_topic,
    /// Each attempt of a failed message is its first.
    ClaimsForgetAttempts: Log requested_retry_is_lost_with_its_lease,
    /// A failed message that a worker has is not found.
    ClaimsFindNoLease: Log requested_retry_is_settled_as_a_record,
    /// A range of records is read to the end of the partition.
    ClaimReadsOn: Log claim_holds_no_more_than_it_asked_for,
    /// Two transactions may change the claims of a consumer at the same time.
    ClaimsTakeNoLock: Log concurrent_claims_share_no_record,
    /// The delay of a record that was given back is not kept.
    ClaimsForgetDelays: Log ordered_records_follow_each_other,
    /// The end of a lease is not kept.
    ClaimsForgetLeases: Log no_more_records_are_claimed_than_may_be_in_flight,
    /// Each process keeps the claims for itself.
    ClaimsStayInTheirProcess: Log claims_go_on_in_another_process,
    /// Claims are written at once, outside the transaction.
    ClaimsOutsideTransaction: Log acknowledgement_shares_the_commit,
    /// A partition is said to begin at its first record ever.
    ClaimsIgnoreDeletions: Log deleted_records_are_reported,
    /// The settled prefix only grows.
    ClaimsNeverGoBack: Log reset_ends_every_claim,
    /// The state at a glance counts what a claim has settled as behind.
    StatusCountsSettledRecords: Log status_has_the_positions_of_claims,
    /// A claim sees no keys.
    ClaimsSeeNoKeys: Log keys_keep_their_order_and_others_go_on,
    /// A claim sees the keys of its first range alone.
    ClaimsSeeKeysOfOneRange: Log each_unsettled_record_holds_its_key,
    /// A claim sees no key of the last record.
    ClaimsMissTheLastKey: Log record_given_back_takes_its_key_along,
    /// A claim sees no key of each tenth record.
    ClaimsMissTenthKeys: Log effects_of_a_key_follow_each_other,
    /// No consumer is known to be new.
    ClaimsAreNeverNew: Log consumer_begins_where_its_first_claim_says,
    /// Claims that no process has are held by the one that wrote them.
    ClaimsOfOthersAreHeld: Log claims_for_others_outlive_their_process,
    /// A claim reads more bytes than it asked for.
    ClaimReadsEveryByte: Log claim_has_no_more_bytes_than_it_asked_for,
    /// The start of a partition is read once.
    ClaimsSeeTheFirstStart: Log deletions_move_the_consumer_as_it_asks,
    /// The clock of the database stands still.
    ClaimClockStands: Log claims_end_with_their_lease,
    /// A process trusts the claims as it wrote them last.
    ClaimsAreCached: Log late_claim_settles_nothing,
    /// No process is known to have ended.
    HoldersNeverEnd: Log claims_of_an_ended_process_come_back_at_once,
    /// Every other process counts as ended.
    HoldersEndTooSoon: Log claims_of_a_living_process_stay,
    /// The last of several ranges is not written.
    ClaimsLoseTheirTail: Log workers_finish_each_record_once,
}
