//! Each finding made to appear, with its remedy: a home, a folder that stands for the machine, and
//! what this process would say of itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{OwnerSeen, Patient, Sources, User, examine};
use crate::config::home::{Home, HomeOrigin};
use crate::domain::checkup::{Area, Found, Grade};
use crate::domain::readings::HostReadings;

/// What a unit must say, and the rest of it.
const UNIT: &str = "[Service]\nExecStart=/usr/bin/llama-orch --daemon\nKillMode=process\n\
                    OOMPolicy=continue\nTasksMax=infinity\nLimitNOFILE=65536\nDelegate=yes\n";

/// A machine with nothing to complain of, in a folder.
struct Scene {
    folder: tempfile::TempDir,
    sources: Sources,
    owner: OwnerSeen,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("machine");
        let sources = Sources {
            root,
            user: User::Other,
            open_files: Some(65_536),
            tasks: Some(60_000),
            variables: BTreeMap::from([
                ("USER".to_owned(), "me".to_owned()),
                (
                    "HOME".to_owned(),
                    folder.path().join("me").display().to_string(),
                ),
            ]),
        };
        let owner = OwnerSeen::Answers {
            pid: 7,
            database: "ok".to_owned(),
            api: None,
        };
        let scene = Self {
            folder,
            sources,
            owner,
        };
        scene.write("proc/sys/kernel/osrelease", "6.18.0-generic\n");
        scene.write("proc/sys/fs/pipe-user-pages-soft", "1048576\n");
        scene.write(
            "proc/self/cgroup",
            "0::/user.slice/user-1000.slice/s.scope\n",
        );
        scene.write("run/systemd/system/x", "");
        scene.write("etc/systemd/system/llama-orch.service", UNIT);
        scene.write("var/lib/systemd/linger/me", "");
        scene
    }

    /// Writes a file of the machine.
    fn write(&self, path: &str, text: &str) {
        write(&self.sources.root.join(path), text);
    }

    /// Gives the home an instance more.
    fn instance(&self, name: &str) {
        let path = format!("home/instances/{name}/config.toml");
        let text = "binary.path = \"builtin:sim\"\nserver.port = \"auto\"\n";
        write(&self.folder.path().join(path), text);
    }

    fn found(&self) -> Vec<Found> {
        let root = self.folder.path().join("home");
        fs::create_dir_all(root.join("instances")).expect("make a folder");
        let home = Home::open(&root, HomeOrigin::Flag).expect("a home");
        examine(&Patient {
            home: &home,
            host: &HostReadings::default(),
            owner: self.owner.clone(),
            now: 1_800_000_000.0,
            sources: &self.sources,
        })
    }

    /// There is a finding of this area and grade with these words, and a remedy with those.
    fn check(&self, what: &str, area: Area, grade: Grade, text: &str, remedy: &str) {
        let found = self.found();
        let fits = |one: &&Found| {
            let said = one.remedy.as_deref().unwrap_or_default();
            one.area == area
                && one.grade == grade
                && one.text.contains(text)
                && said.contains(remedy)
        };
        assert!(found.iter().any(|one| fits(&one)), "{what}: {found:#?}");
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("it has a folder")).expect("make a folder");
    fs::write(path, text).expect("write a file");
}

