//! How things look: roles become styles by what the terminal can show; glyphs by what it can write.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// `NO_COLOR`: bold, dim, reversed and underlined only.
    None,
    Sixteen,
    TwoHundredFiftySix,
    True,
}

/// The background a theme is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    Dark,
    Light,
}

/// The themes a person can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThemeName {
    /// Dark or light by what the terminal says of itself.
    Auto,
    Dark,
    Light,
    /// The terminal's own sixteen colours.
    Terminal,
    Mono,
}

/// The characters used for signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyphs {
    Unicode,
    Ascii,
}

/// What something means; a style follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Text,
    /// Less important than text.
    Dim,
    Strong,
    Accent,
    Good,
    Busy,
    Bad,
    /// Another accent, for numbers that are measured.
    Measure,
    Header,
    Border,
    BorderFocused,
    Selected,
    Marked,
    Button,
    ButtonChosen,
}

/// Everything the panes need to draw.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) depth: Depth,
    pub(super) ground: Ground,
    pub(super) glyphs: Glyphs,
}

impl ThemeName {
    pub(super) const ALL: [(Self, &'static str); 5] = [
        (Self::Auto, "auto"),
        (Self::Dark, "dark"),
        (Self::Light, "light"),
        (Self::Terminal, "terminal"),
        (Self::Mono, "mono"),
    ];

    pub(super) fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(name, _)| *name == self)
            .map_or("auto", |(_, word)| word)
    }

    /// Reads the word of a setting.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == word)
            .map(|(name, _)| *name)
    }

    pub(super) fn next(self) -> Self {
        let place = Self::ALL.iter().position(|(name, _)| *name == self);
        let next = (place.unwrap_or(0) + 1) % Self::ALL.len();
        Self::ALL[next].0
    }
}

/// One colour at the three depths: true colour, 256, 16.
struct Tone(u32, u8, Color);

impl Tone {
    fn at(&self, depth: Depth) -> Color {
        match depth {
            Depth::None => Color::Reset,
            Depth::Sixteen => self.2,
            Depth::TwoHundredFiftySix => Color::Indexed(self.1),
            Depth::True => Color::from_u32(self.0),
        }
    }
}

// A new colour is held to be legible on dark and light by the test of contrasts below.
impl Look {
    /// Builds the look of a theme on a terminal.
    pub(super) fn new(name: ThemeName, ground: Ground, depth: Depth, glyphs: Glyphs) -> Self {
        let (ground, depth) = match name {
            ThemeName::Auto => (ground, depth),
            ThemeName::Dark => (Ground::Dark, depth),
            ThemeName::Light => (Ground::Light, depth),
            ThemeName::Terminal => (ground, depth.min(Depth::Sixteen)),
            ThemeName::Mono => (ground, Depth::None),
        };
        Self {
            depth,
            ground,
            glyphs,
        }
    }

    pub(super) fn style(&self, role: Role) -> Style {
        if self.depth == Depth::None {
            return plain(role);
        }
        let style = Style::new();
        let tone = |dark: Tone, light: Tone| match self.ground {
            Ground::Dark => dark.at(self.depth),
            Ground::Light => light.at(self.depth),
        };
        let accent = || {
            tone(
                Tone(0x82_aa_ff, 111, Color::Cyan),
                Tone(0x2a_56_ba, 25, Color::Blue),
            )
        };
        let dim = || {
            tone(
                Tone(0x96_9d_c2, 248, Color::DarkGray),
                Tone(0x59_60_78, 240, Color::DarkGray),
            )
        };
        let good = || {
            tone(
                Tone(0x9e_ce_6a, 114, Color::Green),
                Tone(0x2b_66_20, 22, Color::Green),
            )
        };
        let busy = || {
            tone(
                Tone(0xe0_af_68, 179, Color::Yellow),
                Tone(0x7d_4e_06, 94, Color::Yellow),
            )
        };
        let bad = || {
            tone(
                Tone(0xff_8a_9e, 210, Color::Red),
                Tone(0xb0_1f_3f, 125, Color::Red),
            )
        };
        let measure = || {
            tone(
                Tone(0x7d_cf_ff, 117, Color::Cyan),
                Tone(0x08_5f_7a, 24, Color::Blue),
            )
        };
        let back = || {
            tone(
                Tone(0x1f_23_35, 235, Color::Reset),
                Tone(0xe8_eb_f5, 255, Color::Reset),
            )
        };
        let line = || {
            tone(
                Tone(0x66_6d_94, 243, Color::DarkGray),
                Tone(0x7c_83_9f, 244, Color::Gray),
            )
        };
        let chosen = || {
            tone(
                Tone(0x28_34_5a, 237, Color::Reset),
                Tone(0xd5_de_f8, 195, Color::Reset),
            )
        };
        match role {
            Role::Text => style,
            Role::Dim => style.fg(dim()),
            Role::Strong => style.add_modifier(Modifier::BOLD),
            Role::Accent => style.fg(accent()),
            Role::Good => style.fg(good()),
            Role::Busy => style.fg(busy()),
            Role::Bad => style.fg(bad()),
            Role::Measure => style.fg(measure()),
            Role::Header => style.bg(back()),
            Role::Border => style.fg(line()),
            Role::BorderFocused => style.fg(accent()),
            Role::Selected if self.depth == Depth::Sixteen => {
                style.add_modifier(Modifier::REVERSED)
            }
            Role::Selected => style.bg(chosen()).add_modifier(Modifier::BOLD),
            Role::Marked => style.fg(accent()).add_modifier(Modifier::BOLD),
            Role::Button => style.fg(dim()),
            Role::ButtonChosen => style
                .fg(accent())
                .add_modifier(Modifier::REVERSED | Modifier::BOLD),
        }
    }

