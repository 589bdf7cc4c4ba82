//! `plan` and `apply`: what differs from the files, and doing just that.

use super::args::{ApplyArgs, Patience, PlanArgs};
use super::exit::{CliError, Exit};
use super::output::{Output, Paint, paint};
use super::session::{self, Session};
use super::target::Target;
use super::{act, fit, offline};
use crate::api::client::ClientError;
use crate::api::wire::{FitBody, PlanBody};
use crate::config::drift;
use crate::config::load;
use crate::daemon::http::weighed;
use crate::domain::instance::InstanceName;
use crate::domain::memory::fit::Verdict;
use crate::supervisor::{configs, plan};

/// `llama-orch plan`
///
/// # Errors
///
/// Returns an error when the instance is unknown or the owner does not answer as it should.
pub(super) async fn plan(
    target: &Target,
    args: &PlanArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    let chosen = target.chosen(args.name.as_deref()).await?;
    let plans = plans(target, chosen.as_ref()).await?;
    if args.json {
        output.json(&plans)?;
    } else {
        print(&plans, output)?;
    }
    Ok(exit(&plans))
}

/// `llama-orch apply`
///
/// # Errors
///
/// Returns the failure of the first instance that did not become ready; those after it are left
/// as they are.
pub(super) async fn apply(
    target: &Target,
    args: &ApplyArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    let chosen = target.chosen(args.name.as_deref()).await?;
    let plans = plans(target, chosen.as_ref()).await?;
    let (due, broken): (Vec<PlanBody>, Vec<PlanBody>) = plans
        .iter()
        .filter(|plan| plan.action != "nothing")
        .cloned()
        .partition(|plan| plan.problem.is_none());
    let names: Vec<InstanceName> = due
        .iter()
        .filter_map(|plan| InstanceName::parse(&plan.instance).ok())
        .collect();
    for plan in &due {
        if let Some(fit) = plan.fit.as_ref().and_then(FitBody::to_fit) {
            fit::doubt(&plan.instance, &fit, output);
        }
    }
    let mut applied = Vec::new();
    let mut failed = None;
    if !names.is_empty() {
        let mut session = session::act_through(target, &names).await?;
        failed = one_by_one(target, &mut session, &names, args, output, &mut applied).await?;
        session.end().await;
    }
    if args.json {
        output.json(&applied)?;
    } else if due.is_empty() && broken.is_empty() {
        output.say("nothing to do: everything that runs is what its file says");
    }
    for plan in &broken {
        let problem = plan.problem.as_deref().unwrap_or("its file cannot be used");
        let left = if plan.action == "restart" {
            "it goes on as it is, because it would not start again: "
        } else {
            ""
        };
        output.error(&format!("{}: {left}{problem}", plan.instance));
    }
    let refused = (!broken.is_empty()).then_some(Exit::General);
    Ok(failed.or(refused).unwrap_or(Exit::Success))
}

/// One after the other, so that the fleet is never away as a whole; the first that does not come
/// back ends it.
async fn one_by_one(
    target: &Target,
    session: &mut Session,
    names: &[InstanceName],
    args: &ApplyArgs,
    output: &Output,
    applied: &mut Vec<PlanBody>,
) -> Result<Option<Exit>, CliError> {
    let patience = if args.no_wait {
        Patience::None
    } else {
        Patience::Endless
    };
    for (index, name) in names.iter().enumerate() {
        let answer = session.client.apply(name).await?;
        output.say(&format!("{name}: {}", done(&answer.plan)));
        let restarts = answer.plan.action == "restart";
        applied.push(answer.plan);
        if !restarts || patience == Patience::None {
            continue;
        }
        let outcome = act::until_ready(target, session, name, answer.generation, output).await?;
        if outcome != Exit::Success {
            let rest: Vec<&str> = names[index + 1..]
                .iter()
                .map(InstanceName::as_str)
                .collect();
            if !rest.is_empty() {
                output.hint(&format!("left as they are: {}", rest.join(", ")));
            }
            return Ok(Some(outcome));
        }
    }
    Ok(None)
}

