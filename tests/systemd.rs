//! The service under a real systemd: pid 1 of namespaces of its own, with folders of its own in the
//! places that it writes to. Needs an administrator and is skipped, loudly, where there is none.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::support::{PATIENCE, Ran, TestHome, kill_hard, skipped, wait_until};

/// Becomes pid 1: quiet places instead of the machine's, no units but those of the test.
const INIT: &str = r#"
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd /run/lock /run/user/0
chmod 700 /run/user/0
umount -l /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
units=$(dirname "$SYSTEMD")/system
for folder in /etc/systemd/system /etc/systemd/user /var/log /var/lib/systemd /var/tmp \
    "$(dirname "$SYSTEMD")"/system-generators "$(dirname "$SYSTEMD")"/user-generators \
    "$units"/*.target.wants "$HOME_OF_TEST"; do
    if [ -d "$folder" ]; then mount -t tmpfs tmpfs "$folder"; fi
done
export container=test
exec "$SYSTEMD" --system --unit=multi-user.target --log-target=null --show-status=0
"#;

/// A systemd that ends with the test.
struct Machine {
    unshare: Child,
    /// Pid 1, as we count it.
    init: i32,
    group: PathBuf,
    /// The home directory of its administrator.
    user_home: tempfile::TempDir,
}

impl Machine {
    /// Boots one; `Err` says why that is not possible here.
    fn boot() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("it takes an administrator".to_owned());
        }
        let systemd = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .ok_or("systemd is not installed")?;
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let unified = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .find(|fields| fields.get(2) == Some(&"cgroup2"))
            .ok_or("there is no unified hierarchy of control groups")?[1]
            .to_owned();
        // Its control groups begin here, so that it touches those of nobody else.
        let group = Path::new(&unified).join(format!("lo-systemd-{}", std::process::id()));
        fs::create_dir(&group).map_err(|error| format!("make {}: {error}", group.display()))?;
        let user_home = tempfile::tempdir().unwrap();
        let procs = group.join("cgroup.procs");
        let script = format!(
            "echo $$ > {procs:?} && exec unshare --mount --pid --fork --cgroup --uts --ipc \
             --mount-proc --kill-child sh -c \"$INIT\""
        );
        let unshare = Command::new("sh")
            .args(["-c", &script])
            .env("INIT", INIT)
            .env("SYSTEMD", systemd)
            .env("HOME_OF_TEST", user_home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut machine = Self {
            unshare,
            init: 0,
            group,
            user_home,
        };
        machine.wait_for_init()?;
        Ok(machine)
    }

    fn wait_for_init(&mut self) -> Result<(), String> {
        let pid = self.unshare.id();
        let children = format!("/proc/{pid}/task/{pid}/children");
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.unshare.try_wait().unwrap().is_some() {
                let mut said = String::new();
                let mut stderr = self.unshare.stderr.take().unwrap();
                stderr.read_to_string(&mut said).ok(); // what came tells enough
                return Err(format!("namespaces cannot be made here: {}", said.trim()));
            }
            let child = fs::read_to_string(&children).unwrap_or_default();
            self.init = child.trim().parse().unwrap_or(0);
            if self.init == 0 {
                std::thread::yield_now();
                continue;
            }
            let state = self.run("systemctl", &["is-system-running"]);
            if ["running", "degraded"].contains(&state.stdout.trim()) {
                return Ok(());
            }
        }
        Err("it does not come up".to_owned())
    }

    /// Runs a program inside, as the administrator.
    fn run(&self, program: &str, args: &[&str]) -> Ran {
        let output = Command::new("nsenter")
            .args(["-m", "-p", "-C", "-u", "-i", "-t", &self.init.to_string()])
            .arg(program)
            .args(args)
            .env("HOME", self.user_home.path())
            .env("USER", "root")
            .env("XDG_RUNTIME_DIR", "/run/user/0")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ran::from(output)
    }

    /// Runs our program inside.
    fn ours(&self, home: &TestHome, args: &[&str]) -> Ran {
        let place = home.path().to_str().unwrap();
        let all = [&["--home", place], args].concat();
        self.run(env!("CARGO_BIN_EXE_llama-orch"), &all)
    }

    fn ok(&self, home: &TestHome, args: &[&str]) -> Ran {
        let ran = self.ours(home, args);
        assert_eq!(ran.code, 0, "{args:?}\n{}{}", ran.stdout, ran.stderr);
        ran
    }

    /// A pid as it counts, for a process of an instance.
    fn pid(&self, home: &TestHome, name: &str) -> i32 {
        let text = self.ok(home, &["ps", "--json"]).stdout;
        let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut rows = rows.as_array().unwrap().iter();
        let row = rows.find(|row| row["name"] == name).unwrap();
        i32::try_from(row["pid"].as_i64().unwrap_or_default()).unwrap()
    }

    /// The supervisor's pid by systemd, as it counts.
    fn main_pid(&self, scope: &[&str]) -> i32 {
        let asked = [scope, &["show", "-P", "MainPID", "llama-orch"]].concat();
        let text = self.run("systemctl", &asked).stdout;
        text.trim().parse().unwrap_or(0)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Whatever it started goes with its pid 1.
        if self.init > 0 {
            kill_hard(self.init);
        }
        self.unshare.kill().ok(); // it ends with its child
        self.unshare.wait().ok();
        remove_groups(&self.group);
    }
}

/// Control groups are removed one by one, the innermost first.
fn remove_groups(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_groups(&entry.path());
        }
    }
    fs::remove_dir(group).ok(); // a process that is ending may still be in it
}

/// Installs, restarts, kills and removes the service; the server outlives all of it.
fn live_through(machine: &Machine, scope: &[&str], which: &[&str], user: &[&str]) {
    let home = TestHome::new();
    home.simulated("a", &["--sim-load-time", "0"], "");
    let ran = machine.ok(&home, &[&["daemon", "install"], which, user].concat());
    assert!(ran.stderr.contains("is enabled and runs"), "{}", ran.stderr);
    let is = |what: &str| {
        let asked = [scope, &[what, "llama-orch"]].concat();
        machine.run("systemctl", &asked).stdout.trim().to_owned()
    };
    assert_eq!(
        (is("is-enabled"), is("is-active")),
        ("enabled".into(), "active".into())
    );
    let status = machine.ok(&home, &["daemon", "status"]).stdout;
    assert!(status.starts_with("daemon"), "{status}");
    machine.ok(&home, &["up", "a"]);
    let (server, supervisor) = (machine.pid(&home, "a"), machine.main_pid(scope));
    assert!(server > 0 && supervisor > 0);

    // What every upgrade does.
    let restarted = machine.run("systemctl", &[scope, &["restart", "llama-orch"]].concat());
    assert_eq!(restarted.code, 0, "{}", restarted.stderr);
    assert_ne!(machine.main_pid(scope), supervisor);
    assert_eq!(
        machine.pid(&home, "a"),
        server,
        "a restart ended the server"
    );

    // What a crash does: systemd starts it again, and it finds its server.
    let supervisor = machine.main_pid(scope);
    machine.run("kill", &["-KILL", &supervisor.to_string()]);
    wait_until("another supervisor runs", || {
        let now = machine.main_pid(scope);
        now > 0 && now != supervisor && is("is-active") == "active"
    });
    assert_eq!(machine.pid(&home, "a"), server, "a crash ended the server");

    let found = machine.ours(&home, &["doctor", "--json"]).stdout;
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    let findings = found["findings"].as_array().unwrap();
    let is_good = findings.iter().any(|one| {
        one["area"] == "service"
            && one["grade"] == "good"
            && one["text"].as_str().unwrap().contains("is as it should be")
    });
    assert!(is_good, "{findings:#?}");

    machine.ok(&home, &[&["daemon", "uninstall"], which].concat());
    assert_ne!(is("is-active"), "active");
    assert_ne!(is("is-enabled"), "enabled");
    assert_eq!(machine.ours(&home, &["daemon", "status"]).code, 10);
    assert_eq!(
        machine.pid(&home, "a"),
        server,
        "the end of the service ended the server"
    );
    machine.ok(&home, &["down", "a"]);
}

#[test]
fn a_real_systemd_starts_restarts_and_ends_the_supervisor_and_no_server() {
    const TEST: &str = "a_real_systemd_starts_restarts_and_ends_the_supervisor_and_no_server";
    let machine = match Machine::boot() {
        Ok(machine) => machine,
        Err(why) => return skipped(TEST, &why),
    };
    live_through(&machine, &[], &["--system"], &["--user", "root"]);

    // The same of a user. Nobody logs in here, so their systemd is started by hand.
    let manager = machine.run(
        "systemd-run",
        &[
            "--unit=manager-of-the-test",
            "--property=Delegate=yes",
            "--property=Environment=XDG_RUNTIME_DIR=/run/user/0",
            &format!(
                "--property=Environment=HOME={}",
                machine.user_home.path().display()
            ),
            "/lib/systemd/systemd",
            "--user",
            "--unit=basic.target",
            "--log-target=null",
        ],
    );
    assert_eq!(manager.code, 0, "{}", manager.stderr);
    wait_until("the user's systemd runs", || {
        let state = machine.run("systemctl", &["--user", "is-system-running"]);
        ["running", "degraded"].contains(&state.stdout.trim())
    });
    live_through(&machine, &["--user"], &[], &[]);
}
