//! The instance table of `ps` and of the live view.

use super::output::{Paint, paint};
use crate::domain::fleet::InstanceRow;
use crate::domain::lifecycle::{Health, Status};

/// The widest a column grows before its text is cut.
const COLUMN_LIMIT: usize = 32;

const HEADERS: [&str; 9] = [
    "NAME", "PID", "PORT", "BACKEND", "DEVICE", "MODEL", "STATUS", "HEALTH", "UPTIME",
];

/// How a table is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableStyle {
    /// Aligned columns for a person.
    Aligned { color: bool },
    /// Tabs and nothing else, for a pipe.
    Tabs,
}

/// Draws the table, one string per line.
#[must_use]
pub(super) fn draw(rows: &[InstanceRow], style: TableStyle, now: f64) -> Vec<String> {
    let cells: Vec<[String; 9]> = rows.iter().map(|row| cells(row, now)).collect();
    match style {
        TableStyle::Tabs => {
            let head = HEADERS.join("\t");
            std::iter::once(head)
                .chain(cells.iter().map(|row| row.join("\t")))
                .collect()
        }
        TableStyle::Aligned { color } => aligned(rows, &cells, color),
    }
}

fn aligned(rows: &[InstanceRow], cells: &[[String; 9]], color: bool) -> Vec<String> {
    let widths: [usize; 9] = std::array::from_fn(|column| {
        let longest = cells
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0);
        longest.clamp(HEADERS[column].len(), COLUMN_LIMIT)
    });
    let mut lines = Vec::with_capacity(rows.len() + 1);
    let head: [String; 9] = std::array::from_fn(|column| fit(HEADERS[column], widths[column]));
    lines.push(paint(color, Paint::Dim, head.join("  ").trim_end()));
    for (row, texts) in rows.iter().zip(cells) {
        let padded: [String; 9] = std::array::from_fn(|column| {
            let text = fit(&texts[column], widths[column]);
            match column {
                6 => paint(color, status_paint(row), &text),
                7 => paint(color, health_paint(row.health), &text),
                _ => text,
            }
        });
        lines.push(padded.join("  ").trim_end().to_owned());
    }
    lines
}

fn cells(row: &InstanceRow, now: f64) -> [String; 9] {
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
    [
        row.name.to_string(),
        row.pid.map_or_else(dash, |pid| pid.to_string()),
        row.port.map_or_else(dash, |port| port.to_string()),
        row.backend.clone(),
        row.device.clone(),
        row.model.clone(),
        status,
        row.health.to_string(),
        row.started_at
            .map_or_else(dash, |start| duration((now - start).max(0.0) as u64)),
    ]
}

/// Writes seconds as the two largest units: `42s`, `5m10s`, `3h04m`, `2d04h`.
#[must_use]
pub(super) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days}d{:02}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h{:02}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m{:02}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
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
    fn durations_show_their_two_largest_units() {
        let rows = [
            (0, "0s"),
            (59, "59s"),
            (61, "1m01s"),
            (3_600, "1h00m"),
            (187_200, "2d04h"),
        ];
        for (seconds, text) in rows {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn long_texts_are_cut_with_a_sign() {
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("ab", 4), "ab  ");
    }
}
