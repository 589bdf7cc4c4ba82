//! The service files, completions and manual pages: written, verified, taken away again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ran, TestHome, skipped};

/// A user's directories of which the real systemd knows nothing.
struct Sandbox {
    home: TestHome,
    folder: tempfile::TempDir,
}

impl Sandbox {
    fn new() -> Self {
        Self {
            home: TestHome::new(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn unit(&self) -> PathBuf {
        self.path("config/systemd/user/llama-orch.service")
    }

    fn run(&self, home: &TestHome, args: &[&str]) -> Ran {
        let inherited = std::env::var("PATH").unwrap();
        let path = format!("{}:{inherited}", self.path("bin").display());
        let mut command = home.command(args);
        command
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_RUNTIME_DIR", self.path("runtime"))
            .env("PATH", path);
        Ran::from(command.output().unwrap())
    }

    /// Makes it look as if systemd ran for the user: its socket, and a systemctl that notes how it
    /// is called and knows no active unit.
    fn pretend_systemd(&self) {
        fs::create_dir_all(self.path("runtime/systemd")).unwrap();
        fs::write(self.path("runtime/systemd/private"), "").unwrap();
        fs::create_dir_all(self.path("bin")).unwrap();
        let script = format!(
            "#!/bin/sh\necho \"$@\" >> {}\ncase \"$*\" in *is-active*) exit 3;; esac\n",
            self.path("calls").display()
        );
        let program = self.path("bin/systemctl");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

#[test]
fn systemd_itself_finds_nothing_wrong_with_our_units() {
    const TEST: &str = "systemd_itself_finds_nothing_wrong_with_our_units";
    let there = Command::new("systemd-analyze").arg("--version").output();
    if !there.is_ok_and(|done| done.status.success()) {
        skipped(TEST, "systemd-analyze is not installed");
        return;
    }
    // A home whose path has everything that a unit gives a meaning.
    let parent = tempfile::tempdir().unwrap();
    let odd = parent.path().join("50% \"of\" $HOME");
    fs::create_dir_all(odd.join("instances")).unwrap();
    let home = TestHome::new();
    let odd = odd.to_str().unwrap();
    let verify = |scope: &str, unit: &Path| {
        let done = Command::new("systemd-analyze")
            .args(["verify", "--recursive-errors=no", scope])
            .arg(unit)
            .env("XDG_RUNTIME_DIR", parent.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        (done.status.success(), said)
    };
    for (scope, args) in [
        ("--user", &["daemon", "install", "--print"][..]),
        (
            "--system",
            &["daemon", "install", "--print", "--system", "--user", "root"][..],
        ),
    ] {
        let text = home.ok(&[args, &["--home", odd]].concat()).stdout;
        let unit = parent.path().join("llama-orch.service");
        fs::write(&unit, &text).unwrap();
        let (fine, said) = verify(scope, &unit);
        let is_clean = !said.lines().any(|line| line.contains("llama-orch.service"));
        assert!(fine && is_clean, "{said}\n{text}");
        // A misspelt directive is found, so that silence means something.
        fs::write(&unit, text.replace("KillMode", "KilMode")).unwrap();
        let (_, said) = verify(scope, &unit);
        assert!(said.contains("KilMode"), "{said}");
    }
}

#[test]
fn without_systemd_the_unit_is_written_and_the_truth_is_told() {
    let sandbox = Sandbox::new();
    let home = &sandbox.home;
    let ran = sandbox.run(home, &["daemon", "install"]);
    assert_eq!(ran.code, 10, "{}", ran.stderr);
    assert_eq!(ran.stdout.trim_end(), sandbox.unit().to_str().unwrap());
    for part in [
        "does not run here",
        "systemctl --user daemon-reload && systemctl --user enable --now llama-orch",
    ] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    let text = fs::read_to_string(sandbox.unit()).unwrap();
    for line in [
        "KillMode=process",
        "OOMPolicy=continue",
        "Delegate=yes",
        "TasksMax=infinity",
        "LimitNOFILE=65536",
        "Type=notify",
        "WantedBy=default.target",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    // Who asked only for the file has all of it.
    assert_eq!(
        sandbox.run(home, &["daemon", "install", "--no-start"]).code,
        0
    );
    let other = TestHome::new();
    let ran = sandbox.run(&other, &["daemon", "install", "--no-start"]);
    assert_eq!(ran.code, 10);
    assert!(
        ran.stderr.contains("belongs to another home"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        sandbox
            .run(
                &other,
                &["daemon", "install", "--no-start", "--name", "second"]
            )
            .code,
        0
    );
    assert_eq!(sandbox.run(home, &["daemon", "uninstall"]).code, 0);
    assert!(!sandbox.unit().exists());
    assert!(sandbox.unit().with_file_name("second.service").exists());
    assert_eq!(sandbox.run(home, &["daemon", "uninstall"]).code, 10);
}

#[test]
fn a_unit_that_is_not_ours_is_neither_replaced_nor_removed() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.unit().parent().unwrap()).unwrap();
    fs::write(sandbox.unit(), "[Unit]\n").unwrap();
    for command in ["install", "uninstall"] {
        let ran = sandbox.run(&sandbox.home, &["daemon", command]);
        assert_eq!(ran.code, 10, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("not written by llama-orch"),
            "{}",
            ran.stderr
        );
        assert_eq!(fs::read_to_string(sandbox.unit()).unwrap(), "[Unit]\n");
    }
}

#[test]
fn install_enables_and_starts_and_a_daemon_makes_way() {
    let sandbox = Sandbox::new();
    sandbox.pretend_systemd();
    let home = &sandbox.home;
    home.simulated("a", &[], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let pid = home.pid("a");
    let ran = sandbox.run(home, &["install-service"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("makes way"), "{}", ran.stderr);
    assert_eq!(home.owner(), None);
    assert_eq!(home.pid("a"), pid);
    assert_eq!(
        sandbox.calls(),
        [
            "--user daemon-reload",
            "--user enable llama-orch",
            "--user is-active --quiet llama-orch",
            "--user restart llama-orch",
        ]
    );
    assert_eq!(sandbox.run(home, &["daemon", "uninstall"]).code, 0);
    assert_eq!(
        sandbox.calls()[4..],
        ["--user disable --now llama-orch", "--user daemon-reload"]
    );
    home.ok(&["down", "a"]);
}

/// Prints the service of a platform for a home whose path has what XML gives a meaning.
fn foreign(manager: &str, more: &[&str]) -> (String, String) {
    let parent = tempfile::tempdir().unwrap();
    let odd = parent.path().join("5 < 6 & \"7\"");
    fs::create_dir_all(odd.join("instances")).unwrap();
    let odd = odd.to_str().unwrap().to_owned();
    let args = ["daemon", "install", "--print", "--for", manager];
    let home = TestHome::new();
    let ran = home.ok(&[&args[..], &["--home", &odd], more].concat());
    assert!(ran.stderr.contains("runs on Linux only"), "{}", ran.stderr);
    (ran.stdout, odd)
}

/// The text of the element that follows a key of a property list.
fn entry<'a>(dict: roxmltree::Node<'a, 'a>, key: &str) -> roxmltree::Node<'a, 'a> {
    let mut entries = dict.children().filter(roxmltree::Node::is_element);
    entries
        .find(|node| node.has_tag_name("key") && node.text() == Some(key))
        .unwrap_or_else(|| unreachable!("{key} is missing"))
        .next_sibling_element()
        .unwrap()
}

#[test]
fn launchd_is_given_a_property_list() {
    let program = env!("CARGO_BIN_EXE_llama-orch");
    for (more, user) in [
        (&[][..], None),
        (&["--system", "--user", "models"][..], Some("models")),
    ] {
        let (text, home) = foreign("launchd", more);
        let options = roxmltree::ParsingOptions {
            allow_dtd: true,
            ..roxmltree::ParsingOptions::default()
        };
        let document = roxmltree::Document::parse_with_options(&text, options).unwrap();
        let plist = document.root_element();
        assert!(plist.has_tag_name("plist"));
        assert_eq!(plist.attribute("version"), Some("1.0"));
        let dict = plist.first_element_child().unwrap();
        // Keys and values take turns.
        let elements: Vec<_> = dict
            .children()
            .filter(roxmltree::Node::is_element)
            .collect();
        assert!(elements.chunks(2).all(|pair| pair.len() == 2
            && pair[0].has_tag_name("key")
            && !pair[1].has_tag_name("key")));
        let words = entry(dict, "ProgramArguments");
        let words = words
            .children()
            .filter_map(|word| word.first_child()?.text());
        let words: Vec<&str> = words.collect();
        assert_eq!(words, [program, "--home", &home, "--daemon"]);
        assert!(entry(dict, "RunAtLoad").has_tag_name("true"));
        assert!(entry(dict, "AbandonProcessGroup").has_tag_name("true"));
        let kept = entry(dict, "KeepAlive");
        assert!(entry(kept, "SuccessfulExit").has_tag_name("false"));
        let found = text.contains("UserName").then(|| entry(dict, "UserName"));
        assert_eq!(found.and_then(|node| node.text()), user);
    }
}

#[test]
fn the_task_scheduler_is_given_a_task() {
    let program = env!("CARGO_BIN_EXE_llama-orch");
    for (more, trigger, user) in [
        (&[][..], "LogonTrigger", None),
        (
            &["--system", "--user", "models"][..],
            "BootTrigger",
            Some("models"),
        ),
    ] {
        let (text, home) = foreign("task-scheduler", more);
        let document = roxmltree::Document::parse(&text).unwrap();
        let of = |name: &str| {
            let mut nodes = document.descendants();
            nodes.find(|node| node.tag_name().name() == name)
        };
        let namespace = document.root_element().tag_name().namespace();
        let task = "http://schemas.microsoft.com/windows/2004/02/mit/task";
        assert_eq!(namespace, Some(task));
        let text_of = |name: &str| of(name).and_then(|node| node.text());
        assert!(of(trigger).is_some(), "{text}");
        assert_eq!(text_of("Command"), Some(program));
        let arguments = format!("--home \"{home}\" --daemon");
        assert_eq!(text_of("Arguments"), Some(arguments.as_str()));
        // The supervisor is never ended because of its age.
        assert_eq!(text_of("ExecutionTimeLimit"), Some("PT0S"));
        assert_eq!(text_of("UserId"), user);
    }
}

#[test]
fn nssm_is_given_commands() {
    let (text, home) = foreign("nssm", &["--system", "--user", "models"]);
    assert!(text.lines().all(|line| line.starts_with("nssm ")), "{text}");
    let program = env!("CARGO_BIN_EXE_llama-orch");
    for line in [
        format!("nssm install llama-orch \"{program}\""),
        format!("nssm set llama-orch AppDirectory \"{home}\""),
        "nssm set llama-orch AppKillProcessTree 0".to_owned(),
        "nssm set llama-orch ObjectName \".\\models\" PASSWORD".to_owned(),
        "nssm start llama-orch".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn other_platforms_are_printed_with_what_to_do() {
    let home = TestHome::new();
    for (manager, text, step) in [
        ("launchd", "<key>RunAtLoad</key>", "launchctl bootstrap"),
        ("task-scheduler", "<LogonTrigger>", "schtasks /Create"),
        ("nssm", "nssm install llama-orch", "elevated prompt"),
    ] {
        let ran = home.ok(&["daemon", "install", "--print", "--for", manager]);
        assert!(ran.stdout.contains(text), "{}", ran.stdout);
        assert!(ran.stderr.contains(step), "{}", ran.stderr);
        assert!(ran.stderr.contains("runs on Linux only"), "{}", ran.stderr);
    }
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let home = TestHome::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = home.ok(&["completions", shell]).stdout;
        assert!(
            text.contains("migrate") && !text.contains("detached"),
            "{shell}"
        );
    }
    let folder = home.path().join("man");
    home.ok(&["man", folder.to_str().unwrap()]);
    let page = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert!(page("llama-orch-config-migrate.1").contains("commented TOML"));
    assert!(page("llama-orch.1").contains("llama\\-orch"));
    let is_hidden = |name: &str| Path::new(&folder).join(name).exists();
    assert!(!is_hidden("llama-orch-shim.1") && !is_hidden("llama-orch-daemon-detached.1"));
}
