//! `health NAME --history`: how an instance has been, from the owner or from the database.

use super::super::exit::{CliError, Exit};
use super::super::output::Output;
use super::super::target::Target;
use crate::api::client::ClientError;
use crate::api::wire::{HealthChangeBody, HealthHistoryBody, HealthRollupBody};
use crate::config::home::Home;
use crate::daemon::http::health_body;
use crate::domain::instance::InstanceName;
use crate::store::Reader;

/// Asks the owner, which knows the stretch that is not over yet too, or reads the database.
///
/// # Errors
///
/// Returns an error when neither can tell.
pub(super) async fn of(
    target: &Target,
    name: &InstanceName,
    limit: u32,
) -> Result<HealthHistoryBody, CliError> {
    let answer = target.client().health_history(name, limit).await;
    match (answer, target) {
        (Ok(body), _) => Ok(body),
        (Err(ClientError::NoOwner { .. }), Target::Here(home)) => stored(home, name, limit),
        (Err(error), _) => Err(error.into()),
    }
}

/// Reads the database.
///
/// # Errors
///
/// Returns an error when it cannot be read.
pub(in crate::cli) fn stored(
    home: &Home,
    name: &InstanceName,
    limit: u32,
) -> Result<HealthHistoryBody, CliError> {
    let unreadable =
        |error: crate::store::StoreError| CliError::new(Exit::General, error.to_string());
    let Some(reader) = Reader::open(&home.database()).map_err(unreadable)? else {
        return Ok(HealthHistoryBody::default());
    };
    let history = reader.health_history(name, limit).map_err(unreadable)?;
    Ok(health_body(&history))
}

/// Prints both lists, the changes first.
pub(super) fn print(
    history: &HealthHistoryBody,
    json: bool,
    output: &Output,
) -> Result<(), CliError> {
    if json {
        output.json(history)?;
        return Ok(());
    }
    if history.changes.is_empty() && history.rollups.is_empty() {
        output.say("it was never probed, or what was seen is no longer kept");
        return Ok(());
    }
    let changes = history.changes.iter().map(change);
    let lines: Vec<String> = changes.chain(history.rollups.iter().map(rollup)).collect();
    output.line(&lines.join("\n"))?;
    Ok(())
}

fn change(change: &HealthChangeBody) -> String {
    let error = change.error.as_ref();
    let error = error.map_or_else(String::new, |error| format!(": {error}"));
    let answered = change.response_ms;
    let answered = answered.map_or_else(String::new, |time| {
        format!(", answered in {}", time_of(time))
    });
    format!("{}  {}{error}{answered}", change.ts, change.health)
}

fn rollup(rollup: &HealthRollupBody) -> String {
    format!(
        "{}  {}",
        rollup.started_at,
        sum(std::slice::from_ref(rollup))
    )
}

/// Says what all probes of some stretches saw, in one line.
#[must_use]
pub(in crate::cli) fn sum(rollups: &[HealthRollupBody]) -> String {
    let total = |count: fn(&HealthRollupBody) -> u32| -> u64 {
        rollups.iter().map(|rollup| u64::from(count(rollup))).sum()
    };
    let probes = total(|rollup| rollup.probes);
    let failures = match total(|rollup| rollup.failures) {
        0 => "none failed".to_owned(),
        count => format!("{count} failed"),
    };
    let responses = total(|rollup| rollup.responses);
    if responses == 0 {
        return format!("{probes} probes, {failures}");
    }
    let weighed = rollups
        .iter()
        .filter_map(|rollup| Some(rollup.response_mean_ms? * f64::from(rollup.responses)));
    let mean = time_of(weighed.sum::<f64>() / responses as f64);
    let longest = rollups.iter().filter_map(|rollup| rollup.response_max_ms);
    let longest = time_of(longest.fold(0.0, f64::max));
    format!("{probes} probes, {failures}, answered in {mean} on average, {longest} at most")
}

fn time_of(milliseconds: f64) -> String {
    if milliseconds >= 1000.0 {
        format!("{:.1} s", milliseconds / 1000.0)
    } else {
        format!("{milliseconds:.1} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollup(probes: u32, failures: u32, responses: u32, mean: f64, max: f64) -> HealthRollupBody {
        let answered = responses > 0;
        HealthRollupBody {
            started_at: "2026-11-27T10:00:00Z".to_owned(),
            seconds: 300,
            probes,
            failures,
            responses,
            response_mean_ms: answered.then_some(mean),
            response_max_ms: answered.then_some(max),
        }
    }

    #[test]
    fn stretches_are_summed_up_by_their_weight() {
        let rows = [
            (
                vec![rollup(30, 0, 30, 1.5, 4.0)],
                "30 probes, none failed, answered in 1.5 ms on average, 4.0 ms at most",
            ),
            (
                vec![rollup(30, 1, 10, 10.0, 4.0), rollup(10, 2, 30, 2.0, 1500.0)],
                "40 probes, 3 failed, answered in 4.0 ms on average, 1.5 s at most",
            ),
            (vec![rollup(7, 7, 0, 0.0, 0.0)], "7 probes, 7 failed"),
        ];
        for (rollups, text) in rows {
            assert_eq!(sum(&rollups), text);
        }
    }
}
