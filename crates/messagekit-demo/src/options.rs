//! The command-line options.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::billing_service::BillingOptions;
use crate::invoices::IN_A_YEAR;

/// Holds the options of the demo, used alone or as a part of a larger command line.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How many invoices: the first N of the year, which repeats after its end
    #[arg(long, value_name = "N", default_value_t = IN_A_YEAR, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    pub(crate) orders: u32,

    /// Read events from this file instead, one {"type": …, "key": …, "data": {…}} per line
    #[arg(long, value_name = "FILE.ndjson", conflicts_with = "orders")]
    pub(crate) input: Option<PathBuf>,

    /// Keep the database, the ledger and the log of the billing service in this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,

    /// Print one JSON object instead of the tables
    #[arg(long)]
    pub(crate) json: bool,

    /// The seed of rollbacks, duplicates and kills
    #[arg(long, value_name = "N", default_value_t = 2010)]
    pub(crate) seed: u64,

    #[command(subcommand)]
    pub(crate) part: Option<Part>,
}

/// The commands with which this program starts itself.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Part {
    /// The consumer, in a separate process
    #[command(hide = true)]
    BillingService(BillingOptions),
}
