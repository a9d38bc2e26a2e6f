//! Pages of a list.

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
