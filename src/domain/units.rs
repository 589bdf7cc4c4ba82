//! Amounts as a person reads them: sizes in sentences and in tables, and durations.

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Writes a size for a sentence: `12.5 GiB`, `640 MiB`, `1.5 MiB`, `820 KiB`, `12 bytes`.
#[must_use]
pub fn size(bytes: u64) -> String {
    let parts = |unit: u64| bytes as f64 / unit as f64;
    if bytes >= GIB {
        format!("{:.1} GiB", parts(GIB))
    } else if bytes >= 10 * MIB {
        format!("{:.0} MiB", parts(MIB))
    } else if bytes >= MIB {
        format!("{:.1} MiB", parts(MIB))
    } else if bytes >= KIB {
        format!("{:.0} KiB", parts(KIB))
    } else {
        format!("{bytes} bytes")
    }
}

/// Writes a size for a table, in at most four characters: `12B`, `820K`, `2.1G`, `41G`.
#[must_use]
pub fn short_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "K", "M", "G", "T"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= KIB as f64;
        unit += 1;
    }
    if unit > 0 && value < 9.95 {
        format!("{value:.1}{}", UNITS[unit])
    } else {
        format!("{value:.0}{}", UNITS[unit])
    }
}

/// Writes seconds as the two largest units: `42s`, `5m10s`, `3h04m`, `2d04h`; less than none is none.
#[must_use]
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_tells_a_size_in_its_unit() {
        let rows = [
            (0, "0 bytes"),
            (820 * KIB, "820 KiB"),
            (3 * MIB / 2, "1.5 MiB"),
            (640 * MIB, "640 MiB"),
            (25 * GIB / 2, "12.5 GiB"),
        ];
        for (bytes, text) in rows {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_size_in_a_table_has_at_most_four_characters() {
        let rows = [
            (0, "0B"),
            (999, "999B"),
            (1_000, "1.0K"),
            (820 * KIB, "820K"),
            (1023 * KIB, "1.0M"),
            (14 * MIB, "14M"),
            (6 * GIB, "6.0G"),
            (64 * GIB, "64G"),
            (2048 * GIB, "2.0T"),
        ];
        for (bytes, text) in rows {
            assert_eq!(short_size(bytes), text);
            assert!(short_size(bytes).len() <= 4);
        }
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        let rows = [
            (-3.0, "0s"),
            (0.4, "0s"),
            (59.9, "59s"),
            (61.5, "1m01s"),
            (3_600.0, "1h00m"),
            (187_200.0, "2d04h"),
        ];
        for (seconds, text) in rows {
            assert_eq!(duration(seconds), text);
        }
    }
}