fn done(plan: &PlanBody) -> String {
    let fields: Vec<&str> = plan
        .changes
        .iter()
        .map(|change| change.field.as_str())
        .collect();
    match plan.action.as_str() {
        "restart" => format!("restarting for {}", fields.join(", ")),
        "live" => format!("applied {}", fields.join(", ")),
        _ => "nothing to do".to_owned(),
    }
}

/// Asks the owner, or compares the run files with the configurations when there is none.
async fn plans(target: &Target, chosen: Option<&InstanceName>) -> Result<Vec<PlanBody>, CliError> {
    let mut plans = match (target.client().plans().await, target) {
        (Ok(body), _) => body.plans,
        (Err(ClientError::NoOwner { .. }), Target::Here(home)) => {
            let set = load::load(home);
            let fleet = offline::fleet(home, &set);
            let plans = plan::plans(&fleet, &configs::of_set(&set));
            weighed(&plans, home, None)
        }
        (Err(error), _) => return Err(error.into()),
    };
    if let Some(name) = chosen {
        plans.retain(|plan| plan.instance == name.as_str());
    }
    Ok(plans)
}

fn print(plans: &[PlanBody], output: &Output) -> Result<(), CliError> {
    let mut lines = Vec::new();
    for plan in plans.iter().filter(|plan| plan.action != "nothing") {
        let (color, what) = match plan.action.as_str() {
            "restart" => (Paint::Busy, "needs a restart"),
            "live" => (Paint::Good, "applies to the running instance"),
            _ => (Paint::Bad, "cannot be used"),
        };
        let what = paint(output.stdout_color, color, what);
        lines.push(format!("{}: {what}", plan.instance));
        let stands = if plan.action == "restart" {
            "it would not start: "
        } else {
            ""
        };
        lines.extend(
            plan.problem
                .iter()
                .map(|problem| format!("  {stands}{problem}")),
        );
        for change in &plan.changes {
            let shown = |value: &Option<String>| {
                value
                    .as_deref()
                    .map_or_else(|| "(not set)".to_owned(), drift::shown)
            };
            let needs = match change.needs.as_str() {
                "restart" => "needs a restart",
                _ => "live",
            };
            lines.push(format!(
                "  {}: {} → {}  ({needs})",
                change.field,
                shown(&change.was),
                shown(&change.now)
            ));
        }
        lines.extend(plan.fit.as_ref().map(|fit| fit_line(fit, output)));
    }
    if lines.is_empty() {
        output.say("nothing to do: everything that runs is what its file says");
        return Ok(());
    }
    output.line(&lines.join("\n"))?;
    let applies = |plan: &&PlanBody| plan.problem.is_none() && plan.action != "nothing";
    match plans.iter().filter(applies).collect::<Vec<_>>()[..] {
        [] => {}
        [only] => output.hint(&format!("do it: llama-orch apply {}", only.instance)),
        [..] => output.hint("do it, one after the other: llama-orch apply"),
    }
    Ok(())
}

/// Whether what a restart starts will fit, with the numbers and what would help.
fn fit_line(fit: &FitBody, output: &Output) -> String {
    let verdict = Verdict::parse(&fit.verdict).unwrap_or(Verdict::Unknown);
    let color = match verdict {
        Verdict::Fits => Paint::Good,
        Verdict::Unknown => Paint::Dim,
        Verdict::Tight => Paint::Busy,
        Verdict::WillNotFit => Paint::Bad,
    };
    let phrase = paint(output.stdout_color, color, verdict.phrase());
    let remedy = fit.remedy.as_ref().map(|remedy| format!("; {remedy}"));
    format!(
        "  memory: {phrase}: {}{}",
        fit.summary,
        remedy.unwrap_or_default()
    )
}

fn exit(plans: &[PlanBody]) -> Exit {
    if plans.iter().any(|plan| plan.problem.is_some()) {
        Exit::General
    } else {
        Exit::Success
    }
}
