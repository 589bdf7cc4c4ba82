//! The table of flags: what the simulated server accepts and how `--help` shows it.

use std::fmt::Write as _;

/// One line per flag; the file says what its columns are.
const TABLE: &str = include_str!("flags.txt");

/// The column at which `--help` starts its texts, as in llama-server.
const TEXT_COLUMN: usize = 40;

/// The width of a line of `--help`.
const LINE_WIDTH: usize = 120;

/// One flag with all its spellings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flag {
    names: Vec<&'static str>,
    value: &'static str,
    /// The environment variable that sets it; empty when there is none.
    pub(super) environment: &'static str,
    text: &'static str,
}

/// The flags under one heading of `--help`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    title: &'static str,
    pub(super) flags: Vec<Flag>,
}

/// Returns all flags, section by section.
pub(super) fn sections() -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        if let Some(title) = line.strip_prefix("= ") {
            sections.push(Section {
                title,
                flags: Vec::new(),
            });
        } else if let Some(section) = sections.last_mut() {
            section.flags.push(Flag::from_line(line));
        }
    }
    sections
}

/// Returns the text of `--help`.
pub(super) fn help() -> String {
    let mut text = String::new();
    for (position, section) in sections().iter().enumerate() {
        if position > 0 {
            text.push_str("\n\n");
        }
        writeln!(text, "----- {} -----\n", section.title).ok(); // a String never refuses
        for flag in &section.flags {
            text.push_str(&flag.help());
        }
    }
    text
}

/// Returns the flag that has this spelling or this variable.
pub(super) fn find(word: &str) -> Option<Flag> {
    let mut flags = sections().into_iter().flat_map(|section| section.flags);
    flags.find(|flag| flag.is_spelled(word) || (!word.is_empty() && flag.environment == word))
}

/// Returns the lines of `--help` for one flag.
pub(super) fn usage(spelling: &str) -> String {
    let mut flags = sections().into_iter().flat_map(|section| section.flags);
    let flag = flags.find(|flag| flag.is_spelled(spelling));
    flag.map(|flag| flag.help()).unwrap_or_default()
}

impl Flag {
    fn from_line(line: &'static str) -> Self {
        let mut columns = line.splitn(4, ';').map(str::trim);
        let mut next = || columns.next().unwrap_or_default();
        Self {
            names: next().split(", ").collect(),
            value: next(),
            environment: next(),
            text: next(),
        }
    }

    /// Returns the name under which the parsed value is kept: the last one that is not a negation.
    pub(super) fn key(&self) -> &'static str {
        self.names
            .iter()
            .rev()
            .find(|name| !self.negates(name))
            .or(self.names.first())
            .copied()
            .unwrap_or_default()
    }

    /// Returns whether the flag is spelled like this.
    pub(super) fn is_spelled(&self, argument: &str) -> bool {
        self.names.contains(&argument)
    }

    /// Returns whether this spelling switches the flag off.
    pub(super) fn negates(&self, name: &str) -> bool {
        let affirmed_first = self.names.first().is_some_and(|first| *first != name);
        let negative = name.starts_with("--no-") || name.starts_with("-no") || name == "-nkvo";
        self.value.is_empty() && affirmed_first && negative
    }

    /// Returns the spelling that switches the flag off.
    pub(super) fn off(&self) -> Option<&'static str> {
        let mut names = self.names.iter().rev();
        names.find(|name| self.negates(name)).copied()
    }

    /// Returns how many values follow the flag.
    pub(super) fn values(&self) -> usize {
        match self.value {
            "" => 0,
            "START END" => 2,
            _ => 1,
        }
    }

    /// Returns the flag's lines of `--help`.
    pub(super) fn help(&self) -> String {
        let mut names = self.names.join(", ");
        if let [short, rest @ ..] = self.names.as_slice()
            && !rest.is_empty()
            && short.len() < 6
        {
            names = format!("{:<7}{}", format!("{short},"), rest.join(", "));
        }
        if !self.value.is_empty() {
            names = format!("{names} {}", self.value);
        }
        let text = if self.text.is_empty() {
            "accepted; has no effect on the simulation"
        } else {
            self.text
        };
        let mut lines = wrap(text, LINE_WIDTH - TEXT_COLUMN);
        if !self.environment.is_empty() {
            lines.push(format!("(env: {})", self.environment));
        }
        let mut help = String::new();
        let mut margin = names;
        if margin.len() >= TEXT_COLUMN {
            help = format!("{margin}\n");
            margin = String::new();
        }
        for line in lines {
            writeln!(help, "{margin:<TEXT_COLUMN$}{line}").ok(); // a String never refuses
            margin.clear();
        }
        help
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(spelling: &str) -> Flag {
        sections()
            .into_iter()
            .flat_map(|section| section.flags)
            .find(|flag| flag.is_spelled(spelling))
            .expect("the flag is in the table")
    }

    #[test]
    fn every_spelling_and_variable_stands_once() {
        let flags: Vec<Flag> = sections().into_iter().flat_map(|s| s.flags).collect();
        let mut spellings: Vec<&str> = flags.iter().flat_map(|f| f.names.clone()).collect();
        let mut variables: Vec<&str> = flags
            .iter()
            .map(|f| f.environment)
            .filter(|name| !name.is_empty())
            .collect();
        assert!(spellings.iter().all(|name| name.starts_with('-')));
        for names in [&mut spellings, &mut variables] {
            let all = names.len();
            assert!(all > 100);
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all);
        }
    }

    #[test]
    fn the_key_is_the_last_affirmative_name() {
        for (spelling, key, values) in [
            ("-ngl", "--n-gpu-layers", 1),
            ("--verbosity", "--log-verbosity", 1),
            ("--no-slots", "--slots", 0),
            ("--no-host", "--no-host", 0),
            ("--no-webui", "--webui", 0),
            ("-h", "--usage", 0),
            (
                "--control-vector-layer-range",
                "--control-vector-layer-range",
                2,
            ),
            ("--sim-flood", "--sim-flood", 1),
        ] {
            let flag = flag(spelling);
            assert_eq!((flag.key(), flag.values()), (key, values), "{spelling}");
        }
    }

    #[test]
    fn help_has_the_columns_of_llama_server() {
        for (spelling, lines) in [
            (
                "--port",
                "--port PORT                             port to listen on, 0 = chosen by the kernel (default: 8080)\n\
                 \x20                                       (env: LLAMA_ARG_PORT)\n",
            ),
            (
                "-a",
                "-a,    --alias STRING                   model names shown to clients, separated by commas\n\
                 \x20                                       (env: LLAMA_ARG_ALIAS)\n",
            ),
            (
                "-ncmoe",
                "-ncmoe, --n-cpu-moe N                   accepted; has no effect on the simulation\n\
                 \x20                                       (env: LLAMA_ARG_N_CPU_MOE)\n",
            ),
            (
                "--dry-base",
                "--dry-base N                            accepted; has no effect on the simulation\n",
            ),
        ] {
            assert_eq!(flag(spelling).help(), lines);
        }
        assert!(help().contains("\n\n----- simulation -----\n\n--sim-load-time DURATION"));
    }
}
