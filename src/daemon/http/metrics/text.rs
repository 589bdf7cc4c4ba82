//! Numbers as text that Prometheus and everything OpenMetrics reads.

use std::fmt::{Display, Write as _};

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// What every Prometheus reads (0.0.4).
    Plain,
    /// OpenMetrics 1.0, for those who ask for it.
    Open,
}

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only rises, until the owner is another.
    Counter,
    /// How many fell below each bound.
    Histogram,
}

/// The text so far.
pub(super) struct Text {
    format: Format,
    text: String,
    name: &'static str,
    kind: Kind,
}

impl Format {
    /// Chooses what whoever asks likes best, by the values of `Accept`; the plain one for those who
    /// do not know the other.
    pub(super) fn liked_by<'a>(accepted: impl Iterator<Item = &'a str>) -> Self {
        let (mut plain, mut open) = (0.0_f32, 0.0_f32);
        for kind in accepted.flat_map(|value| value.split(',')) {
            let mut parts = kind.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality = quality.map_or(1.0, |text| text.parse().unwrap_or(0.0));
            match name.to_ascii_lowercase().as_str() {
                "application/openmetrics-text" => open = open.max(quality),
                "text/plain" | "text/*" => plain = plain.max(quality),
                _ => {}
            }
        }
        if open > 0.0 && open >= plain {
            Self::Open
        } else {
            Self::Plain
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Text {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            text: String::new(),
            name: "",
            kind: Kind::Gauge,
        }
    }

    /// Begins a family; `name` ends with its unit, and a counter's lacks the `_total`.
    pub(super) fn family(&mut self, kind: Kind, name: &'static str, help: &str) {
        (self.name, self.kind) = (name, kind);
        let word = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        let named = match (kind, self.format) {
            (Kind::Counter, Format::Plain) => format!("{name}_total"),
            (Kind::Counter, Format::Open) | (Kind::Gauge | Kind::Histogram, _) => name.to_owned(),
        };
        self.line(format_args!("# HELP {named} {help}."));
        self.line(format_args!("# TYPE {named} {word}"));
        let unit = ["seconds", "bytes", "ratio", "celsius"];
        if let (Format::Open, Some(unit)) = (
            self.format,
            unit.iter().find(|unit| name.ends_with(&format!("_{unit}"))),
        ) {
            self.line(format_args!("# UNIT {named} {unit}"));
        }
    }

    /// Adds a number of the family.
    pub(super) fn number(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.sample(suffix, labels, value);
    }

    /// Adds a number if it is known.
    pub(super) fn known(&mut self, labels: &[(&str, &str)], value: Option<impl Display>) {
        if let Some(value) = value {
            self.number(labels, value);
        }
    }

    /// Adds a number of the family under a name of its own.
    pub(super) fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let mut inside = String::new();
        for (name, value) in labels {
            let comma = if inside.is_empty() { "" } else { "," };
            let value = escaped(value);
            // Writing to a String cannot fail.
            write!(inside, "{comma}{name}=\"{value}\"").ok();
        }
        let name = self.name;
        match inside.is_empty() {
            true => self.line(format_args!("{name}{suffix} {value}")),
            false => self.line(format_args!("{name}{suffix}{{{inside}}} {value}")),
        }
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::Open {
            self.line(format_args!("# EOF"));
        }
        self.text
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").ok(); // writing to a String cannot fail
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: Format) -> String {
        let mut text = Text::new(format);
        text.family(Kind::Counter, "x_bytes", "Bytes");
        text.number(&[("a", "q\"\\\n"), ("b", "c")], 7);
        text.family(Kind::Gauge, "y", "Something");
        text.known(&[], Some(1.5));
        text.known(&[], None::<u64>);
        text.finish()
    }

    #[test]
    fn whoever_asks_gets_what_it_likes_best() {
        // As Prometheus 2 and 3 ask by themselves, and when told to prefer the plain text.
        let usual = "application/openmetrics-text;version=1.0.0;q=0.5,\
                     application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let utf8 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                    text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let told =
            "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5";
        let rows = [
            (vec![], Format::Plain),
            (vec!["*/*"], Format::Plain),
            (vec!["text/html, text/*;q=0.5"], Format::Plain),
            (vec![usual], Format::Open),
            (vec![utf8], Format::Open),
            (vec![told], Format::Plain),
            (
                vec!["application/openmetrics-text;q=0, text/plain"],
                Format::Plain,
            ),
            (vec!["Application/OpenMetrics-Text"], Format::Open),
            (
                vec![
                    "text/plain;q=0.1",
                    "application/openmetrics-text; version=1.0.0",
                ],
                Format::Open,
            ),
        ];
        for (accepted, expected) in rows {
            assert_eq!(
                Format::liked_by(accepted.iter().copied()),
                expected,
                "{accepted:?}"
            );
        }
    }

    #[test]
    fn both_formats_name_counters_as_they_must() {
        assert_eq!(
            text(Format::Plain),
            "# HELP x_bytes_total Bytes.\n# TYPE x_bytes_total counter\n\
             x_bytes_total{a=\"q\\\"\\\\\\n\",b=\"c\"} 7\n\
             # HELP y Something.\n# TYPE y gauge\ny 1.5\n"
        );
        assert_eq!(
            text(Format::Open),
            "# HELP x_bytes Bytes.\n# TYPE x_bytes counter\n# UNIT x_bytes bytes\n\
             x_bytes_total{a=\"q\\\"\\\\\\n\",b=\"c\"} 7\n\
             # HELP y Something.\n# TYPE y gauge\ny 1.5\n# EOF\n"
        );
    }
}
