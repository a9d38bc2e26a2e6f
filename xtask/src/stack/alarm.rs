//! The memory alarm of RabbitMQ.

/// The memory alarm of RabbitMQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Alarm {
    /// Publishers are blocked.
    On,
    /// Publishers may publish.
    Off,
}

impl Alarm {
    /// Returns the arguments for `rabbitmqctl`: no program fits into a megabyte.
    pub(crate) fn arguments(self) -> [&'static str; 3] {
        let limit = match self {
            Self::On => "1MB",
            Self::Off => "2GB",
        };
        ["set_vm_memory_high_watermark", "absolute", limit]
    }
}