    pub(super) fn borders(&self) -> border::Set<'static> {
        match self.glyphs {
            Glyphs::Unicode => border::ROUNDED,
            Glyphs::Ascii => border::Set {
                top_left: "+",
                top_right: "+",
                bottom_left: "+",
                bottom_right: "+",
                vertical_left: "|",
                vertical_right: "|",
                horizontal_top: "-",
                horizontal_bottom: "-",
            },
        }
    }

    /// Picks the sign for a glyph set.
    pub(super) fn sign(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        match self.glyphs {
            Glyphs::Unicode => unicode,
            Glyphs::Ascii => ascii,
        }
    }
}

/// The same meanings without any colour.
fn plain(role: Role) -> Style {
    let style = Style::new();
    match role {
        Role::Text | Role::Accent | Role::Good | Role::Measure | Role::Border => style,
        Role::Dim | Role::Button => style.add_modifier(Modifier::DIM),
        Role::Strong | Role::Busy | Role::Marked => style.add_modifier(Modifier::BOLD),
        Role::Bad => style.add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
        Role::Header => style,
        Role::BorderFocused => style.add_modifier(Modifier::BOLD),
        Role::Selected | Role::ButtonChosen => style.add_modifier(Modifier::REVERSED),
    }
}

/// What a terminal says of itself in the environment.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    pub no_color: Option<String>,
    pub colorterm: Option<String>,
    pub term: Option<String>,
    pub colorfgbg: Option<String>,
    pub locale: Option<String>,
}

impl Environment {
    /// Returns how many colours may be used.
    #[must_use]
    pub fn depth(&self) -> Depth {
        let term = self.term.as_deref().unwrap_or_default();
        let colorterm = self.colorterm.as_deref().unwrap_or_default();
        if self
            .no_color
            .as_deref()
            .is_some_and(|text| !text.is_empty())
            || term == "dumb"
        {
            Depth::None
        } else if matches!(colorterm, "truecolor" | "24bit") || term.contains("direct") {
            Depth::True
        } else if term.contains("256color") || term.contains("kitty") || term.contains("alacritty")
        {
            Depth::TwoHundredFiftySix
        } else {
            Depth::Sixteen
        }
    }

    /// Returns which characters can be written.
    #[must_use]
    pub fn glyphs(&self) -> Glyphs {
        let locale = self
            .locale
            .as_deref()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let utf8 = locale.contains("utf-8") || locale.contains("utf8");
        if utf8 && self.term.as_deref() != Some("linux") {
            Glyphs::Unicode
        } else {
            Glyphs::Ascii
        }
    }

    /// Returns the background, as far as `COLORFGBG` tells it.
    #[must_use]
    pub fn ground(&self) -> Ground {
        let back = self
            .colorfgbg
            .as_deref()
            .and_then(|text| text.rsplit(';').next());
        match back {
            Some("7" | "15") => Ground::Light,
            Some(_) | None => Ground::Dark,
        }
    }
}

