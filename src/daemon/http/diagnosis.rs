//! Whether an instance fits, what each build computes on, and what is wrong with the installation.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asked::{self, Known, Question};
use super::refresh::health_body;
use super::{Answered, Failure, Owner, fleet};
use crate::api::error::{ErrorBody, ErrorCode};
use crate::api::wire::{
    BuildDevicesBody, CheckupBody, CrashQuery, DescriptionBody, DevicesBody, FitBody, FitsBody,
    HostBody, InstanceFitBody, KeptCrashBody, allowed,
};
use crate::config::home::{Home, HomeOrigin};
use crate::config::load;
use crate::daemon::crash;
use crate::daemon::describe::{self, Subject};
use crate::daemon::doctor::{self, OwnerSeen, Patient, Sources};
use crate::domain::fleet::InstanceRow;
use crate::domain::instance::InstanceName;
use crate::domain::readings::HostReadings;
use crate::probes::devices::Asking;
use crate::probes::host::Host;
use crate::supervisor::builds;
use crate::supervisor::fit::{self, Holding, Surroundings};

pub(super) fn routes() -> OpenApiRouter<Owner> {
    OpenApiRouter::new()
        .routes(routes!(description))
        .routes(routes!(kept_crash))
        .routes(routes!(fit_of))
        .routes(routes!(fits))
        .routes(routes!(devices))
        .routes(routes!(examine))
}

/// Everything that is known of an instance: configuration, command, runs, health, paths.
#[utoipa::path(
    get, path = "/instances/{name}/describe", tag = "diagnosis",
    params(("name" = String, Path, description = "The instance")),
    responses((status = 200, body = DescriptionBody))
)]
async fn description(
    State(owner): State<Owner>,
    Known(name): Known<InstanceName>,
) -> Answered<Json<DescriptionBody>> {
    let instance = fleet::body_of(&owner, &name)?;
    let history = owner.handle.health_history(name.clone(), describe::ROLLUPS);
    let health = health_body(&history.await);
    let host = readings(&owner);
    blocking(owner, move |home, _| {
        let host = host.unwrap_or_else(|| Host::find().look());
        let subject = Subject {
            home,
            host: &host,
            instance,
            health,
        };
        Ok(Json(describe::describe(&name, subject)))
    })
    .await
}

/// What was kept of an instance's crash: its cause, its last words, its command; the newest first.
#[utoipa::path(
    get, path = "/instances/{name}/crash", tag = "diagnosis",
    params(("name" = String, Path, description = "The instance"), CrashQuery),
    responses((status = 200, body = KeptCrashBody))
)]
async fn kept_crash(
    State(owner): State<Owner>,
    Known(name): Known<InstanceName>,
    Question(query): Question<CrashQuery>,
) -> Answered<Json<KeptCrashBody>> {
    blocking(owner, move |home, _| {
        let kept = crash::read(home, &name, query.back.unwrap_or(0));
        let trouble =
            |error: std::io::Error| internal(&format!("its crash bundle cannot be read: {error}"));
        kept.map(Json).map_err(trouble)
    })
    .await
}

/// Whether an instance fits into memory, as its files are now.
#[utoipa::path(
    get, path = "/instances/{name}/fit", tag = "diagnosis",
    params(("name" = String, Path, description = "The instance")),
    responses((status = 200, body = FitBody))
)]
async fn fit_of(
    State(owner): State<Owner>,
    Known(name): Known<InstanceName>,
) -> Answered<Json<FitBody>> {
    let host = readings(&owner);
    blocking(owner, move |home, owner| {
        let host = host.unwrap_or_else(|| Host::find().look());
        let set = load::load(home);
        let spec = set
            .rows
            .iter()
            .filter_map(|row| row.as_ref().ok())
            .map(|loaded| &loaded.spec)
            .find(|spec| spec.name == name)
            .ok_or_else(|| {
                let message = format!("the configuration of {name} cannot be used");
                let body = ErrorBody::new(ErrorCode::Invalid, message);
                Failure(body.with_hint("llama-orch config validate"))
            })?;
        let around = Surroundings {
            home,
            host: &host,
            asking: Asking::Once,
            holding: holding(owner, &name),
            promised: None,
        };
        Ok(Json(FitBody::from(&fit::of(spec, around))))
    })
    .await
}

