//! Bytes of a terminal → keys, mouse, pastes.
//!
//! Our own reader, because a wait on the terminal and on messages must be one wait, a hang-up must
//! end the program instead of spinning, and a reader must never block inside half a sequence.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

/// A sequence longer than this is noise.
const SEQUENCE_LIMIT: usize = 64;

/// A paste longer than this is cut.
const PASTE_LIMIT: usize = 1 << 20;

const PASTE_END: &[u8] = b"\x1b[201~";

/// What a person did at the terminal, or what the terminal answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Input {
    Key(KeyEvent),
    Mouse(MouseEvent),
    Paste(String),
    /// The answer to a question for the background colour, 0 to 255 each.
    Background(u8, u8, u8),
}

/// Keeps the beginning of a sequence until the rest of it arrives.
#[derive(Debug, Default)]
pub(super) struct Parser {
    pending: Vec<u8>,
    pasting: bool,
}

enum Step {
    Found(Input, usize),
    Skip(usize),
    PasteBegins(usize),
    Incomplete,
}

impl Parser {
    /// Takes what was read and returns what is complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Input> {
        self.pending.extend_from_slice(bytes);
        let mut found = Vec::new();
        loop {
            if self.pasting && !self.take_paste(&mut found) {
                return found;
            }
            if self.pending.is_empty() {
                return found;
            }
            match step(&self.pending) {
                Step::Found(input, length) => {
                    found.push(input);
                    self.pending.drain(..length);
                }
                Step::Skip(length) => {
                    self.pending.drain(..length);
                }
                Step::PasteBegins(length) => {
                    self.pending.drain(..length);
                    self.pasting = true;
                }
                Step::Incomplete => return found,
            }
        }
    }

    /// Whether a lone Escape may still become a sequence.
    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.is_empty() && !self.pasting
    }

    /// Nothing followed: what waits is keys by itself.
    pub(super) fn flush(&mut self) -> Vec<Input> {
        let pending = std::mem::take(&mut self.pending);
        match pending.as_slice() {
            [] => Vec::new(),
            [0x1b] => vec![key(KeyCode::Esc, KeyModifiers::NONE)],
            [0x1b, byte] if byte.is_ascii_graphic() => {
                vec![key(KeyCode::Char(char::from(*byte)), KeyModifiers::ALT)]
            }
            _ => Vec::new(),
        }
    }

    /// Returns whether the paste ended.
    fn take_paste(&mut self, found: &mut Vec<Input>) -> bool {
        let end = self
            .pending
            .windows(PASTE_END.len())
            .position(|window| window == PASTE_END);
        let Some(end) = end else {
            // The tail may hold the beginning of the end.
            if self.pending.len() > PASTE_LIMIT + PASTE_END.len() {
                let tail = self.pending.len() - PASTE_END.len();
                self.pending.drain(PASTE_LIMIT..tail);
            }
            return false;
        };
        let text = &self.pending[..end.min(PASTE_LIMIT)];
        found.push(Input::Paste(String::from_utf8_lossy(text).into_owned()));
        self.pending.drain(..end + PASTE_END.len());
        self.pasting = false;
        true
    }
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Input {
    Input::Key(KeyEvent::new(code, modifiers))
}

fn step(bytes: &[u8]) -> Step {
    match bytes {
        [0x1b] => Step::Incomplete,
        [0x1b, b'[', ..] => control_sequence(bytes),
        [0x1b, b'O'] => Step::Incomplete,
        [0x1b, b'O', last, ..] => match single_shift(*last) {
            Some(code) => Step::Found(key(code, KeyModifiers::NONE), 3),
            None => Step::Skip(3),
        },
        [0x1b, b']', ..] => operating_system_command(bytes),
        [0x1b, 0x1b, ..] => Step::Found(key(KeyCode::Esc, KeyModifiers::NONE), 1),
        [0x1b, rest @ ..] => match character(rest) {
            Step::Found(Input::Key(event), length) => Step::Found(
                key(event.code, event.modifiers | KeyModifiers::ALT),
                length + 1,
            ),
            Step::Incomplete => Step::Incomplete,
            Step::Found(..) | Step::Skip(_) | Step::PasteBegins(_) => Step::Skip(1),
        },
        _ => character(bytes),
    }
}