/// Returns the ground that a background colour makes.
pub(super) fn ground_of(red: u8, green: u8, blue: u8) -> Ground {
    let light = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
    if light > 127_500 {
        Ground::Light
    } else {
        Ground::Dark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(term: &str, colorterm: &str, locale: &str) -> Environment {
        Environment {
            term: Some(term.to_owned()),
            colorterm: Some(colorterm.to_owned()),
            locale: Some(locale.to_owned()),
            ..Environment::default()
        }
    }

    #[test]
    fn the_environment_decides_what_can_be_shown() {
        let rows = [
            (
                "xterm-256color",
                "truecolor",
                "C.UTF-8",
                Depth::True,
                Glyphs::Unicode,
            ),
            (
                "tmux-256color",
                "",
                "en_US.utf8",
                Depth::TwoHundredFiftySix,
                Glyphs::Unicode,
            ),
            ("xterm", "", "C", Depth::Sixteen, Glyphs::Ascii),
            ("linux", "", "en_US.UTF-8", Depth::Sixteen, Glyphs::Ascii),
            ("dumb", "", "", Depth::None, Glyphs::Ascii),
        ];
        for (term, colorterm, locale, depth, glyphs) in rows {
            let environment = environment(term, colorterm, locale);
            assert_eq!(environment.depth(), depth, "{term}");
            assert_eq!(environment.glyphs(), glyphs, "{term} {locale}");
        }
        let mut quiet = environment("xterm-256color", "truecolor", "C.UTF-8");
        quiet.no_color = Some("1".to_owned());
        assert_eq!(quiet.depth(), Depth::None);
    }

    #[test]
    fn without_colours_the_selection_and_the_bad_are_still_told_apart() {
        let look = Look::new(ThemeName::Auto, Ground::Dark, Depth::None, Glyphs::Ascii);
        assert!(
            look.style(Role::Selected)
                .add_modifier
                .contains(Modifier::REVERSED)
        );
        assert_ne!(look.style(Role::Bad), look.style(Role::Text));
        for role in [Role::Good, Role::Bad, Role::Selected, Role::Header] {
            assert_eq!((look.style(role).fg, look.style(role).bg), (None, None));
        }
    }

    /// Backgrounds that terminals have: black or white, and the popular shades of both.
    const GROUNDS: [(Ground, [u32; 3]); 2] = [
        (Ground::Dark, [0x00_00_00, 0x16_16_1e, 0x1e_1e_1e]),
        (Ground::Light, [0xff_ff_ff, 0xfd_f6_e3, 0xfa_fa_fa]),
    ];

    /// What WCAG 2 asks of text (AA), and of what is only there to lead the eye.
    const TEXT: f64 = 4.5;
    const DECORATION: f64 = 3.0;

    /// Red, green and blue of a colour that is the same on every terminal.
    fn channels(color: Color) -> [u8; 3] {
        match color {
            Color::Rgb(red, green, blue) => [red, green, blue],
            Color::Indexed(gray @ 232..) => [8 + (gray - 232) * 10; 3],
            Color::Indexed(cube @ 16..) => {
                let step = |part: u8| [0, 95, 135, 175, 215, 255][usize::from(part % 6)];
                let cube = cube - 16;
                [step(cube / 36), step(cube / 6), step(cube)]
            }
            other => unreachable!("{other} is whatever the terminal says"),
        }
    }

    fn luminance(color: Color) -> f64 {
        let linear = channels(color).map(|channel| {
            let part = f64::from(channel) / 255.0;
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    /// The contrast of two colours as WCAG 2 measures it, from 1 to 21.
    fn contrast(one: Color, other: Color) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn contrast_is_measured_as_wcag_does() {
        let rows = [
            (0x00_00_00, 0xff_ff_ff, 21.0),
            (0x77_77_77, 0xff_ff_ff, 4.48),
            (0xff_00_00, 0xff_ff_ff, 4.0),
            (0x12_34_56, 0x12_34_56, 1.0),
        ];
        for (one, other, expected) in rows {
            let found = contrast(Color::from_u32(one), Color::from_u32(other));
            assert!((found - expected).abs() < 0.01, "{one:06x}: {found}");
        }
        let same = contrast(Color::Indexed(111), Color::from_u32(0x87_af_ff));
        assert!((same - 1.0).abs() < 1e-9, "{same}");
    }

    #[test]
    fn every_colour_can_be_read_on_dark_and_on_light() {
        let texts = [
            Role::Dim,
            Role::Accent,
            Role::Good,
            Role::Busy,
            Role::Bad,
            Role::Measure,
            Role::Marked,
            Role::Button,
            // Reversed: the ground is written on it.
            Role::ButtonChosen,
        ];
        let lines = [Role::Border, Role::BorderFocused];
        for (ground, shades) in GROUNDS {
            for depth in [Depth::True, Depth::TwoHundredFiftySix] {
                let look = Look::new(ThemeName::Auto, ground, depth, Glyphs::Unicode);
                let fore = |role| look.style(role).fg.expect("it has a colour");
                let own = [Role::Header, Role::Selected];
                let own = own.map(|role| look.style(role).bg.expect("it has a ground"));
                let shades = shades.map(Color::from_u32);
                for back in shades.into_iter().chain(own) {
                    for role in texts {
                        let found = contrast(fore(role), back);
                        assert!(
                            found >= TEXT,
                            "{ground:?} {depth:?} {role:?} on {back}: {found}"
                        );
                    }
                }
                // Lines stand between the parts of the header too, and never on the selected.
                for back in shades.into_iter().chain([own[0]]) {
                    for role in lines {
                        let found = contrast(fore(role), back);
                        let what = format!("{ground:?} {depth:?} {role:?} on {back}: {found}");
                        assert!(found >= DECORATION, "{what}");
                    }
                }
            }
        }
    }

    #[test]
    fn grounds_follow_the_background_colour() {
        assert_eq!(ground_of(0, 0, 0), Ground::Dark);
        assert_eq!(ground_of(253, 246, 227), Ground::Light);
    }
}
