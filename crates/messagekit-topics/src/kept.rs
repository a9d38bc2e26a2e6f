//! What must exist as long as any handle does.

use std::any::Any;
use std::sync::Arc;

/// The folder of a file without a path of its own, removed with the last handle.
pub(crate) type Kept = Arc<dyn Any + Send + Sync>;