#[test]
fn a_sound_machine_has_no_warnings() {
    let scene = Scene::new();
    scene.instance("a");
    // These depend on the machine that the test runs on.
    let elsewhere = [Area::Servers, Area::Orphans, Area::Disk, Area::Home];
    let found = scene.found();
    let bad: Vec<&Found> = found
        .iter()
        .filter(|one| one.grade > Grade::Good && !elsewhere.contains(&one.area))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

/// A change to a sound machine, and the finding it brings: area, grade, words, remedy.
type Row = (
    &'static str,
    fn(&mut Scene),
    Area,
    Grade,
    &'static str,
    &'static str,
);

#[test]
fn each_trap_is_found_with_its_remedy() {
    let rows: [Row; 24] = [
        (
            "few open files",
            |scene| scene.sources.open_files = Some(70),
            Area::Limits,
            Grade::Error,
            "70 open files; about 76 are needed for 1 instance",
            "LimitNOFILE=65536",
        ),
        (
            "no limit of open files",
            |scene| scene.sources.open_files = None,
            Area::Limits,
            Grade::Good,
            "any number of open files",
            "",
        ),
        (
            "hardly any pipes",
            |scene| scene.write("proc/sys/fs/pipe-user-pages-soft", "16\n"),
            Area::Limits,
            Grade::Warning,
            "16 pages of pipes are not enough for 1 instance:",
            "sysctl fs.pipe-user-pages-soft=",
        ),
        (
            "few pipes",
            |scene| scene.write("proc/sys/fs/pipe-user-pages-soft", "500\n"),
            Area::Limits,
            Grade::Note,
            "a log pipe is 64 KiB instead of 1 MiB",
            "sysctl fs.pipe-user-pages-soft=",
        ),
        (
            "few processes",
            |scene| scene.sources.tasks = Some(10),
            Area::Limits,
            Grade::Warning,
            "10 processes and threads are allowed",
            "ulimit -u",
        ),
        (
            "a small control group",
            |scene| {
                let group = "sys/fs/cgroup/user.slice/user-1000.slice/s.scope";
                scene.write(&format!("{group}/pids.max"), "33\n");
            },
            Area::Limits,
            Grade::Warning,
            "this control group allows 33 tasks",
            "TasksMax=infinity",
        ),
        (
            "an old kernel",
            |scene| scene.write("proc/sys/kernel/osrelease", "5.15.0-91-generic\n"),
            Area::Limits,
            Grade::Note,
            "Linux 5.15.0-91-generic",
            "",
        ),
        (
            "a user who does not linger",
            |scene| remove(scene, "var/lib/systemd/linger/me"),
            Area::Service,
            Grade::Warning,
            "me does not linger",
            "loginctl enable-linger me",
        ),
        (
            "a user who lingers",
            |_| {},
            Area::Service,
            Grade::Good,
            "me lingers",
            "",
        ),
        (
            "a unit that kills",
            |scene| {
                let text = UNIT.replace("KillMode=process\n", "");
                scene.write("etc/systemd/system/llama-orch.service", &text);
            },
            Area::Service,
            Grade::Error,
            "every restart of the unit kills all servers",
            "add KillMode=process to [Service]",
        ),
        (
            "a unit of the user that dies of one server's hunger",
            |scene| {
                let text = UNIT.replace("OOMPolicy=continue\n", "");
                let path = "me/.config/systemd/user/llama-orch.service";
                write(&scene.folder.path().join(path), &text);
            },
            Area::Service,
            Grade::Error,
            "takes all others along",
            "add OOMPolicy=continue",
        ),
        (
            "no unit",
            |scene| remove(scene, "etc/systemd/system/llama-orch.service"),
            Area::Service,
            Grade::Note,
            "no unit starts the supervisor",
            "llama-orch daemon install",
        ),
        (
            "no systemd",
            |scene| {
                fs::remove_dir_all(scene.sources.root.join("run")).expect("it is there");
            },
            Area::Service,
            Grade::Note,
            "no systemd here",
            "",
        ),
        (
            "a file that every server reads",
            |scene| {
                scene.write("etc/llama.cpp/config.ini", "ctx-size = 5\napi-key = k\n");
            },
            Area::Environment,
            Grade::Warning,
            "which sets ctx-size, api-key",
            "mv ",
        ),
        (
            "the same of the user, with nothing in it",
            |scene| {
                let path = scene.folder.path().join("me/.config/llama.cpp/config.ini");
                write(&path, "; nothing\n");
            },
            Area::Environment,
            Grade::Note,
            "sets nothing",
            "",
        ),
        (
            "variables that are flags",
            |scene| {
                let flag = ("LLAMA_ARG_CTX_SIZE".to_owned(), "5".to_owned());
                scene.sources.variables.extend([flag]);
            },
            Area::Environment,
            Grade::Note,
            "LLAMA_ARG_CTX_SIZE are taken out of every server's environment",
            "[env]",
        ),
        (
            "nothing but the command line",
            |_| {},
            Area::Environment,
            Grade::Good,
            "nothing but the command line reaches a server",
            "",
        ),
        (
            "a broken supervisor",
            |scene| {
                scene.owner = OwnerSeen::Broken {
                    why: "it hung up".to_owned(),
                };
            },
            Area::Owner,
            Grade::Error,
            "does not answer as it should: it hung up",
            "llama-orch daemon restart",
        ),
        (
            "nobody supervises",
            |scene| scene.owner = OwnerSeen::Nobody,
            Area::Owner,
            Grade::Note,
            "nobody restarts what crashes",
            "llama-orch daemon start",
        ),
        (
            "no socket where one should be",
            |scene| write(&scene.folder.path().join("home/state/llama-orch.sock"), ""),
            Area::Owner,
            Grade::Error,
            "is no socket",
            "rm ",
        ),
        (
            "an address of the API that cannot be had",
            |scene| {
                scene.owner = OwnerSeen::Answers {
                    pid: 7,
                    database: "ok".to_owned(),
                    api: Some("orchestrator.toml:2:10: api.listen: in use".to_owned()),
                };
            },
            Area::Owner,
            Grade::Error,
            "orchestrator.toml:2:10: api.listen: in use",
            "correct what is named there",
        ),
        (
            "a degraded database",
            |scene| {
                scene.owner = OwnerSeen::Answers {
                    pid: 7,
                    database: "the disk is full".to_owned(),
                    api: None,
                };
            },
            Area::Database,
            Grade::Error,
            "the disk is full",
            "make room",
        ),
        (
            "a damaged database",
            |scene| {
                let path = scene.folder.path().join("home/state/state.sqlite");
                write(&path, &"x".repeat(8192));
            },
            Area::Database,
            Grade::Error,
            "state.sqlite",
            "moved aside and rebuilt",
        ),
        (
            "a broken configuration",
            |scene| {
                let path = scene.folder.path().join("home/instances/b/config.toml");
                write(&path, "server.port = [");
            },
            Area::Config,
            Grade::Error,
            "b cannot be used",
            "llama-orch config validate",
        ),
    ];
    for (what, change, area, grade, text, remedy) in rows {
        let mut scene = Scene::new();
        scene.instance("a");
        change(&mut scene);
        scene.check(what, area, grade, text, remedy);
    }
}

fn remove(scene: &Scene, path: &str) {
    fs::remove_file(scene.sources.root.join(path)).expect("it is there");
}

#[test]
fn logs_are_counted_of_instances_and_of_work_units() {
    let scene = Scene::new();
    // What is free depends on the machine that the test runs on.
    let told = || {
        let found = scene.found();
        let disk = found.into_iter().find(|one| one.area == Area::Disk);
        disk.map(|disk| disk.text.rsplit("; ").next().map(str::to_owned))
    };
    scene.instance("a");
    assert_eq!(told(), Some(Some("logs may take 80 MiB".to_owned())));
    for chunk in ["parser", "docs"] {
        let log = format!("home/logs/work/{chunk}/stdout.log");
        write(&scene.folder.path().join(log), "");
    }
    // A file there is of an instance that is called so.
    write(&scene.folder.path().join("home/logs/work/stdout.log"), "");
    assert_eq!(told(), Some(Some("logs may take 240 MiB".to_owned())));
}
