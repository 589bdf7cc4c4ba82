//! The flags a build knows, read from its own help, and arguments checked against them.
//!
//! A flag is refused only when the help surely does not know it: builds and forks differ, and a
//! refusal of what would have worked is worse than a server that says so itself.

/// Less flags than any llama-server ever had: then the text was no help, or one of a wrapper.
const FEWEST: usize = 20;

/// Names that are less alike than this are not proposed.
const LIKENESS: f64 = 0.6;

/// What llama.cpp puts into its help for a flag that it only knows to refuse it.
const REMOVED: &str = "the argument has been removed";

/// Flags that were replaced by others of a different name; proposed only if the build knows them.
const SUCCESSORS: [(&str, &str, &str); 5] = [
    ("--mlock", "--load-mode", "--load-mode mlock"),
    ("--mmap", "--load-mode", "--load-mode mmap"),
    ("--no-mmap", "--load-mode", "--load-mode none"),
    ("-lm", "--no-mmap", "--no-mmap or --mlock"),
    ("--load-mode", "--no-mmap", "--no-mmap or --mlock"),
];

/// One flag with all its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    pub names: Vec<String>,
    /// How many arguments after it are its values.
    pub values: usize,
    /// The build refuses it, and says what took its place.
    pub removed: Option<String>,
}

/// All flags of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags(Vec<Flag>);

/// An argument that the build will refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    #[error("this build has no flag {flag}{}", proposal(.nearest.as_ref()))]
    Unknown {
        flag: String,
        nearest: Option<String>,
    },
    #[error("this build refuses {flag}: {advice}")]
    Removed { flag: String, advice: String },
}

impl FlagError {
    /// Returns the flag as it was written.
    #[must_use]
    pub fn flag(&self) -> &str {
        match self {
            Self::Unknown { flag, .. } | Self::Removed { flag, .. } => flag,
        }
    }
}

fn proposal(nearest: Option<&String>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"))
}

impl Flags {
    /// Wraps flags that were read before.
    #[must_use]
    pub fn new(flags: Vec<Flag>) -> Self {
        Self(flags)
    }

    /// Reads the flags out of a help text; `None` when it is none that we understand.
    #[must_use]
    pub fn parse(help: &str) -> Option<Self> {
        let mut flags: Vec<Flag> = Vec::new();
        for line in help.lines() {
            if let Some(flag) = Flag::parse(line) {
                flags.push(flag);
            } else if let Some(advice) = flags.last_mut().and_then(|flag| flag.removed.as_mut())
                && line.starts_with(' ')
                && !line.trim_start().starts_with("(env")
            {
                advice.push(' ');
                advice.push_str(line.trim());
            }
        }
        let known = Self(flags);
        let is_help = known.0.len() >= FEWEST && known.knows("--port") && known.knows("--host");
        is_help.then_some(known)
    }

    /// Lists the flags as they were read.
    #[must_use]
    pub fn all(&self) -> &[Flag] {
        &self.0
    }

    /// Returns whether the build knows a flag by this name.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<&Flag> {
        let is_called = |flag: &&Flag| flag.names.iter().any(|known| known == name);
        self.0.iter().find(is_called)
    }

    /// Looks for an argument that the build surely refuses.
    ///
    /// # Errors
    ///
    /// Returns the first one, with the name that was most likely meant.
    pub fn check(&self, args: &[String]) -> Result<(), FlagError> {
        match self.refused(args).into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// Lists every argument that the build surely refuses, with its place.
    #[must_use]
    pub fn refused(&self, args: &[String]) -> Vec<(usize, FlagError)> {
        let mut refused = Vec::new();
        let mut args = args.iter().enumerate();
        while let Some((place, arg)) = args.next() {
            let spelling = spelling(arg);
            let (name, joined) = match spelling.split_once('=') {
                Some((name, _)) => (name, true),
                None => (spelling.as_str(), false),
            };
            match self.find(name) {
                Some(Flag {
                    removed: Some(advice),
                    ..
                }) => {
                    let error = FlagError::Removed {
                        flag: name.to_owned(),
                        advice: advice.clone(),
                    };
                    refused.push((place, error));
                }
                Some(flag) if !joined => {
                    for _ in 0..flag.values {
                        args.next();
                    }
                }
                Some(_) => {}
                None if is_flag(name) => {
                    let error = FlagError::Unknown {
                        flag: name.to_owned(),
                        nearest: self.nearest(name),
                    };
                    refused.push((place, error));
                }
                // A value we took for none, or a word that the server itself will refuse.
                None => {}
            }
        }
        refused
    }

    /// Returns what was most likely meant.
    fn nearest(&self, name: &str) -> Option<String> {
        let successor = SUCCESSORS
            .iter()
            .find(|(old, new, _)| *old == name && self.knows(new));
        if let Some((_, _, advice)) = successor {
            return Some((*advice).to_owned());
        }
        let names = self.0.iter().filter(|flag| flag.removed.is_none());
        names
            .flat_map(|flag| &flag.names)
            .map(|known| (known, strsim::normalized_damerau_levenshtein(known, name)))
            .filter(|(_, likeness)| *likeness >= LIKENESS)
            .max_by(|left, right| left.1.total_cmp(&right.1))
            .map(|(known, _)| known.clone())
    }
}

