//! README.md tells the truth: its tables of commands, fields and exit codes are made from the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use llama_orch::cli::exit::Exit;
use llama_orch::cli::help;
use llama_orch::config::Format;
use llama_orch::config::defaults::{defaults, of_settings};
use llama_orch::config::fields::{Change, Field, INSTANCE, SETTINGS};

/// Set it to write the tables instead of comparing them.
const UPDATE: &str = "UPDATE_README";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

fn commands() -> String {
    let mut text = "| Command | What it does | Options |\n|---|---|---|\n".to_owned();
    rows(&help::command(), "", &mut text);
    text
}

fn rows(command: &clap::Command, before: &str, text: &mut String) {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let path = format!("{before}{}", sub.get_name());
        if sub.get_subcommands().next().is_some() {
            rows(sub, &format!("{path} "), text);
            continue;
        }
        let shown = sub.get_arguments().filter(|one| !one.is_hide_set());
        let (options, positions): (Vec<_>, Vec<_>) =
            shown.partition(|one| one.get_long().is_some() || one.get_short().is_some());
        let mut typed = path;
        for position in positions {
            let names = position.get_value_names().unwrap_or_default();
            let name = names.first().map_or_else(String::new, ToString::to_string);
            let many = position
                .get_num_args()
                .is_some_and(|range| range.max_values() > 1);
            let dots = if many { "…" } else { "" };
            if position.is_required_set() {
                write!(typed, " {name}{dots}").unwrap();
            } else {
                write!(typed, " [{name}{dots}]").unwrap();
            }
        }
        let options: Vec<String> = options
            .iter()
            .filter_map(|option| option.get_long())
            .filter(|long| !["help", "home", "color"].contains(long))
            .map(|long| format!("`--{long}`"))
            .collect();
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(
            text,
            "| `{typed}` | {} | {} |",
            cell(&about),
            options.join(" ")
        )
        .unwrap();
    }
}

fn fields(fields: &[Field], defaults: &BTreeMap<&str, toml::Value>) -> String {
    let mut text = "| Field | Default | Allowed | What it is for |\n|---|---|---|---|\n".to_owned();
    for field in fields {
        let default = defaults.get(field.path).map(|value| format!("`{value}`"));
        let default = default.unwrap_or_else(|| "–".to_owned());
        let mark = match field.change {
            Change::Static => " ⟳",
            Change::Dynamic | Change::Note => "",
        };
        writeln!(
            text,
            "| `{}`{mark} | {} | {} | {} |",
            field.path,
            cell(&default),
            cell(&field.kind.allowed()),
            cell(field.about)
        )
        .unwrap();
    }
    text
}

fn exit_codes() -> String {
    let mut text = "| Code | Means |\n|---|---|\n".to_owned();
    for exit in Exit::ALL {
        writeln!(text, "| {} | {} |", exit.code(), exit.words()).unwrap();
    }
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[test]
fn the_tables_are_those_of_the_code() {
    let mut readme = fs::read_to_string(path()).unwrap();
    let tables = [
        ("commands", commands()),
        ("exit codes", exit_codes()),
        ("fields", fields(INSTANCE, &defaults(Format::Toml))),
        ("settings", fields(SETTINGS, &of_settings())),
    ];
    let mut stale = Vec::new();
    for (name, table) in tables {
        let (start, end) = (
            format!("<!-- {name} -->\n"),
            format!("<!-- end of {name} -->"),
        );
        let (before, rest) = readme.split_once(&start).unwrap();
        let (found, after) = rest.split_once(&end).unwrap();
        if found != table {
            stale.push(name);
        }
        readme = format!("{before}{start}{table}{end}{after}");
    }
    if std::env::var_os(UPDATE).is_some() {
        fs::write(path(), readme).unwrap();
        return;
    }
    assert!(
        stale.is_empty(),
        "README.md's tables of {stale:?} are not those of the code; this writes them:\n\
         {UPDATE}=1 cargo test --locked --test it readme"
    );
}

#[test]
fn every_command_that_is_shown_can_be_typed() {
    let readme = fs::read_to_string(path()).unwrap();
    let tree = help::command();
    let mut shown = 0;
    let lines = readme.lines().map(str::trim_start);
    for line in lines.filter_map(|line| line.strip_prefix("$ llama-orch ")) {
        let line = line.split(['#', '>', '|', '&']).next().unwrap_or_default();
        let words = std::iter::once("llama-orch").chain(line.split_whitespace());
        let parsed = tree.clone().try_get_matches_from(words);
        assert!(parsed.is_ok(), "llama-orch {line}: {}", parsed.unwrap_err());
        shown += 1;
    }
    assert!(shown >= 10, "only {shown} commands are shown");
}
