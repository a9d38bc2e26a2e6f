//! The names of consumer groups that each token has used.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;

use crate::failure::Failure;

/// The most names of a token. Each name is a row in the database for ever, and holds back a topic that keeps unhandled records.
const MOST: usize = 1_000;

/// Longer names are refused where they are used, and none is kept here.
const LONGEST: usize = 1_024;

/// The names of groups by token, since this program began.
#[derive(Debug, Default)]
pub(crate) struct GroupNames(Mutex<HashMap<Arc<str>, HashSet<Box<str>>>>);

impl GroupNames {
    /// Runs what uses a group, if the token may use it, and notes the group once it was used.
    pub(super) async fn using<T, E>(
        &self,
        token: &Arc<str>,
        group: Option<&str>,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<Result<T, E>, Failure> {
        let Some(group) = group.filter(|group| group.len() <= LONGEST) else { return Ok(work.await) };
        let is_new = self.check(token, group)?;
        let done = work.await;
        if is_new && done.is_ok() {
            let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            tokens.entry(Arc::clone(token)).or_default().insert(group.into());
        }
        Ok(done)
    }

    /// Returns whether the group is new for the token.
    fn check(&self, token: &Arc<str>, group: &str) -> Result<bool, Failure> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(names) = tokens.get(token) else { return Ok(true) };
        if names.len() >= MOST && !names.contains(group) {
            let text = format!(
                "token {token} has used {MOST} consumer groups since this program began: use one of them again, or let an administrator \
                 drop groups (DROP CONSUMER GROUP)"
            );
            return Err(Failure::new(StatusCode::FORBIDDEN, "TOO_MANY_GROUPS", text));
        }
        Ok(!names.contains(group))
    }

    /// Forgets a group that was dropped.
    pub(super) fn forget(&self, group: &str) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for names in tokens.values_mut() {
            names.remove(group);
        }
    }
}
