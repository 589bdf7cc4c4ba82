//! A minute of measurements in one line.

use super::super::theme::{Glyphs, Look};

const UNICODE: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 4] = ['_', '.', '-', '^'];

/// Draws values as a line of bars against the highest of them, or against `full`.
pub(super) fn line(values: &[Option<f32>], full: Option<f32>, look: &Look) -> String {
    let signs: &[char] = match look.glyphs {
        Glyphs::Unicode => &UNICODE,
        Glyphs::Ascii => &ASCII,
    };
    let highest = values.iter().flatten().copied().fold(0.0_f32, f32::max);
    let top = full.unwrap_or(highest).max(f32::MIN_POSITIVE);
    values
        .iter()
        .map(|value| match value {
            None => ' ',
            Some(value) => {
                let share = (value / top).clamp(0.0, 1.0);
                let level = (share * (signs.len() - 1) as f32).round() as usize;
                signs[level.min(signs.len() - 1)]
            }
        })
        .collect()
}

/// Draws a share (0 to 1) as a bar of `width` columns.
pub(super) fn bar(share: f32, width: usize, look: &Look) -> String {
    let filled = (share.clamp(0.0, 1.0) * width as f32).round() as usize;
    let (full, empty) = match look.glyphs {
        Glyphs::Unicode => ('▇', '▁'),
        Glyphs::Ascii => ('#', '.'),
    };
    (0..width)
        .map(|place| if place < filled { full } else { empty })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::{Depth, Ground, ThemeName};

    #[test]
    fn lines_and_bars_show_shares() {
        let look = |glyphs| Look::new(ThemeName::Auto, Ground::Dark, Depth::True, glyphs);
        let values = [None, Some(0.0), Some(5.0), Some(10.0)];
        assert_eq!(line(&values, None, &look(Glyphs::Unicode)), " ▁▅█");
        assert_eq!(line(&values, None, &look(Glyphs::Ascii)), " _-^");
        assert_eq!(line(&[Some(0.0)], None, &look(Glyphs::Unicode)), "▁");
        assert_eq!(bar(0.5, 4, &look(Glyphs::Unicode)), "▇▇▁▁");
    }
}
