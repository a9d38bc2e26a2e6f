//! The command line of a worker.

use std::path::PathBuf;
use std::str::FromStr;

/// The command line.
pub(crate) struct Arguments {
    pub(crate) role: Role,
    pub(crate) file: PathBuf,
}

/// The role of this process in the shop.
pub(crate) enum Role {
    Orders(Plan),
    Billing {
        /// The number of an order whose handler crashes the process.
        deadly: Option<u64>,
        /// Whether a failed order blocks the later orders of its customer.
        parks: bool,
        /// Whether it calls a payment service before it bills.
        calls: bool,
    },
    Printing,
    /// Claims records of the topic of jobs.
    Claiming {
        /// Whether it keeps its first claim and does nothing with it.
        holds: bool,
    },
    /// Migrates the topic of numbers.
    Migrating,
    /// Runs a pipeline.
    Piping {
        /// The number at which its function hangs.
        hangs: Option<u64>,
    },
    /// Discards every dead failed message.
    Operator,
}

/// The orders to place.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) from: u64,
    pub(crate) count: u64,
    pub(crate) seed: u64,
}

impl Arguments {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let usage = "usage: worker orders|billing|parking|calling|printing|claiming|holding|piping|migrating|operator FILE [--from N] [--count N] [--seed S] [--deadly N]";
        let (Some(role), Some(file)) = (words.next(), words.next()) else { return Err(usage.to_owned()) };
        let mut plan = Plan { from: 1, count: 1_000, seed: 1 };
        let mut deadly = None;
        while let Some(flag) = words.next() {
            let value = words.next().ok_or_else(|| format!("{flag} needs a number"))?;
            let value = u64::from_str(&value).map_err(|_| format!("{flag} needs a number, not {value:?}"))?;
            match &*flag {
                "--from" => plan.from = value,
                "--count" => plan.count = value,
                "--seed" => plan.seed = value,
                "--deadly" => deadly = Some(value),
                _ => return Err(format!("{flag} is not known; {usage}")),
            }
        }
        let role = match &*role {
            "orders" => Role::Orders(plan),
            "billing" => Role::Billing { deadly, parks: false, calls: false },
            "parking" => Role::Billing { deadly, parks: true, calls: false },
            "calling" => Role::Billing { deadly, parks: false, calls: true },
            "printing" => Role::Printing,
            "claiming" => Role::Claiming { holds: false },
            "holding" => Role::Claiming { holds: true },
            "migrating" => Role::Migrating,
            "piping" => Role::Piping { hangs: deadly },
            "operator" => Role::Operator,
            _ => return Err(usage.to_owned()),
        };
        Ok(Self { role, file: file.into() })
    }
}
