//! Which client of a publisher sends a message.

/// A client of a publisher. A message takes another one than `Common` when a request with it may exceed the limit of
/// its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Route {
    /// With batches of the usual size.
    Common,
    /// With batches of at most two to this power of bytes, for topics with a limit below the usual size.
    Narrow(u32),
    /// With one message per request, for messages that their topic may refuse for their size.
    Alone,
}

impl Route {
    /// Returns the route of a message of at most `size` bytes on the wire to a topic with a limit, where `batch` is the
    /// usual size of a batch.
    pub(super) fn of(size: usize, limit: usize, batch: usize) -> Self {
        match limit.checked_ilog2() {
            Some(power) if size <= limit && limit < batch => Self::Narrow(power),
            Some(_) if size <= limit => Self::Common,
            _ => Self::Alone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_never_over_the_limit_unless_one_message_is() {
        for limit in [0, 1, 100, 20_000, 65_536, 1_000_000, 1_048_588] {
            for size in [1, 64, 19_000, 60_000, 999_999, 1_048_588, 2_000_000] {
                let largest = match Route::of(size, limit, 1_000_000) {
                    Route::Common => size.max(1_000_000),
                    // A message over the size of a batch is a batch by itself.
                    Route::Narrow(power) => size.max(1 << power),
                    Route::Alone => {
                        assert!(size > limit, "{size} of {limit}");
                        continue;
                    }
                };
                assert!(largest <= limit, "{size} of {limit}");
            }
        }
    }
}
