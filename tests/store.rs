//! The promise of a stored wish, tried with a real kill -9.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use llama_orch::domain::instance::InstanceName;
use llama_orch::domain::lifecycle::Desired;
use llama_orch::store::{Notice, Options, Reader, Saved, Store};

/// Tells a copy of this test binary which database to write to.
const CHILD: &str = "STORE_TEST_DATABASE";

/// What the child says after each reply.
const STORED: &str = "stored ";

#[test]
fn a_wish_survives_kill_dash_nine_of_its_owner() {
    if let Some(path) = std::env::var_os(CHILD) {
        wish_for_ever(Path::new(&path));
        return;
    }
    for promised in [1, 7, 40] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.sqlite");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("store::a_wish_survives_kill_dash_nine_of_its_owner")
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let heard = lines
            .map(Result::unwrap)
            .filter(|line| line.contains(STORED))
            .take(promised)
            .count();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(heard, promised);

        let reader = Reader::open(&path).unwrap().unwrap();
        let wishes = reader.desired_all().unwrap();
        assert!(wishes.len() >= promised, "{} of {promised}", wishes.len());
        drop(reader);
        let opened = Store::open(&path, Options::default()).unwrap();
        assert_eq!(opened.notices, Vec::<Notice>::new());
        assert!(opened.stored.desired.len() >= promised);
        opened.store.close().wait().unwrap();
    }
}

fn wish_for_ever(path: &Path) {
    let opened = Store::open(path, Options::default()).unwrap();
    // Bounded, so that a child whose parent died ends too.
    for number in 0..100_000 {
        let name = InstanceName::parse(&format!("wish-{number}")).unwrap();
        let reply = opened.store.set_desired(name, None, Desired::Running, 1.0);
        assert_eq!(reply.wait().unwrap(), Saved::OnDisk);
        if writeln!(io::stdout(), "\n{STORED}{number}").is_err() {
            return;
        }
    }
}