fn single_shift(byte: u8) -> Option<KeyCode> {
    Some(match byte {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'H' => KeyCode::Home,
        b'F' => KeyCode::End,
        b'P'..=b'S' => KeyCode::F(byte - b'P' + 1),
        b'M' => KeyCode::Enter,
        _ => return None,
    })
}

fn character(bytes: &[u8]) -> Step {
    let first = bytes[0];
    let control = |character: u8| key(KeyCode::Char(char::from(character)), KeyModifiers::CONTROL);
    let input = match first {
        b'\r' => key(KeyCode::Enter, KeyModifiers::NONE),
        b'\t' => key(KeyCode::Tab, KeyModifiers::NONE),
        0x7f => key(KeyCode::Backspace, KeyModifiers::NONE),
        0x00 => control(b' '),
        0x01..=0x1a => control(first - 1 + b'a'),
        0x1c..=0x1f => control(first - 0x1c + b'4'),
        _ => return utf8(bytes),
    };
    Step::Found(input, 1)
}

fn utf8(bytes: &[u8]) -> Step {
    let length = match bytes[0] {
        0x00..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Step::Skip(1),
    };
    let Some(whole) = bytes.get(..length) else {
        return Step::Incomplete;
    };
    match std::str::from_utf8(whole) {
        Ok(text) => text.chars().next().map_or(Step::Skip(length), |found| {
            Step::Found(key(KeyCode::Char(found), KeyModifiers::NONE), length)
        }),
        Err(_) => Step::Skip(1),
    }
}

fn control_sequence(bytes: &[u8]) -> Step {
    // The Linux console sends ESC [ [ A for F1.
    if bytes.get(2) == Some(&b'[') {
        return match bytes.get(3) {
            Some(last @ b'A'..=b'E') => {
                Step::Found(key(KeyCode::F(last - b'A' + 1), KeyModifiers::NONE), 4)
            }
            Some(_) => Step::Skip(4),
            None => Step::Incomplete,
        };
    }
    let body = &bytes[2..];
    let Some(end) = body.iter().position(|byte| !(0x20..=0x3f).contains(byte)) else {
        return if bytes.len() > SEQUENCE_LIMIT {
            Step::Skip(bytes.len())
        } else {
            Step::Incomplete
        };
    };
    let length = end + 3;
    let parameters = &body[..end];
    let input = match (parameters.first(), body[end]) {
        (Some(b'<'), last @ (b'M' | b'm')) => mouse(&parameters[1..], last),
        (_, b'~') if parameters == b"200" => return Step::PasteBegins(length),
        (_, last) => named_key(parameters, last),
    };
    input.map_or(Step::Skip(length), |input| Step::Found(input, length))
}

fn numbers(parameters: &[u8]) -> Vec<u32> {
    parameters
        .split(|byte| *byte == b';')
        .map(|part| {
            // A colon separates details that we do not use.
            let digits = part.split(|byte| *byte == b':').next().unwrap_or_default();
            let text = std::str::from_utf8(digits).unwrap_or_default();
            text.parse().unwrap_or(0)
        })
        .collect()
}

