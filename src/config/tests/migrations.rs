//! The predecessor's files in `tests/data/config` become TOML that means the same.

use std::fs;
use std::path::Path;

use super::{corpus, format_of};
use crate::config::home::{Home, HomeOrigin};
use crate::config::load::load;
use crate::config::migrate::migrate;
use crate::config::settings::Settings;
use crate::config::tree::Format;

#[test]
fn every_good_file_of_the_predecessor_is_moved_with_nothing_lost() {
    let mut moved = 0;
    for path in corpus("good") {
        if format_of(&path) != Format::LegacyJson {
            continue;
        }
        let dir = tempfile::tempdir().expect("make a temporary directory");
        let folder = dir.path().join("instances/case");
        fs::create_dir_all(&folder).expect("make a folder");
        fs::copy(&path, folder.join("config.json")).expect("copy the case");
        let home = Home::open(dir.path(), HomeOrigin::Flag).expect("open the home");
        let spec = |home: &Home| {
            let set = load(home);
            let row = set.rows.into_iter().next().expect("one instance");
            row.expect("it is good").spec
        };
        let before = spec(&home);
        let from = home.instances_dir().join("case/config.json");
        let migration = migrate(&home, &Settings::load(&home), &from)
            .unwrap_or_else(|broken| unreachable!("{}: {}", path.display(), broken.reason()));
        assert_eq!(spec(&home), before, "a dry run changed something");
        migration.carry_out().expect("carry it out");
        assert_eq!(
            spec(&home),
            before,
            "{}\n{}",
            path.display(),
            migration.text
        );
        assert!(!from.exists());
        assert_eq!(
            fs::read(&migration.backup).expect("read the backup"),
            fs::read(&path).expect("read the case")
        );
        moved += 1;
    }
    assert!(moved >= 3, "only {moved} files of the predecessor");
}

#[test]
fn every_field_and_unknown_key_of_the_predecessor_is_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config/good/legacy-all.json");
    let text = fs::read_to_string(&path).expect("read the case");
    let dir = tempfile::tempdir().expect("make a temporary directory");
    let home = Home::open(dir.path(), HomeOrigin::Flag).expect("open the home");
    let from = home.instances_dir().join("every/config.json");
    fs::create_dir_all(from.parent().expect("it has a folder")).expect("make it");
    fs::write(&from, &text).expect("write the case");
    let migration = migrate(&home, &Settings::default(), &from)
        .unwrap_or_else(|b| unreachable!("{}", b.reason()));
    let table: toml::Table = migration.text.parse().expect("it is TOML");
    let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let mut missing = Vec::new();
    keys(&json, "", &mut |path, value| {
        let mut found = Some(&toml::Value::Table(table.clone())).cloned();
        for part in path.split('.') {
            found = found.and_then(|value| value.get(part).cloned());
        }
        if !value.is_null() && found.is_none() {
            missing.push(path.to_owned());
        }
    });
    assert!(missing.is_empty(), "{missing:?}\n{}", migration.text);
    assert_eq!(
        migration.notes,
        ["model_metadata.nothing: TOML has no null"]
    );
    // Every line that sets something says what it is for, but those of free tables.
    insta::assert_snapshot!(migration.text);
}

fn keys(value: &serde_json::Value, path: &str, see: &mut impl FnMut(&str, &serde_json::Value)) {
    let Some(object) = value.as_object() else {
        see(path, value);
        return;
    };
    for (key, value) in object {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        keys(value, &path, see);
    }
}
