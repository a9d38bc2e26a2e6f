//! Event types that may be misspelt.

use messagekit::Error;
use messagekit::operations::Diagnosis;
use sqlx::PgConnection;

use super::target::Target;
use crate::tables::unhandled_types;

pub(super) async fn look(
    conn: &mut PgConnection,
    target: &Target,
    diagnosis: &mut Diagnosis,
) -> Result<(), Error> {
    for (consumer, messages) in unhandled_types::misspelt(conn, &target.schema).await? {
        diagnosis.found_misspelt(&consumer, &messages);
    }
    Ok(())
}