fn named_key(parameters: &[u8], last: u8) -> Option<Input> {
    let numbers = numbers(parameters);
    let first = numbers.first().copied().unwrap_or(0);
    let modifiers = modifiers(numbers.get(1).copied().unwrap_or(1));
    let code = match last {
        b'A'..=b'D' | b'F' | b'H' | b'P'..=b'S' => single_shift(last)?,
        b'Z' => return Some(key(KeyCode::BackTab, KeyModifiers::NONE)),
        b'u' => match first {
            13 => KeyCode::Enter,
            27 => KeyCode::Esc,
            9 => KeyCode::Tab,
            127 => KeyCode::Backspace,
            other => KeyCode::Char(char::from_u32(other)?),
        },
        b'~' => match first {
            1 | 7 => KeyCode::Home,
            2 => KeyCode::Insert,
            3 => KeyCode::Delete,
            4 | 8 => KeyCode::End,
            5 => KeyCode::PageUp,
            6 => KeyCode::PageDown,
            number @ 11..=15 => function(number - 10)?,
            number @ 17..=21 => function(number - 11)?,
            number @ 23..=24 => function(number - 12)?,
            _ => return None,
        },
        _ => return None,
    };
    Some(key(code, modifiers))
}

fn function(number: u32) -> Option<KeyCode> {
    u8::try_from(number).ok().map(KeyCode::F)
}

fn modifiers(parameter: u32) -> KeyModifiers {
    let bits = parameter.saturating_sub(1);
    let mut modifiers = KeyModifiers::NONE;
    for (bit, modifier) in [
        (1, KeyModifiers::SHIFT),
        (2, KeyModifiers::ALT),
        (4, KeyModifiers::CONTROL),
    ] {
        if bits & bit != 0 {
            modifiers |= modifier;
        }
    }
    modifiers
}

fn mouse(parameters: &[u8], last: u8) -> Option<Input> {
    let numbers = numbers(parameters);
    let [code, column, row] = numbers.as_slice() else {
        return None;
    };
    let button = match code & 3 {
        0 => MouseButton::Left,
        1 => MouseButton::Middle,
        _ => MouseButton::Right,
    };
    let kind = match (code & 64 != 0, code & 32 != 0, last) {
        (true, _, _) if code & 3 == 0 => MouseEventKind::ScrollUp,
        (true, _, _) if code & 3 == 1 => MouseEventKind::ScrollDown,
        (true, _, _) => return None,
        (false, true, _) if code & 3 == 3 => MouseEventKind::Moved,
        (false, true, _) => MouseEventKind::Drag(button),
        (false, false, b'M') => MouseEventKind::Down(button),
        (false, false, _) => MouseEventKind::Up(button),
    };
    let place = |number: u32| u16::try_from(number.saturating_sub(1)).unwrap_or(u16::MAX);
    Some(Input::Mouse(MouseEvent {
        kind,
        column: place(*column),
        row: place(*row),
        modifiers: modifiers(((code >> 2) & 7) + 1),
    }))
}

