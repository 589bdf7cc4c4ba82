//! What leaves the dashboard: the clipboard, the pager, the editor and a saved log.

use std::fs;
use std::path::PathBuf;

use super::open;

/// A program of a test, with what it leaves behind.
struct Tool {
    folder: tempfile::TempDir,
}

impl Tool {
    /// A shell script; `$OUT` is where it writes to.
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let text = format!("OUT={}\n{text}\n", out.display());
        fs::write(folder.path().join("tool"), text).unwrap();
        Self { folder }
    }

    fn command(&self) -> String {
        format!("sh {}", self.folder.path().join("tool").display())
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }
}

#[test]
fn url_pid_and_command_are_put_on_the_clipboard() {
    let (home, mut terminal) = open(&["chat"], &[]);
    let row = home.row("chat");
    terminal.wait_text("│command ");
    terminal.write("y");
    terminal.wait_text("Copy of chat");
    terminal.write("u");
    terminal.wait_text("URL copied");
    let url = format!("http://127.0.0.1:{}", row["port"]);
    assert_eq!(terminal.clipboard(), url);
    terminal.write("yb");
    terminal.wait_text("OPENAI_BASE_URL copied");
    assert_eq!(terminal.clipboard(), format!("{url}/v1"));
    terminal.write("ye");
    terminal.wait_text("environment copied");
    let lines = home.ok(&["connect", "chat"]).stdout;
    assert_eq!(terminal.clipboard(), lines.trim_end());
    terminal.write("yp");
    terminal.wait_text("pid copied");
    assert_eq!(terminal.clipboard(), row["pid"].to_string());
    terminal.write("y");
    terminal.wait_text("c  command");
    terminal.write("c");
    terminal.wait_text("command copied");
    let command = terminal.clipboard();
    assert!(
        command.contains(&format!("--port {}", row["port"])),
        "{command}"
    );
}

#[test]
fn the_log_is_opened_in_the_pager_and_the_dashboard_comes_back() {
    let pager = Tool::new("cat \"$1\" > \"$OUT\"; echo \"this is the pager\"; read key");
    let (home, mut terminal) = open(&["chat"], &[("PAGER", &pager.command())]);
    terminal.write("3");
    terminal.wait_text("all slots are idle");
    terminal.write("o");
    terminal.wait("the pager", |terminal| {
        terminal.text().contains("this is the pager") && !terminal.screen().alternate_screen()
    });
    assert!(terminal.is_cooked());
    terminal.write("\n");
    terminal.wait("the dashboard", |terminal| {
        terminal.screen().alternate_screen() && terminal.text().contains("● ready")
    });
    assert_eq!(
        fs::read(pager.out()).unwrap(),
        home.whole_log("chat", "stderr")
    );
}

#[test]
fn a_pager_that_is_not_there_is_told() {
    let (_home, mut terminal) = open(&["chat"], &[("PAGER", "no-such-pager")]);
    terminal.write("3");
    terminal.wait_text("all slots are idle");
    terminal.write("o");
    terminal.wait_text("no-such-pager: exit status: 127");
}

#[test]
fn a_log_is_saved_as_it_is_filtered_and_nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept.log");
    let (home, mut terminal) = open(&["chat"], &[]);
    let log = String::from_utf8(home.whole_log("chat", "stderr")).unwrap();
    let matching: Vec<&str> = log.lines().filter(|line| line.contains("slot")).collect();
    assert!(!matching.is_empty(), "{log}");
    terminal.write("3&slot\r");
    terminal.wait_text("only \"slot\"");
    terminal.write("\x13");
    terminal.wait_text("save to: chat-");
    terminal.write(&format!("\x15{}\r", file.display()));
    terminal.wait_text(&format!("saved {} lines", matching.len()));
    let saved = fs::read_to_string(&file).unwrap();
    assert_eq!(saved.lines().collect::<Vec<_>>(), matching);
    terminal.write(&format!("\x13\x15{}\r", file.display()));
    terminal.wait_text("the file exists already");
    assert_eq!(fs::read_to_string(&file).unwrap(), saved);
}

#[test]
fn an_edit_that_breaks_the_file_is_explained_and_seen_in_the_table() {
    let editor = Tool::new("echo 'server.parallel = \"many\"' >> \"$1\"");
    let variables = [("EDITOR", editor.command()), ("VISUAL", String::new())];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let (home, mut terminal) = open(&["chat"], &variables);
    let pid = home.pid("chat");
    terminal.write("e");
    terminal.wait_text("chat: this configuration cannot be used");
    terminal.wait_text("server.parallel");
    terminal.write("\x1b");
    terminal.wait("its sign in the table", |terminal| {
        let text = terminal.text();
        text.lines()
            .any(|line| line.contains("chat ▲") && line.contains("● ready"))
    });
    terminal.wait_text("what runs goes on");
    assert_eq!(home.pid("chat"), pid);
}

#[test]
fn a_new_instance_comes_from_a_template_through_the_editor_to_ready() {
    let editor = Tool::new("cat \"$1\" > \"$OUT\"");
    let variables = [("EDITOR", editor.command()), ("VISUAL", String::new())];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let home = crate::support::TestHome::new();
    let mut terminal = crate::support::terminal::Terminal::dashboard(&home, &variables);
    terminal.wait_text("No instances yet.");
    terminal.write("n");
    terminal.wait_text("New instance from");
    terminal.write("4");
    terminal.wait_text("name of the new instance:");
    terminal.write("fresh\r");
    terminal.wait("its row", |terminal| {
        let text = terminal.text();
        text.lines()
            .any(|line| line.contains("fresh") && line.contains("○ stopped"))
    });
    let edited = fs::read_to_string(editor.out()).unwrap();
    let file = home.path().join("instances/fresh/config.toml");
    assert_eq!(edited, fs::read_to_string(file).unwrap());
    terminal.write("s");
    terminal.wait_text("fresh: ready at");
}
