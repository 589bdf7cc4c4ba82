//! `completions` and `man`: what shells and manuals are told of the commands.

use std::fs;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::exit::{CliError, Exit};
use super::help;
use super::output::Output;

/// `llama-orch completions SHELL`
///
/// # Errors
///
/// Returns an error when stdout cannot be written.
pub(super) fn completions(shell: Shell, output: &Output) -> Result<Exit, CliError> {
    let mut text = Vec::new();
    let mut tree = visible(&help::command());
    clap_complete::generate(shell, &mut tree, "llama-orch", &mut text);
    output.bytes(&text)?;
    Ok(Exit::Success)
}

/// Returns the tree without its hidden commands, which completions would offer.
fn visible(command: &Command) -> Command {
    // Names in a tree live as long as the program; this one is built once, and the program ends.
    let name: &'static str = command.get_name().to_owned().leak();
    let mut tree = Command::new(name).disable_help_subcommand(true);
    if let Some(about) = command.get_about() {
        tree = tree.about(about.clone());
    }
    for argument in command.get_arguments().filter(|one| !one.is_hide_set()) {
        tree = tree.arg(argument.clone());
    }
    for alias in command.get_visible_aliases() {
        let alias: &'static str = alias.to_owned().leak();
        tree = tree.visible_alias(alias);
    }
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        tree = tree.subcommand(visible(sub));
    }
    tree
}

/// `llama-orch man [DIR]`: a page per command into a folder, or the main page to stdout.
///
/// # Errors
///
/// Returns an error when a page cannot be written.
pub(super) fn man(folder: Option<&Path>, output: &Output) -> Result<Exit, CliError> {
    let mut command = help::command();
    command.build();
    let Some(folder) = folder else {
        output.bytes(&page(command)?)?;
        return Ok(Exit::Success);
    };
    fs::create_dir_all(folder)?;
    let mut pages = 0;
    write(&command, folder, &mut pages)?;
    output.say(&format!("{pages} pages in {}", folder.display()));
    Ok(Exit::Success)
}

fn write(command: &Command, folder: &Path, pages: &mut usize) -> Result<(), CliError> {
    // A command's own name is the last word; a page is called by all of them.
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, page(command.clone())?)
        .map_err(|error| CliError::new(Exit::General, format!("{}: {error}", path.display())))?;
    *pages += 1;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        write(sub, folder, pages)?;
    }
    Ok(())
}

fn page(command: Command) -> Result<Vec<u8>, CliError> {
    let mut text = Vec::new();
    Man::new(command).render(&mut text)?;
    Ok(text)
}
