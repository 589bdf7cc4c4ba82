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
                Tone(0x7a_a2_f7, 111, Color::Cyan),
                Tone(0x2e_5c_c5, 26, Color::Blue),
            )
        };
        let dim = || {
            tone(
                Tone(0x73_7a_a2, 103, Color::DarkGray),
                Tone(0x6b_70_89, 243, Color::DarkGray),
            )
        };
        let good = || {
            tone(
                Tone(0x9e_ce_6a, 114, Color::Green),
                Tone(0x38_7a_2d, 28, Color::Green),
            )
        };
        let busy = || {
            tone(
                Tone(0xe0_af_68, 179, Color::Yellow),
                Tone(0x96_60_0c, 130, Color::Yellow),
            )
        };
        let bad = || {
            tone(
                Tone(0xf7_76_8e, 204, Color::Red),
                Tone(0xc4_2b_4a, 161, Color::Red),
            )
        };
        let measure = || {
            tone(
                Tone(0x7d_cf_ff, 117, Color::Cyan),
                Tone(0x0a_6e_8c, 24, Color::Blue),
            )
        };
        let back = || {
            tone(
                Tone(0x1f_23_35, 235, Color::Reset),
                Tone(0xe4_e7_f2, 254, Color::Reset),
            )
        };
        let line = || {
            tone(
                Tone(0x3b_42_61, 239, Color::DarkGray),
                Tone(0xb4_b9_cf, 250, Color::Gray),
            )
        };
        let chosen = || {
            tone(
                Tone(0x2f_3b_61, 238, Color::Reset),
                Tone(0xcf_d9_f5, 153, Color::Reset),
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

    #[test]
    fn grounds_follow_the_background_colour() {
        assert_eq!(ground_of(0, 0, 0), Ground::Dark);
        assert_eq!(ground_of(253, 246, 227), Ground::Light);
    }
}
