//! The instance table of `ps`.

use super::output::{Paint, paint};
use crate::domain::fleet::{InstanceRow, WEDGED};
use crate::domain::lifecycle::{Health, Status};
use crate::domain::units::{duration, short_size};

/// The widest a column grows before its text is cut.
const COLUMN_LIMIT: usize = 32;

/// What every table has, for people and for scripts.
const HEADERS: [&str; 9] = [
    "NAME", "PID", "PORT", "BACKEND", "DEVICE", "MODEL", "STATUS", "HEALTH", "UPTIME",
];

/// What is added for a person whose terminal is wide enough; scripts find it in `--json`.
const MEASURED: [&str; 4] = ["CPU", "MEM", "SLOTS", "TOK/S"];

/// The columns whose text is coloured.
const STATUS: usize = 6;
const HEALTH: usize = 7;

/// How a table is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableStyle {
    /// Aligned columns for a person, as many as fit.
    Aligned { color: bool },
    /// Tabs and nothing else, for a pipe.
    Tabs,
}

/// Draws the table, one string per line.
#[must_use]
pub(super) fn draw(rows: &[InstanceRow], style: TableStyle, now: f64) -> Vec<String> {
    match style {
        TableStyle::Tabs => {
            let head = HEADERS.join("\t");
            std::iter::once(head)
                .chain(rows.iter().map(|row| cells(row, now).join("\t")))
                .collect()
        }
        TableStyle::Aligned { color } => aligned(rows, color, now, terminal_width()),
    }
}

/// Columns of the terminal that stdout is, if it is one.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

fn aligned(rows: &[InstanceRow], color: bool, now: f64, width: Option<usize>) -> Vec<String> {
    let mut headers: Vec<&str> = HEADERS.to_vec();
    let mut cells: Vec<Vec<String>> = rows.iter().map(|row| cells(row, now)).collect();
    if rows.iter().any(|row| row.status.is_live()) {
        headers.extend(MEASURED);
        for (cells, row) in cells.iter_mut().zip(rows) {
            cells.extend(measured(row));
        }
    }
    let widths: Vec<usize> = headers
        .iter()
        .enumerate()
        .map(|(column, header)| {
            let lengths = cells.iter().map(|row| row[column].chars().count());
            let longest = lengths.max().unwrap_or(0);
            longest.clamp(header.len(), COLUMN_LIMIT)
        })
        .collect();
    let shown = shown(&widths, width);
    let mut lines = Vec::with_capacity(rows.len() + 1);
    let head: Vec<String> = (0..shown)
        .map(|column| fit(headers[column], widths[column]))
        .collect();
    lines.push(paint(color, Paint::Dim, head.join("  ").trim_end()));
    for (row, texts) in rows.iter().zip(cells) {
        let padded: Vec<String> = (0..shown)
            .map(|column| {
                let text = fit(&texts[column], widths[column]);
                match column {
                    STATUS => paint(color, status_paint(row), &text),
                    HEALTH => paint(color, health_paint(row.health), &text),
                    _ => text,
                }
            })
            .collect();
        lines.push(padded.join("  ").trim_end().to_owned());
    }
    lines
}

/// Returns how many columns fit; the ordinary ones are always shown.
fn shown(widths: &[usize], width: Option<usize>) -> usize {
    let Some(width) = width else {
        return widths.len();
    };
    let mut end = 0;
    let fitting = widths.iter().take_while(|column| {
        end += **column + 2;
        end - 2 <= width
    });
    fitting.count().max(HEADERS.len()).min(widths.len())
}

fn cells(row: &InstanceRow, now: f64) -> Vec<String> {
    let dash = || "-".to_owned();
    let status = match (row.broken, row.restart_at) {
        (true, _) if !row.status.is_live() => "invalid".to_owned(),
        (_, Some(at)) => format!("backoff {}s", (at - now).max(0.0).ceil()),
        (_, None) => match &row.autopsy {
            Some(autopsy) if row.status == Status::Failed => {
                format!("failed: {}", autopsy.cause.label())
            }
            Some(_) | None => row.status.to_string(),
        },
    };
    let health = match (row.health, row.progress) {
        (Health::Loading, Some(percent)) => format!("{} {percent}%", row.health),
        (Health::Unhealthy, _) if row.is_wedged() => format!("{}: {WEDGED}", row.health),
        (_, _) => row.health.to_string(),
    };
    vec![
        row.name.to_string(),
        row.pid.map_or_else(dash, |pid| pid.to_string()),
        row.port.map_or_else(dash, |port| port.to_string()),
        row.backend.clone(),
        row.device.clone(),
        row.model.clone(),
        status,
        health,
        row.started_at
            .map_or_else(dash, |start| duration(now - start)),
    ]
}

/// What was measured of the run; a dash where nobody knows.
fn measured(row: &InstanceRow) -> [String; 4] {
    let dash = || "-".to_owned();
    let readings = &row.readings;
    [
        readings
            .cpu_percent
            .map_or_else(dash, |percent| format!("{percent:.0}%")),
        readings.rss_bytes.map_or_else(dash, short_size),
        match (readings.busy_slots, readings.slots) {
            (Some(busy), Some(slots)) => format!("{busy}/{slots}"),
            (Some(busy), None) => busy.to_string(),
            (None, _) => dash(),
        },
        readings
            .tokens_per_second
            .map_or_else(dash, |rate| format!("{rate:.1}")),
    ]
}

fn fit(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return format!("{text}{}", " ".repeat(width - length));
    }
    let mut cut: String = text.chars().take(width - 1).collect();
    cut.push('…');
    cut
}

fn status_paint(row: &InstanceRow) -> Paint {
    match row.status {
        Status::Running => Paint::Good,
        Status::Starting | Status::Stopping | Status::Backoff => Paint::Busy,
        Status::Failed => Paint::Bad,
        Status::Stopped if row.broken => Paint::Bad,
        Status::Stopped => Paint::Dim,
    }
}

fn health_paint(health: Health) -> Paint {
    match health {
        Health::Healthy => Paint::Good,
        Health::Loading => Paint::Busy,
        Health::Unhealthy | Health::Error => Paint::Bad,
        Health::Unknown => Paint::Dim,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wedged_server_is_unhealthy_and_told_apart() {
        let rows = [
            (
                Health::Unhealthy,
                Some("wedged: no counter moved"),
                "unhealthy: wedged",
            ),
            (Health::Unhealthy, Some("unreachable: refused"), "unhealthy"),
            (Health::Healthy, None, "healthy"),
        ];
        for (health, reason, shown) in rows {
            let row = crate::domain::fleet::tests::row(Status::Running, health, reason);
            assert_eq!(cells(&row, 0.0)[HEALTH], shown);
        }
    }

    #[test]
    fn measured_columns_go_first_when_the_terminal_is_narrow() {
        let widths = [4, 3, 4, 7, 6, 5, 6, 6, 6, 3, 3, 5, 5];
        let rows = [
            (None, 13),
            (Some(87), 13),
            (Some(86), 12),
            (Some(75), 11),
            (Some(10), 9),
        ];
        for (width, columns) in rows {
            assert_eq!(shown(&widths, width), columns, "{width:?}");
        }
        assert_eq!(shown(&widths[..9], Some(200)), 9);
    }

    #[test]
    fn long_texts_are_cut_with_a_sign() {
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("ab", 4), "ab  ");
    }
}
