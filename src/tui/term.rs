//! The terminal: its modes while we are in it, one write per frame, and a clean way out.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::Command;
use crossterm::clipboard::CopyToClipboard;
use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

use super::mailbox::Mailbox;

/// The name of the dashboard's thread; a panic elsewhere must not touch the terminal.
pub(super) const THREAD: &str = "tui";

/// Button presses, drags and the wheel, in the SGR form; not every motion, as crossterm's own
/// command would ask for.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1002h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1002l\x1b[?1000l";

/// A frame is shown as a whole by terminals that know DEC mode 2026; others ignore it.
const FRAME_BEGINS: &str = "\x1b[?2026h";
const FRAME_ENDS: &str = "\x1b[?2026l";

/// Asks for the background colour; answered within the input, or not at all.
const ASK_BACKGROUND: &str = "\x1b]11;?\x07";

/// Whether the modes are set, for the panic hook.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// The terminal or the mailbox has something, or the time is over.
    Ready { terminal: bool },
    /// The terminal is gone.
    Lost,
}

/// Collects a frame so that it reaches the terminal in one write.
#[derive(Clone, Debug, Default)]
struct FrameBuffer(Rc<RefCell<Vec<u8>>>);

impl Write for FrameBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The terminal in its modes; leaves them when dropped.
pub(super) struct Screen {
    input: OwnedFd,
    output: File,
    before: Termios,
    frame: FrameBuffer,
    backend: CrosstermBackend<FrameBuffer>,
    shown: Buffer,
    next: Buffer,
    mouse: bool,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    ///
    /// Returns an error when there is no terminal.
    pub(super) fn enter(mouse: bool) -> io::Result<Self> {
        let stdin = rustix::stdio::stdin();
        let input = if isatty(stdin) {
            rustix::io::fcntl_dupfd_cloexec(stdin, 3)?
        } else {
            File::open("/dev/tty")?.into()
        };
        let output = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?);
        let before = tcgetattr(&input)?;
        // Colours are our theme's business, which knows NO_COLOR; crossterm's way of leaving them
        // out would reset the attributes as well.
        crossterm::style::force_color_output(true);
        let frame = FrameBuffer::default();
        let area = size_of(&output);
        let mut screen = Self {
            input,
            output,
            before,
            backend: CrosstermBackend::new(frame.clone()),
            frame,
            shown: Buffer::empty(area),
            next: Buffer::empty(area),
            mouse,
        };
        screen.set_modes()?;
        screen.send(ASK_BACKGROUND.as_bytes())?;
        Ok(screen)
    }

    /// Sets the modes, at first and after another program had the terminal.
    fn set_modes(&mut self) -> io::Result<()> {
        let mut raw = self.before.clone();
        raw.make_raw();
        tcsetattr(&self.input, OptionalActions::Now, &raw)?;
        ENTERED.store(true, Ordering::SeqCst);
        let mut text = String::new();
        append(&mut text, EnterAlternateScreen);
        append(&mut text, EnableBracketedPaste);
        append(&mut text, Hide);
        if self.mouse {
            text.push_str(MOUSE_ON);
        }
        self.send(text.as_bytes())
    }

    /// Gives the terminal back as it was.
    pub(super) fn leave(&mut self) {
        if ENTERED.swap(false, Ordering::SeqCst) {
            self.send(way_out().as_bytes()).ok(); // the terminal may be gone
        }
        tcsetattr(&self.input, OptionalActions::Now, &self.before).ok(); // likewise
    }

    /// Takes the terminal back after [`Screen::leave`].
    ///
    /// # Errors
    ///
    /// Returns an error when the terminal is gone.
    pub(super) fn reenter(&mut self) -> io::Result<()> {
        self.set_modes()?;
        self.redraw_all()
    }

    /// Draws one frame and sends what changed in one write; returns how many bytes that were.
    ///
    /// # Errors
    ///
    /// Returns an error when the terminal is gone.
    pub(super) fn draw(&mut self, render: impl FnOnce(&mut Buffer)) -> io::Result<usize> {
        self.next.reset();
        render(&mut self.next);
        let changes = self.shown.diff(&self.next);
        if changes.is_empty() {
            return Ok(0);
        }
        self.frame
            .0
            .borrow_mut()
            .extend_from_slice(FRAME_BEGINS.as_bytes());
        self.backend.draw(changes.into_iter())?;
        self.frame
            .0
            .borrow_mut()
            .extend_from_slice(FRAME_ENDS.as_bytes());
        std::mem::swap(&mut self.shown, &mut self.next);
        let mut bytes = std::mem::take(&mut *self.frame.0.borrow_mut());
        self.send(&bytes)?;
        let count = bytes.len();
        bytes.clear();
        *self.frame.0.borrow_mut() = bytes; // its capacity serves the next one
        Ok(count)
    }

    /// Forgets what is on the screen, so that the next frame draws every cell.
    ///
    /// # Errors
    ///
    /// Returns an error when the terminal is gone.
    pub(super) fn redraw_all(&mut self) -> io::Result<()> {
        self.shown.reset();
        self.send(b"\x1b[0m\x1b[2J")
    }

    /// Looks at the size again; returns it when it changed.
    ///
    /// # Errors
    ///
    /// Returns an error when the terminal is gone.
    pub(super) fn resized(&mut self) -> io::Result<Option<(u16, u16)>> {
        let area = size_of(&self.output);
        if area == self.shown.area {
            return Ok(None);
        }
        self.shown.resize(area);
        self.next.resize(area);
        self.redraw_all()?;
        Ok(Some((area.width, area.height)))
    }

    pub(super) fn size(&self) -> (u16, u16) {
        (self.shown.area.width, self.shown.area.height)
    }

    /// Lets the terminal's own selection work, or takes the mouse.
    pub(super) fn set_mouse(&mut self, on: bool) -> io::Result<()> {
        self.mouse = on;
        let text = if on { MOUSE_ON } else { MOUSE_OFF };
        self.send(text.as_bytes())
    }

    /// Puts text on the clipboard of the terminal's own machine (OSC 52).
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        let mut sequence = String::new();
        append(&mut sequence, CopyToClipboard::to_clipboard_from(text));
        self.send(sequence.as_bytes())
    }

    /// Waits for the terminal, for messages, or for `limit`.
    pub(super) fn wait(&self, mailbox: &Mailbox, limit: Option<Duration>) -> io::Result<Woken> {
        let limit = limit.map(|limit| Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        });
        let mut fds = [
            PollFd::new(&self.input, PollFlags::IN),
            PollFd::new(mailbox, PollFlags::IN),
        ];
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let seen = fds[0].revents();
        if seen.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Ok(Woken::Lost);
        }
        Ok(Woken::Ready {
            terminal: seen.contains(PollFlags::IN),
        })
    }

    /// Reads what was typed; `None` when the terminal is gone.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        match rustix::io::read(&self.input, buffer) {
            Ok(0) => None,
            Ok(count) => Some(count),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Some(0),
            Err(_) => None,
        }
    }

    /// Says something on the terminal that was given back.
    pub(super) fn say(&mut self, text: &str) {
        self.send(text.as_bytes()).ok(); // the terminal may be gone
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Gives the terminal back without the guard, which a panic may have made unusable.
pub(super) fn give_back() {
    if ENTERED.swap(false, Ordering::SeqCst) {
        write_stdout(way_out().as_bytes());
    }
}

/// Returns whether the dashboard has the terminal.
pub(super) fn is_entered() -> bool {
    ENTERED.load(Ordering::SeqCst)
}

fn write_stdout(bytes: &[u8]) {
    rustix::io::write(rustix::stdio::stdout().as_fd(), bytes).ok(); // the terminal may be gone
}

fn way_out() -> String {
    let mut text = String::from(MOUSE_OFF);
    append(&mut text, DisableBracketedPaste);
    append(&mut text, Show);
    append(&mut text, LeaveAlternateScreen);
    text
}

fn append(text: &mut String, command: impl Command) {
    command.write_ansi(text).ok(); // writing to a string cannot fail
}

fn size_of(output: &File) -> Rect {
    let (width, height) = tcgetwinsize(output)
        .ok()
        .filter(|size| size.ws_col > 0 && size.ws_row > 0)
        .map_or((80, 24), |size| (size.ws_col, size.ws_row));
    Rect::new(0, 0, width, height)
}
