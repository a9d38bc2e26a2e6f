//! The kinds of problems, by the object that they are about.

/// The object that a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// The server's setting `wal_level`.
    WalLevel,
    /// The tables of messagekit.
    Tables,
    /// The publication of the outbox.
    Publication,
    /// The role that reads the slot.
    Role,
    /// The replication slot, which keeps rows until a connector has read them.
    Slot,
    /// The connection that reads the slot at this moment.
    Reader,
}

messagekit::adapter::words! {
    /// Each depends on the subjects before it.
    Subject {
        WalLevel: "wal_level",
        Tables: "tables",
        Publication: "publication",
        Role: "role",
        Slot: "slot",
        Reader: "reader",
    }
}

/// The kind of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    WalLevel,
    Tables,
    PublicationMissing,
    /// Without its publication the slot is of no use.
    PublicationOutlived,
    AllTables,
    /// The publication of all tables has a slot already.
    AllTablesRead,
    TableNotPublished,
    Filtered,
    MoreTables,
    NotOfInserts,
    NotViaRoot,
    RoleMissing,
    RoleRights,
    RoleExpired,
    RoleConnect,
    /// The slot was never created.
    SlotNotMade,
    SlotMissing,
    SlotForeign,
    SlotLost,
    SlotNearlyLost,
    SlotUnread,
    /// Nobody reads a slot that is of no use.
    UselessSlotUnread,
}

impl Fault {
    pub(super) fn subject(self) -> Subject {
        match self {
            Self::WalLevel => Subject::WalLevel,
            Self::Tables => Subject::Tables,
            Self::PublicationMissing
            | Self::PublicationOutlived
            | Self::AllTables
            | Self::AllTablesRead
            | Self::TableNotPublished
            | Self::Filtered
            | Self::MoreTables
            | Self::NotOfInserts
            | Self::NotViaRoot => Subject::Publication,
            Self::RoleMissing | Self::RoleRights | Self::RoleExpired | Self::RoleConnect => Subject::Role,
            Self::SlotNotMade
            | Self::SlotMissing
            | Self::SlotForeign
            | Self::SlotLost
            | Self::SlotNearlyLost => Subject::Slot,
            Self::SlotUnread | Self::UselessSlotUnread => Subject::Reader,
        }
    }
}
