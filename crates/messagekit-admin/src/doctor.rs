//! Faults in the setup of the databases, over HTTP.

use axum::Json;
use axum::extract::State;
use messagekit::operations::{Diagnosis, Finding, Repair, SERVICE_UNREACHABLE};
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::database::{Database, PATIENCE, Which};
use crate::parameters::Query;
use crate::problem::Problem;

/// One examination runs at a time: it reads more than a list does.
static TURN: Semaphore = Semaphore::const_new(1);

pub(crate) fn for_operators() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(doctor))
}

/// The document of `GET /api/v1/doctor`: the faults, the checks that could not be made, and those that found nothing.
///
/// ```
/// use messagekit::operations::{Check, Diagnosis};
///
/// const LATE: Check = Check::warning("clock-differs", "times are compared");
/// let mut diagnosis = Diagnosis::of([&LATE]);
/// diagnosis.found(&LATE, "shop", "an hour late", []);
/// let mut view = messagekit_admin::DoctorView::default();
/// view.add("shop", &diagnosis);
/// assert_eq!(serde_json::to_value(&view)?["findings"][0]["name"], "clock-differs");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct DoctorView {
    findings: Vec<FindingView>,
    unchecked: Vec<UncheckedView>,
    passed: Vec<PassedView>,
}

/// One fault and its repair.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FindingView {
    /// The name of the database here.
    service: String,
    /// The name of the check, the same in every version.
    name: &'static str,
    /// `problem`: events do not move, or a promise does not hold; `warning`: nothing is broken now.
    severity: &'static str,
    /// The object that it is about.
    subject: String,
    /// What was found, with the values.
    text: String,
    /// Why it matters.
    why: &'static str,
    /// The steps of the repair, in their order.
    repair: Vec<RepairView>,
}

/// One step of a repair.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RepairView {
    /// `sql`: a statement for this database; `command`: a line for a shell; `manual`: what only a person can do.
    kind: &'static str,
    text: String,
}

/// A check that could not be made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UncheckedView {
    service: String,
    name: &'static str,
    reason: String,
}

/// A check that was made and found nothing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PassedView {
    service: String,
    name: &'static str,
}

impl DoctorView {
    /// Adds the outcome of one database or broker under its name here.
    pub fn add(&mut self, service: &str, diagnosis: &Diagnosis) {
        let service = || service.to_owned();
        self.passed
            .extend(diagnosis.passed().map(|check| PassedView { service: service(), name: check.name }));
        self.findings.extend(diagnosis.findings.iter().map(|found| FindingView::of(service(), found)));
        self.unchecked.extend(diagnosis.unchecked.iter().map(|unchecked| UncheckedView {
            service: service(),
            name: unchecked.check.name,
            reason: unchecked.reason.clone(),
        }));
    }
}

impl FindingView {
    fn of(service: String, found: &Finding) -> Self {
        let repair = |step: &Repair| RepairView { kind: step.kind(), text: step.text().to_owned() };
        Self {
            service,
            name: found.check.name,
            severity: found.check.severity.as_str(),
            why: found.check.why,
            repair: found.repair.iter().map(repair).collect(),
            subject: found.subject.clone(),
            text: found.text.clone(),
        }
    }
}

/// Examine the setup of the databases, and name each fault with its repair
///
/// Nothing is changed. A database that does not answer is a finding. Brokers are examined by `messagekit doctor`.
#[utoipa::path(
    get, path = "/api/v1/doctor", tag = "health", operation_id = "doctor",
    params(Which),
    responses((status = 200, body = DoctorView), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
async fn doctor(State(app): State<App>, Query(which): Query<Which>) -> Result<Json<DoctorView>, Problem> {
    let databases = app.databases.meant(which.database.as_deref())?;
    let turn = tokio::time::timeout(PATIENCE, TURN.acquire()).await;
    let Ok(Ok(_turn)) = turn else {
        return Err(Problem::unavailable("another examination is still running: try again"));
    };
    let examined = futures_util::future::join_all(databases.iter().map(examine)).await;
    let mut view = DoctorView::default();
    for (database, diagnosis) in databases.iter().zip(examined) {
        view.add(&database.name, &diagnosis);
    }
    Ok(Json(view))
}

async fn examine(database: &Database) -> Diagnosis {
    tokio::time::timeout(PATIENCE, database.store.diagnose()).await.unwrap_or_else(|_| {
        let mut diagnosis = Diagnosis::of([&SERVICE_UNREACHABLE]);
        let text = format!("the examination did not end within {} s", PATIENCE.as_secs());
        let repair = "see what the database is busy with, and run `messagekit doctor` beside it";
        diagnosis.found(&SERVICE_UNREACHABLE, &*database.name, text, [Repair::Manual(repair.to_owned())]);
        diagnosis
    })
}
