//! Tables of words: aligned for a person, tab-separated for a pipe.

use super::output::{Flow, Output, Paint, paint};

/// Prints a table; cells hold no tabs or newlines.
///
/// # Errors
///
/// Returns an error when stdout cannot be written.
pub(super) fn print<const N: usize>(
    output: &Output,
    head: [&str; N],
    rows: &[[String; N]],
) -> std::io::Result<Flow> {
    let mut lines = Vec::with_capacity(rows.len() + 1);
    let head = head.map(str::to_owned);
    if output.stdout_is_terminal {
        let widths: [usize; N] = std::array::from_fn(|column| {
            std::iter::once(&head)
                .chain(rows)
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        });
        let aligned = |row: &[String; N]| {
            let cells: [String; N] =
                std::array::from_fn(|column| format!("{:1$}", row[column], widths[column]));
            cells.join("  ").trim_end().to_owned()
        };
        lines.push(paint(output.stdout_color, Paint::Dim, &aligned(&head)));
        lines.extend(rows.iter().map(aligned));
    } else {
        lines.push(head.join("\t"));
        lines.extend(rows.iter().map(|row| row.join("\t")));
    }
    output.line(&lines.join("\n"))
}