fn holding(owner: &Owner, name: &InstanceName) -> Holding {
    let picture = owner.handle.snapshot();
    let runs = |row: &InstanceRow| row.name == *name && row.pid.is_some();
    match picture.rows.iter().any(runs) {
        true => Holding::Everything,
        false => Holding::Nothing,
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FitsQuery {
    /// Separated by commas.
    #[serde(default)]
    #[param(schema_with = allowed::instance_list)]
    names: String,
}

/// Whether several instances fit into memory together, each beside those before it.
#[utoipa::path(
    get, path = "/fits", tag = "diagnosis", params(FitsQuery),
    responses(
        (status = 200, body = FitsBody),
        (status = 404, body = ErrorBody, description = "There is no such instance")
    )
)]
async fn fits(
    State(owner): State<Owner>,
    Question(query): Question<FitsQuery>,
) -> Answered<Json<FitsBody>> {
    let words = query.names.split(',').filter(|word| !word.is_empty());
    let names = asked::instances(&owner, words)?;
    let host = readings(&owner);
    blocking(owner, move |home, owner| {
        let host = host.unwrap_or_else(|| Host::find().look());
        let set = load::load(home);
        // A file that cannot be used is refused by the start itself.
        let asked = names.iter().filter_map(|name| {
            let specs = set.rows.iter().filter_map(|row| row.as_ref().ok());
            let loaded = specs.into_iter().find(|loaded| loaded.spec.name == *name)?;
            Some((&loaded.spec, holding(owner, name)))
        });
        let judged = fit::in_turn(home, &host, asked);
        Ok(Json(FitsBody {
            fits: judged
                .iter()
                .map(|(name, fit)| InstanceFitBody {
                    instance: name.to_string(),
                    fit: FitBody::from(fit),
                })
                .collect(),
        }))
    })
    .await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DevicesQuery {
    /// Ask every build again, also one that has answered before.
    #[serde(default)]
    refresh: bool,
}

/// What the machine has, and what each build computes on; a new build is asked once.
#[utoipa::path(
    get, path = "/devices", tag = "diagnosis", params(DevicesQuery),
    responses((status = 200, body = DevicesBody))
)]
async fn devices(
    State(owner): State<Owner>,
    Question(query): Question<DevicesQuery>,
) -> Answered<Json<DevicesBody>> {
    let asking = match query.refresh {
        true => Asking::Anew,
        false => Asking::Once,
    };
    let host = readings(&owner);
    blocking(owner, move |home, _| {
        let host = host.unwrap_or_else(|| Host::find().look());
        let builds = builds::of(home, &load::load(home), asking);
        Ok(Json(DevicesBody {
            host: HostBody::from(&host),
            builds: builds.iter().map(build_body).collect(),
        }))
    })
    .await
}

/// Converts what a build lists.
#[must_use]
pub fn build_body(build: &builds::Build) -> BuildDevicesBody {
    let list = build.list.as_ref();
    BuildDevicesBody::new(
        build.program.display().to_string(),
        build.instances.iter().map(ToString::to_string).collect(),
        list.map(|list| (list.asked_at, list.devices.as_slice())),
    )
}

/// What is wrong with the installation, and what to do about it.
#[utoipa::path(
    get, path = "/doctor", tag = "diagnosis", responses((status = 200, body = CheckupBody))
)]
async fn examine(State(owner): State<Owner>) -> Answered<Json<CheckupBody>> {
    let host = readings(&owner);
    blocking(owner, move |home, owner| {
        let host = host.unwrap_or_else(|| Host::find().look());
        let found = doctor::examine(&Patient {
            home,
            host: &host,
            owner: OwnerSeen::Answers {
                pid: std::process::id(),
                database: owner.handle.database(),
                api: owner
                    .tcp
                    .borrow()
                    .as_ref()
                    .and_then(|tcp| tcp.problem.clone()),
            },
            now: owner.now(),
            sources: &Sources::here(),
        });
        Ok(Json(CheckupBody::of(&found)))
    })
    .await
}

/// Returns the readings that the supervisor has taken already.
pub(super) fn readings(owner: &Owner) -> Option<HostReadings> {
    let host = &owner.handle.snapshot().host;
    host.memory_total.is_some().then(|| host.clone())
}

/// Looks at files and programs off the thread that everything else runs on.
pub(super) async fn blocking<T: Send + 'static>(
    owner: Owner,
    look: impl FnOnce(&Home, &Owner) -> Answered<T> + Send + 'static,
) -> Answered<T> {
    let task = tokio::task::spawn_blocking(move || {
        let home = Home::open(std::path::Path::new(&owner.home), HomeOrigin::Owner)
            .map_err(|error| internal(&error))?;
        look(&home, &owner)
    });
    task.await.map_err(|error| internal(&error))?
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    Failure(ErrorBody::new(ErrorCode::OwnerError, error.to_string()))
}
