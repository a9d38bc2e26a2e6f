//! The gates inside whose permits a task runs.

use std::sync::Arc;

use super::Permit;

tokio::task_local! {
    static GATES: Inside;
}

/// The gates that have admitted a run: the address of what a permit goes back to, and the stamp of the permit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inside(Arc<[(usize, u64)]>);

impl Inside {
    /// The gates of a run.
    pub(super) fn of(permits: &[Permit]) -> Self {
        let of = |permit: &Permit| Some((address(permit.owner.as_ref()?), permit.stamp));
        Self(permits.iter().filter_map(of).collect())
    }

    /// The gates of the current task and one more.
    pub(super) fn also<T: ?Sized>(gate: &Arc<T>, stamp: u64) -> Self {
        let around = GATES.try_with(Self::clone).unwrap_or_default();
        Self([(address(gate), stamp)].into_iter().chain(around.0.iter().copied()).collect())
    }

    /// Returns the stamp under which a gate has admitted what the current task runs. A task that it has spawned is not inside.
    pub(super) fn stamp_of<T: ?Sized>(gate: &Arc<T>) -> Option<u64> {
        let found =
            |gates: &Self| gates.0.iter().find(|(of, _)| *of == address(gate)).map(|(_, stamp)| *stamp);
        GATES.try_with(found).ok().flatten()
    }

    /// Runs a future inside the gates.
    pub(crate) async fn run<F: Future>(self, future: F) -> F::Output {
        match self.0.is_empty() {
            true => future.await,
            false => GATES.scope(self, future).await,
        }
    }
}

/// Returns the address of what clones of a gate share, whatever it is seen as.
fn address<T: ?Sized>(shared: &Arc<T>) -> usize {
    Arc::as_ptr(shared).cast::<()>().addr()
}
