//! What was kept of a crash, read for whoever asks.

use std::fs;
use std::io;
use std::path::Path;

use crate::api::wire::{CrashAboutBody, CrashBody, KeptCrashBody};
use crate::config::home::Home;
use crate::domain::instance::InstanceName;
use crate::supervisor::crashes;

/// Lines of the log that are told; the file has more.
const LAST_WORDS: usize = 12;

/// Events and changes of health that are told.
const HISTORY: usize = 10;

/// Reads the bundle that has `back` newer ones. Blocking.
///
/// # Errors
///
/// Returns why the bundle cannot be read.
pub fn read(home: &Home, name: &InstanceName, back: usize) -> io::Result<KeptCrashBody> {
    let bundles = crashes::of(home, name);
    let crash = bundles.get(back).map(|folder| bundle(folder)).transpose()?;
    Ok(KeptCrashBody {
        count: bundles.len(),
        crash,
    })
}

fn bundle(folder: &Path) -> io::Result<CrashBody> {
    let text = fs::read_to_string(folder.join("about.json"))?;
    let about: CrashAboutBody = serde_json::from_str(&text)?;
    // What is missing or unreadable leaves the rest worth reading.
    let lines = |file: &str| -> Vec<String> {
        let bytes = fs::read(folder.join(file)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        text.lines().map(str::to_owned).collect()
    };
    let (stdout, stderr) = (lines("stdout.log"), lines("stderr.log"));
    // A server that writes JSON lines writes them to stdout.
    let (words_file, words) = match stderr.is_empty() && !stdout.is_empty() {
        true => ("stdout.log", stdout),
        false => ("stderr.log", stderr),
    };
    Ok(CrashBody {
        about,
        path: folder.display().to_string(),
        last_words: end(words, LAST_WORDS),
        words_file: words_file.to_owned(),
        events: end(lines("events.txt"), HISTORY),
        health: end(lines("health.txt"), HISTORY),
    })
}

fn end(mut lines: Vec<String>, limit: usize) -> Vec<String> {
    lines.split_off(lines.len().saturating_sub(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::home::HomeOrigin;

    #[test]
    fn the_newest_comes_first_and_an_older_bundle_may_know_less() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::open(folder.path(), HomeOrigin::Flag).expect("a home");
        let name = InstanceName::parse("a").expect("a name");
        let put = |run: &str, file: &str, text: &str| {
            let bundle = home.crashes_dir(&name).join(run);
            fs::create_dir_all(&bundle).expect("a folder");
            fs::write(bundle.join(file), text).expect("a file");
        };
        assert_eq!(
            read(&home, &name, 0).expect("none"),
            KeptCrashBody::default()
        );
        put("1", "about.json", r#"{"run_id": "1", "unheard_of": {}}"#);
        put("1", "stdout.log", "first\n{\"msg\": \"last\"}\n");
        put(
            "2",
            "about.json",
            r#"{"run_id": "2", "exit": {"code": null, "signal": 9, "core": true}}"#,
        );
        put("2", "stderr.log", &"line\n".repeat(LAST_WORDS + 1));
        let newest = read(&home, &name, 0).expect("the newest");
        assert_eq!(newest.count, 2);
        let newest = newest.crash.expect("the newest");
        assert_eq!(newest.about.run_id, "2");
        assert_eq!(newest.about.exit.signal, Some(9));
        assert!(newest.about.exit.core);
        assert_eq!(newest.last_words.len(), LAST_WORDS);
        assert_eq!(newest.words_file, "stderr.log");
        let older = read(&home, &name, 1).expect("the older").crash;
        let older = older.expect("the older");
        assert_eq!(older.last_words, ["first", "{\"msg\": \"last\"}"]);
        assert_eq!(older.words_file, "stdout.log");
        assert_eq!(read(&home, &name, 2).expect("no more").crash, None);
        put("3", "about.json", "{");
        read(&home, &name, 0).expect_err("it is not JSON");
    }
}
