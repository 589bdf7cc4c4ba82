//! A real terminal with a program in it: types, clicks, and waits for what is on the screen.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::Child;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pty};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::LocalModes;

use super::{PATIENCE, TestHome};

/// How long one look at the terminal waits for bytes.
const LOOK: Duration = Duration::from_millis(50);

/// A pseudo terminal, what it shows, and the program that runs in it.
pub(crate) struct Terminal {
    pty: Option<Pty>,
    parser: vt100::Parser,
    child: Child,
    /// The beginning of a frame whose end has not come; a person does not see half of one either.
    held: Vec<u8>,
    /// Everything the program ever wrote.
    pub(crate) written: Vec<u8>,
}

impl Terminal {
    /// Opens the dashboard of a home at 120x36.
    pub(crate) fn dashboard(home: &TestHome, variables: &[(&str, &str)]) -> Self {
        let path = home.path().to_str().unwrap().to_owned();
        let program = env!("CARGO_BIN_EXE_llama-orch");
        Self::open(program, &["--home", &path], variables)
    }

    pub(crate) fn open(program: &str, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(Size::new(36, 120)).unwrap();
        let child = Command::new(program)
            .args(args)
            .env("TERM", "xterm-256color")
            .env("COLORTERM", "truecolor")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NO_COLOR")
            .envs(variables.iter().copied())
            .spawn(pts)
            .unwrap();
        Self {
            pty: Some(pty),
            parser: vt100::Parser::new(length(36), length(120), 0),
            child,
            held: Vec::new(),
            written: Vec::new(),
        }
    }

    /// Reads what has come, waiting a moment for it.
    fn look(&mut self) {
        let pty = self.pty.as_mut().unwrap();
        let limit = Timespec {
            tv_sec: 0,
            tv_nsec: LOOK.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(pty, PollFlags::IN)];
        if poll(&mut fds, Some(&limit)).is_ok_and(|count| count > 0) {
            let mut buffer = [0; 65_536];
            let count = pty.read(&mut buffer).unwrap_or(0); // the program has ended
            self.written.extend_from_slice(&buffer[..count]);
            self.held.extend_from_slice(&buffer[..count]);
            let shown = match count {
                0 => self.held.len(),
                _ => whole_frames(&self.held),
            };
            self.parser.process(&self.held[..shown]);
            self.held.drain(..shown);
        }
    }

    pub(crate) fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    pub(crate) fn text(&self) -> String {
        self.screen().contents()
    }

    /// Waits until the screen is as it should be.
    pub(crate) fn wait(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(
                Instant::now() < deadline,
                "{what} never came; the screen:\n{}",
                self.text()
            );
            self.look();
        }
    }

    pub(crate) fn wait_text(&mut self, text: &str) {
        self.wait(text, |terminal| terminal.text().contains(text));
    }

    /// Watches for so long; returns what was written meanwhile.
    pub(crate) fn watch(&mut self, time: Duration) -> Vec<u8> {
        let before = self.written.len();
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.look();
        }
        self.written[before..].to_vec()
    }

    pub(crate) fn write(&mut self, keys: &str) {
        self.pty
            .as_mut()
            .unwrap()
            .write_all(keys.as_bytes())
            .unwrap();
    }

    pub(crate) fn resize(&mut self, width: u16, height: u16) {
        self.pty
            .as_ref()
            .unwrap()
            .resize(Size::new(height, width))
            .unwrap();
        self.parser
            .screen_mut()
            .set_size(length(height), length(width));
    }

    /// The row (from 0) of the first line with this text.
    pub(crate) fn row_of(&self, text: &str) -> u16 {
        let place = self.text().lines().position(|line| line.contains(text));
        u16::try_from(place.unwrap()).unwrap()
    }

    /// Presses and releases the left button; places from 0.
    pub(crate) fn click(&mut self, column: u16, row: u16) {
        let (column, row) = (column + 1, row + 1);
        self.write(&format!("\x1b[<0;{column};{row}M\x1b[<0;{column};{row}m"));
    }

    /// The column (from 0) where this text begins, in the first line that has it.
    pub(crate) fn column_of(&self, text: &str) -> u16 {
        let screen = self.text();
        let column = screen.lines().find_map(|line| {
            let (before, _) = line.split_once(text)?;
            Some(before.chars().count())
        });
        u16::try_from(column.unwrap()).unwrap()
    }

    /// Presses the left button at one place and releases it at another; places from 0.
    pub(crate) fn drag(&mut self, from: (u16, u16), to: (u16, u16)) {
        let place = |(column, row): (u16, u16)| format!("{};{}", column + 1, row + 1);
        let (from, to) = (place(from), place(to));
        self.write(&format!("\x1b[<0;{from}M\x1b[<32;{to}M\x1b[<0;{to}m"));
    }

    /// Whether the terminal treats lines and keys as a shell wants it to.
    pub(crate) fn is_cooked(&self) -> bool {
        let modes = rustix::termios::tcgetattr(self.pty.as_ref().unwrap()).unwrap();
        let wanted = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        modes.local_modes.contains(wanted)
    }

    /// What was put on the clipboard last (OSC 52).
    pub(crate) fn clipboard(&self) -> String {
        let text = String::from_utf8_lossy(&self.written);
        let (_, last) = text.rsplit_once("\x1b]52;c;").unwrap();
        let end = last.find(['\x07', '\x1b']).unwrap();
        String::from_utf8(decoded(&last[..end])).unwrap()
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Takes the terminal away, as a closed window or a lost connection does.
    pub(crate) fn unplug(&mut self) {
        self.pty = None;
    }

    /// Waits for the program's end; returns its exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            if self.pty.is_some() {
                self.look();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// How many of these bytes can be shown: all but a frame without its end (DEC mode 2026).
fn whole_frames(bytes: &[u8]) -> usize {
    const BEGINS: &[u8] = b"\x1b[?2026h";
    const ENDS: &[u8] = b"\x1b[?2026l";
    let last_end = bytes.windows(ENDS.len()).rposition(|part| part == ENDS);
    let begin = last_end.map_or(0, |at| at + ENDS.len());
    let rest = &bytes[begin..];
    if let Some(at) = rest.windows(BEGINS.len()).position(|part| part == BEGINS) {
        return begin + at;
    }
    // The mark of a beginning may have come in part.
    let part = (1..BEGINS.len()).rev();
    let begun = part
        .into_iter()
        .find(|length| rest.ends_with(&BEGINS[..*length]));
    bytes.len() - begun.unwrap_or(0)
}

/// Reads base64.
fn decoded(text: &str) -> Vec<u8> {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters: Vec<usize> = text
        .chars()
        .filter_map(|letter| LETTERS.find(letter))
        .collect();
    let bytes = letters.chunks(4).flat_map(|group| {
        let bits = group
            .iter()
            .enumerate()
            .map(|(place, value)| value << (18 - 6 * place))
            .sum::<usize>();
        // Three bytes of a whole group; two or one when the end was filled up.
        (0..group.len() - 1).map(move |byte| (bits >> (16 - 8 * byte)) as u8)
    });
    bytes.collect()
}

fn length(value: u16) -> NonZeroU16 {
    NonZeroU16::new(value).unwrap()
}