/// `ESC ] 11 ; rgb:ffff/ffff/ffff ST`: everything else is skipped.
fn operating_system_command(bytes: &[u8]) -> Step {
    let bell = bytes.iter().position(|byte| *byte == 0x07);
    let string_end = bytes.windows(2).position(|pair| pair == b"\x1b\\");
    let (end, length) = match (bell, string_end) {
        (Some(bell), Some(end)) if bell < end => (bell, bell + 1),
        (Some(bell), None) => (bell, bell + 1),
        (_, Some(end)) => (end, end + 2),
        (None, None) if bytes.len() > SEQUENCE_LIMIT => return Step::Skip(bytes.len()),
        (None, None) => return Step::Incomplete,
    };
    let text = std::str::from_utf8(&bytes[2..end]).unwrap_or_default();
    let color = text.strip_prefix("11;rgb:").and_then(|text| {
        let mut parts = text
            .split('/')
            .map(|part| u8::from_str_radix(part.get(..2).unwrap_or(part), 16).ok());
        Some(Input::Background(
            parts.next()??,
            parts.next()??,
            parts.next()??,
        ))
    });
    color.map_or(Step::Skip(length), |input| Step::Found(input, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, proptest};

    fn plain(code: KeyCode) -> Input {
        key(code, KeyModifiers::NONE)
    }

    #[test]
    fn sequences_become_keys() {
        let ctrl = KeyModifiers::CONTROL;
        let rows: [(&[u8], Input); 14] = [
            (b"a", plain(KeyCode::Char('a'))),
            ("ä".as_bytes(), plain(KeyCode::Char('ä'))),
            (b"\r", plain(KeyCode::Enter)),
            (b"\x7f", plain(KeyCode::Backspace)),
            (b"\x03", key(KeyCode::Char('c'), ctrl)),
            (b"\x1b[A", plain(KeyCode::Up)),
            (b"\x1bOB", plain(KeyCode::Down)),
            (b"\x1b[1;5C", key(KeyCode::Right, ctrl)),
            (b"\x1b[Z", plain(KeyCode::BackTab)),
            (b"\x1b[5~", plain(KeyCode::PageUp)),
            (b"\x1b[15~", plain(KeyCode::F(5))),
            (b"\x1b[[A", plain(KeyCode::F(1))),
            (b"\x1bx", key(KeyCode::Char('x'), KeyModifiers::ALT)),
            (
                b"\x1b]11;rgb:ffff/8080/0000\x07",
                Input::Background(255, 128, 0),
            ),
        ];
        for (bytes, expected) in rows {
            assert_eq!(Parser::default().feed(bytes), [expected], "{bytes:?}");
        }
    }

    #[test]
    fn a_sequence_may_arrive_byte_by_byte() {
        let mut parser = Parser::default();
        let mut found = Vec::new();
        for byte in b"\x1b[1;5Dq\xc3\xa4" {
            found.extend(parser.feed(&[*byte]));
        }
        let expected = [
            key(KeyCode::Left, KeyModifiers::CONTROL),
            plain(KeyCode::Char('q')),
            plain(KeyCode::Char('ä')),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_lone_escape_is_a_key_once_nothing_follows() {
        let mut parser = Parser::default();
        assert_eq!(parser.feed(b"\x1b"), []);
        assert!(parser.is_waiting());
        assert_eq!(parser.flush(), [plain(KeyCode::Esc)]);
        assert!(!parser.is_waiting());
    }

    #[test]
    fn a_paste_is_one_input_whatever_is_in_it() {
        let mut parser = Parser::default();
        assert_eq!(parser.feed(b"\x1b[200~q\x1b[A"), []);
        let found = parser.feed(b"\nrm\x1b[201~x");
        let text = "q\x1b[A\nrm".to_owned();
        assert_eq!(found, [Input::Paste(text), plain(KeyCode::Char('x'))]);
    }

    #[test]
    fn the_mouse_tells_button_place_and_wheel() {
        let kinds: Vec<_> = [
            &b"\x1b[<0;3;4M"[..],
            b"\x1b[<32;3;4M",
            b"\x1b[<0;3;4m",
            b"\x1b[<65;3;4M",
        ]
        .into_iter()
        .flat_map(|bytes| Parser::default().feed(bytes))
        .map(|input| match input {
            Input::Mouse(mouse) => (mouse.kind, mouse.column, mouse.row),
            other => unreachable!("{other:?}"),
        })
        .collect();
        let left = MouseButton::Left;
        let expected = [
            (MouseEventKind::Down(left), 2, 3),
            (MouseEventKind::Drag(left), 2, 3),
            (MouseEventKind::Up(left), 2, 3),
            (MouseEventKind::ScrollDown, 2, 3),
        ];
        assert_eq!(kinds, expected);
    }

    proptest! {
        #[test]
        fn noise_neither_panics_nor_piles_up(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let mut parser = Parser::default();
            for chunk in chunks {
                parser.feed(&chunk);
                if !parser.pasting {
                    assert!(parser.pending.len() <= SEQUENCE_LIMIT + 40);
                }
            }
            parser.flush();
        }
    }
}
