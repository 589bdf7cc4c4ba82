//! What the owner may run for one phase of a work unit.

/// Bytes of a command with all its arguments; far below what the kernel takes.
const BYTES_LIMIT: usize = 64 << 10;

/// A program and its arguments; run without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseCommand(Vec<String>);

/// The list is not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    #[error("a command needs a program as its first word")]
    Empty,
    #[error("a command holds no NUL bytes")]
    Nul,
    #[error("a command has at most {BYTES_LIMIT} bytes; put it into a script")]
    TooLong,
}

impl PhaseCommand {
    /// Checks a program with its arguments.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with it.
    pub fn parse(argv: Vec<String>) -> Result<Self, InvalidCommand> {
        if argv.first().is_none_or(|program| program.trim().is_empty()) {
            return Err(InvalidCommand::Empty);
        }
        if argv.iter().any(|word| word.contains('\0')) {
            return Err(InvalidCommand::Nul);
        }
        if argv.iter().map(|word| word.len() + 1).sum::<usize>() > BYTES_LIMIT {
            return Err(InvalidCommand::TooLong);
        }
        Ok(Self(argv))
    }

    /// Returns the program and its arguments; never empty.
    #[must_use]
    pub fn argv(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_a_program_and_fits() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let rows = [
            (words(&["make", "test", ""]), None),
            (words(&[]), Some(InvalidCommand::Empty)),
            (words(&[" ", "x"]), Some(InvalidCommand::Empty)),
            (words(&["a\0b"]), Some(InvalidCommand::Nul)),
            (vec!["x".repeat(BYTES_LIMIT)], Some(InvalidCommand::TooLong)),
        ];
        for (argv, wrong) in rows {
            assert_eq!(
                PhaseCommand::parse(argv.clone()).err(),
                wrong,
                "{argv:.20?}"
            );
        }
    }
}