impl Flag {
    /// Reads a line such as `-b,    --batch-size N      logical maximum batch size (default: 2048)`.
    fn parse(line: &str) -> Option<Self> {
        if !is_flag(line) {
            return None;
        }
        let mut names = Vec::new();
        let mut rest = line;
        loop {
            let word = rest.split_whitespace().next().unwrap_or_default();
            let name = word.trim_end_matches(',');
            if !is_flag(name) {
                break;
            }
            names.push(name.to_owned());
            rest = &rest[rest.find(word).unwrap_or(0) + word.len()..];
            if name.len() == word.len() {
                break;
            }
        }
        // The values' names follow after one space, the text after several or on the next line.
        let (hint, text) = match rest.split_once("  ") {
            Some((hint, text)) => (hint, text.trim()),
            None => (rest, ""),
        };
        Some(Self {
            names,
            values: values_in(hint),
            removed: text.starts_with(REMOVED).then(|| text.to_owned()),
        })
    }
}

/// Counts the words of a hint such as `START END`; what is in brackets belongs together.
fn values_in(hint: &str) -> usize {
    let mut depth = 0_i32;
    let outside: String = hint
        .chars()
        .map(|letter| {
            match letter {
                '<' | '[' | '{' | '(' => depth += 1,
                '>' | ']' | '}' | ')' => depth -= 1,
                _ => {}
            }
            if depth > 0 && letter == ' ' {
                '_'
            } else {
                letter
            }
        })
        .collect();
    outside.split_whitespace().count()
}

/// llama-server takes `--ctx_size` for `--ctx-size`.
fn spelling(arg: &str) -> String {
    if arg.starts_with("--") {
        let (name, value) = arg
            .split_once('=')
            .map_or((arg, None), |(name, value)| (name, Some(value)));
        let name = name.replace('_', "-");
        value.map_or(name.clone(), |value| format!("{name}={value}"))
    } else {
        arg.to_owned()
    }
}

/// A dash and a letter, or two dashes and a letter; `-1` is a number.
fn is_flag(word: &str) -> bool {
    let bare = word
        .strip_prefix("--")
        .or_else(|| word.strip_prefix('-'))
        .unwrap_or_default();
    bare.starts_with(|letter: char| letter.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The help of the build that the recordings in `tests/data/stderr` come from.
    const HELP: &str = include_str!("../../tests/data/help.txt");

    fn known() -> Flags {
        Flags::parse(HELP).expect("a help")
    }

    #[test]
    fn names_and_values_are_read_from_a_real_help() {
        let rows = [
            ("-h", 0),
            ("--usage", 0),
            ("-b", 1),
            ("--ctx-size", 1),
            ("--cpu-range", 1),
            ("--flash-attn", 1),
            ("--override-tensor", 1),
            ("--control-vector-layer-range", 2),
            ("--no-kv-offload", 0),
            ("-nkvo", 0),
            ("--hf-repo", 1),
            ("--split-mode", 1),
            ("--cont-batching", 0),
            ("--metrics", 0),
        ];
        let flags = known();
        assert!(flags.all().len() > 200, "{}", flags.all().len());
        for (name, values) in rows {
            let flag = flags.find(name).unwrap_or_else(|| unreachable!("{name}"));
            assert_eq!(flag.values, values, "{name}");
        }
        for stranger in ["-----", "--", "-1", "--no-mmap"] {
            assert!(!flags.knows(stranger), "{stranger}");
        }
    }

    #[test]
    fn only_what_the_build_surely_refuses_is_refused() {
        let rows = [
            ("--model m.gguf --port 8080 -c 4096 -ngl -1", None),
            ("--ctx_size 4096 --ctx-size=4096", None),
            ("-n -1 --temp -0.5 word --seed -2", None),
            ("--chat-template --not-a-flag", None),
            ("--control-vector-layer-range -1 -x", None),
            ("-fa on -fit off --jinja", None),
            (
                "--ctx-sise 5",
                Some("this build has no flag --ctx-sise; did you mean --ctx-size?"),
            ),
            (
                "--no-mmap",
                Some("this build has no flag --no-mmap; did you mean --load-mode none?"),
            ),
            (
                "--metrics --xyzzy=3",
                Some("this build has no flag --xyzzy"),
            ),
            (
                "--draft-max 8",
                Some(
                    "this build refuses --draft-max: the argument has been removed. use \
                     --spec-draft-n-max or --spec-ngram-mod-n-max",
                ),
            ),
        ];
        let flags = known();
        for (args, expected) in rows {
            let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
            let found = flags.check(&args).err().map(|error| error.to_string());
            assert_eq!(found.as_deref(), expected, "{args:?}");
        }
    }

    #[test]
    fn what_is_no_help_says_nothing() {
        for text in [
            "",
            "usage: wrapper [--port N]\n",
            "--port N\n--host H\n--help\n",
        ] {
            assert_eq!(Flags::parse(text), None);
        }
    }
}
