//! What may take long, on a thread of its own.

/// Runs `work` beside the member. Where there is no thread for it, it is dropped: who waits for its answer finds nobody at the
/// other end.
pub(super) fn aside(name: &str, work: impl FnOnce() + Send + 'static) {
    let name = format!("messagekit-kafka-{name}");
    if let Err(error) = std::thread::Builder::new().name(name.clone()).spawn(work) {
        tracing::error!(%error, name, "no thread beside the member");
    }
}
