//! A part of a program that is on when its section is written.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Section;

impl Section<'_> {
    /// Reads a count and a time, such as those of a limit or of a breaker; `None` without the section, and with `enabled = false` in it.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    /// use std::time::Duration;
    ///
    /// use messagekit_config::Configuration;
    ///
    /// let file = "[relay.limit]\nmessages = 1000\nper = '1s'\n";
    /// let configuration = Configuration::read(("relay.toml", file), [("", "")])?;
    /// let limit = configuration.section("relay").section("limit");
    /// let minute = Duration::from_secs(60);
    /// let limit = limit.switched("messages", NonZeroU32::MIN, "per", minute);
    /// assert_eq!(limit, NonZeroU32::new(1_000).zip(Some(Duration::from_secs(1))));
    /// configuration.finish()?;
    /// # Ok::<(), messagekit::Error>(())
    /// ```
    pub fn switched(
        &self,
        count: &str,
        usual_count: NonZeroU32,
        time: &str,
        usual_time: Duration,
    ) -> Option<(NonZeroU32, Duration)> {
        let enabled = self.or("enabled", self.is_written());
        let counted = self.or(count, usual_count);
        let timed = self.or(time, usual_time);
        if timed.is_zero() {
            self.problem(time, "is no time: write for example \"60s\"");
        }
        enabled.then_some((counted, timed))
    }
}
