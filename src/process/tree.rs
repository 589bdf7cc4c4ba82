//! The processes of a run and what they use, for readings and for telling whose socket answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::os;
use super::runfiles::TOKEN_VARIABLE;

/// Lists the processes of a run: the server, what descends from it, and whatever carries the run's
/// token (a detached process has another parent, one with a cleared environment no token).
#[must_use]
pub fn processes(server: i32, token: &str) -> BTreeSet<i32> {
    let parents: BTreeMap<i32, i32> = os::all_pids()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|pid| Some((pid, os::stat(pid).ok()?.parent)))
        .collect();
    let mut tree = descendants(server, &parents);
    let strangers = parents.keys().filter(|pid| !tree.contains(pid));
    let carriers: Vec<i32> = strangers
        .filter(|pid| {
            matches!(os::environment_variable(**pid, TOKEN_VARIABLE), Ok(Some(found)) if found == token)
        })
        .copied()
        .collect();
    tree.extend(carriers);
    tree
}

/// Lists the server, what descends from it, and what descends from its shim, to which everything
/// falls whose parent ended. Looks at no other process, so it is cheap enough to be done often; a
/// detached process of a run whose shim was replaced is found only by [`processes`].
#[must_use]
pub fn family(server: i32, shim: Option<i32>) -> BTreeSet<i32> {
    let mut family = BTreeSet::new();
    let mut waiting = vec![server];
    waiting.extend(shim.map(children).unwrap_or_default());
    while let Some(pid) = waiting.pop() {
        if family.insert(pid) {
            waiting.extend(children(pid));
        }
    }
    family
}

/// A child belongs to the thread that made it.
fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .filter_map(Result::ok)
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|text| {
            let pids = text.split_whitespace().filter_map(|pid| pid.parse().ok());
            pids.collect::<Vec<i32>>()
        })
        .collect()
}

/// Returns the process and all that descends from it; nothing when it is not there.
fn descendants(root: i32, parents: &BTreeMap<i32, i32>) -> BTreeSet<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (pid, parent) in parents {
        children.entry(*parent).or_default().push(*pid);
    }
    let mut tree = BTreeSet::new();
    let mut waiting: Vec<i32> = parents
        .contains_key(&root)
        .then_some(root)
        .into_iter()
        .collect();
    while let Some(pid) = waiting.pop() {
        // Read at different moments, the parents may even form a circle.
        if tree.insert(pid) {
            waiting.extend(children.get(&pid).into_iter().flatten());
        }
    }
    tree
}

/// Returns the resident memory of the processes in bytes; pages they share count for each of them.
#[must_use]
pub fn resident_bytes(processes: &BTreeSet<i32>) -> u64 {
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    let resident = |pid: &i32| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        text.split_whitespace().nth(1)?.parse().ok()
    };
    processes.iter().filter_map(resident).sum::<u64>() * page
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn a_tree_is_found_by_its_parents_without_strangers_and_circles() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (5, 1), (7, 8), (8, 7)]);
        let rows: [(i32, &[i32]); 5] = [
            (2, &[2, 3, 4]),
            (4, &[4]),
            (5, &[5]),
            (7, &[7, 8]),
            (9, &[]),
        ];
        for (root, expected) in rows {
            let expected: BTreeSet<i32> = expected.iter().copied().collect();
            assert_eq!(descendants(root, &parents), expected, "{root}");
        }
    }

    #[test]
    fn a_detached_grandchild_with_the_token_and_a_child_without_it_belong_to_the_run() {
        let token = format!("tree-test-{}", std::process::id());
        // The first leaves its parent, the second its environment. Each waits for its stdin.
        let script = "exec 3<&0; (setsid sh -c 'echo $$; exec cat <&3' &) ; \
                      env -i sh -c 'echo $$; exec cat <&3' & wait";
        let mut server = Command::new("/bin/sh")
            .args(["-c", script])
            .env(TOKEN_VARIABLE, &token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
        let pids: Vec<i32> = lines
            .take(2)
            .map(|line| line.expect("a line").parse().expect("a pid"))
            .collect();
        let root = server.id().cast_signed();
        let found = processes(root, &token);
        assert!(
            pids.iter().all(|pid| found.contains(pid)),
            "{pids:?} {found:?}"
        );
        assert!(found.contains(&root));
        // Without a subreaper between, the detached one has left the family.
        let family = family(root, None);
        let near = pids.iter().filter(|pid| family.contains(pid)).count();
        assert!(family.contains(&root) && near == 1, "{pids:?} {family:?}");
        assert!(!found.contains(&std::process::id().cast_signed()));
        assert!(resident_bytes(&found) > 4096);
        // The end of their stdin ends them all.
        drop(server.stdin.take());
        server.wait().expect("reap");
    }
}
