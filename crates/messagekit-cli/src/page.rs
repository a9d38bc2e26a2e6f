//! Pages of a list.

use std::fmt::Display;

use comfy_table::Table;
use messagekit::Error;

use crate::output::print;

/// The size of a page, and its form.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Page {
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// One JSON document instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints a table, or that it is empty.
pub(crate) fn print_table(rows: &Table, empty: &str) -> Result<(), Error> {
    if rows.is_empty() { print(empty) } else { print(rows) }
}

/// Prints the option of the next page, if there is one.
pub(crate) fn print_more(option: &str, next: Option<impl Display>) -> Result<(), Error> {
    next.map_or(Ok(()), |next| print(format_args!("more: {option} {next}")))
}

/// Returns how many entries to read: one more than the page shows whether there is a next page.
pub(crate) fn one_more(limit: u32) -> u32 {
    limit.saturating_add(1)
}

/// Cuts what was read to the page, and returns the position of its last entry if there are more.
pub(crate) fn cut<T, P>(read: &mut Vec<T>, limit: u32, position: impl Fn(&T) -> P) -> Option<P> {
    let is_cut = read.len() > limit as usize;
    read.truncate(limit as usize);
    read.last().filter(|_| is_cut).map(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_page_has_no_next_position() {
        for (count, rest) in [(0, None), (2, None), (3, None), (4, Some(2))] {
            let mut read: Vec<u32> = (0..count.min(one_more(3))).collect();
            assert_eq!((cut(&mut read, 3, |last| *last), read.len() as u32), (rest, count.min(3)));
        }
    }
}
