//! The clock of the broker against the clock here.

use messagekit::operations::{CLOCK_DIFFERS, Diagnosis, Repair};

use super::broker::Broker;

/// A difference that machines with a time service do not reach. The broker tells whole seconds.
const TOLERATED: i64 = 6;

pub(super) fn look(broker: &Broker, address: String, diagnosis: &mut Diagnosis) {
    let Some((there, here)) = broker.clocks else {
        return diagnosis.not_checked([&CLOCK_DIFFERS], "the broker does not tell its time");
    };
    let by = there.duration_since(here).as_secs();
    if by.abs() > TOLERATED {
        let way = if by > 0 { "ahead of" } else { "behind" };
        let text = format!(
            "the clock of the broker is {} s {way} the clock here: {there} there, {here} here",
            by.abs()
        );
        let repair =
            "set the clock of the machine that is wrong, and let a time service such as chrony keep it";
        diagnosis.found(&CLOCK_DIFFERS, address, text, [Repair::Manual(repair.to_owned())]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_of_the_broker_are_tolerated() {
        let judged = |there: &str| {
            let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
            let clocks = Some((time(there), time("2026-01-31T08:00:00.9Z")));
            let mut diagnosis = Diagnosis::default();
            look(&Broker { clocks, ..Broker::default() }, String::new(), &mut diagnosis);
            diagnosis.findings.pop().map(|found| found.text)
        };
        assert_eq!(judged("2026-01-31T08:00:00Z"), None);
        assert_eq!(judged("2026-01-31T07:59:55Z"), None);
        assert!(judged("2026-01-31T08:01:00Z").unwrap().contains("59 s ahead of"));
        assert!(judged("2026-01-31T07:59:00Z").unwrap().contains("60 s behind"));
    }
}
