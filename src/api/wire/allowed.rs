//! What the words in requests may be, as `/openapi.json` says it: so that whoever makes requests
//! from the document makes those that are taken.

use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, SchemaType, Type};
use utoipa::openapi::{
    Array, ArrayBuilder, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat,
};

use super::work::PATH_LIMIT;
use crate::domain::event::EventType;
use crate::domain::work::{Phase, WorkStatus};

/// 1 to 64 of `a-z 0-9 _ -`, first and last a letter or digit.
const INSTANCE: &str = "[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?";

/// 1 to 64 of `a-z 0-9 _ . -`, the first a letter or digit.
const CHUNK: &str = "[a-z0-9][a-z0-9_.-]{0,63}";

/// The places in stdout and in stderr, `-` for none.
const CURSOR: &str = "(-|PLACE)_(-|PLACE)";

/// A file's number, when it was made, and an offset, as hexadecimal numbers.
const PLACE: &str = r"[0-9a-f]{1,16}\.[0-9a-f]{1,16}\.[0-9a-f]{1,16}";

/// Begins at the root and holds no NUL.
const ABSOLUTE: &str = r"^/[^\u0000]*$";

/// The name of an instance.
pub(crate) fn instance() -> Object {
    text(&whole(INSTANCE)).examples(["chat"]).build()
}

pub(crate) fn instance_or_null() -> Object {
    or_null(instance())
}

pub(crate) fn instances_or_null() -> Schema {
    list_or_null(ArrayBuilder::new().items(instance()).build())
}

/// Names of instances, separated by commas.
pub(crate) fn instance_list() -> Object {
    text(&format!("^({INSTANCE}(,{INSTANCE})*)?$")).build()
}

/// The name of a work unit.
pub(crate) fn chunk() -> Object {
    text(&whole(CHUNK)).examples(["login"]).build()
}

pub(crate) fn chunks() -> Array {
    ArrayBuilder::new().items(chunk()).build()
}

pub(crate) fn chunks_or_null() -> Schema {
    list_or_null(chunks())
}

pub(crate) fn phase() -> Object {
    one_of(Phase::NAMES.map(|(_, word)| word))
}

pub(crate) fn status() -> Object {
    one_of(WorkStatus::NAMES.map(|(_, word)| word))
}

pub(crate) fn phase_or_null() -> Object {
    one_of_or_null(Phase::NAMES.map(|(_, word)| word))
}

pub(crate) fn status_or_null() -> Object {
    one_of_or_null(WorkStatus::NAMES.map(|(_, word)| word))
}

/// Statuses, separated by commas.
pub(crate) fn status_list() -> Object {
    list_of(&WorkStatus::NAMES.map(|(_, word)| word))
}

/// Kinds of events, separated by commas.
pub(crate) fn event_type_list() -> Object {
    list_of(&EventType::NAMES.map(|(_, word)| word))
}

pub(crate) fn worktree_or_null() -> Object {
    let path = text(ABSOLUTE).max_length(Some(PATH_LIMIT));
    or_null(path.examples(["/srv/login"]).build())
}

/// Program and arguments, by phase.
pub(crate) fn commands() -> Object {
    by_phase(command().into())
}

/// The same, with null for no more command.
pub(crate) fn commands_or_none() -> Object {
    let none = ObjectBuilder::new().schema_type(Type::Null);
    by_phase(
        AnyOfBuilder::new()
            .item(command())
            .item(none)
            .build()
            .into(),
    )
}

/// A program, which is not blank, and its arguments, which may be.
// That the first differs, `prefixItems` would say; the tools that make requests stumble over it.
fn command() -> Array {
    ArrayBuilder::new()
        .items(text(r"^[^\u0000]*$"))
        .min_items(Some(1))
        .examples([vec!["make", "test"]])
        .build()
}

fn by_phase(command: Schema) -> Object {
    ObjectBuilder::new()
        .property_names(Some(phase()))
        .additional_properties(Some(AdditionalProperties::RefOr(command.into())))
        .build()
}

/// `start`, `end`, a time or a cursor.
pub(crate) fn place_in_log() -> Schema {
    let time = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    AnyOfBuilder::new()
        .item(one_of(["start", "end"]))
        .item(time)
        .item(cursor())
        .build()
        .into()
}

/// A place that an earlier answer gave.
pub(crate) fn cursor() -> Object {
    text(&whole(&CURSOR.replace("PLACE", PLACE))).build()
}

/// A regular expression.
pub(crate) fn pattern() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::Custom("regex".to_owned())))
        .examples(["error|warning"])
        .build()
}

fn text(pattern: &str) -> ObjectBuilder {
    let word = ObjectBuilder::new().schema_type(Type::String);
    word.pattern(Some(pattern))
}

fn whole(pattern: &str) -> String {
    format!("^({pattern})$")
}

fn one_of<const COUNT: usize>(words: [&str; COUNT]) -> Object {
    let word = ObjectBuilder::new().schema_type(Type::String);
    word.enum_values(Some(words)).build()
}

fn one_of_or_null<const COUNT: usize>(words: [&str; COUNT]) -> Object {
    let words = words.map(Some).into_iter().chain([None]);
    let word = ObjectBuilder::new().schema_type(text_or_null());
    word.enum_values(Some(words)).build()
}

fn list_or_null(list: Array) -> Schema {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    AnyOfBuilder::new().item(list).item(null).build().into()
}

fn list_of(words: &[&str]) -> Object {
    let word = words.join("|");
    text(&format!("^({word})(,({word}))*$")).build()
}

fn text_or_null() -> SchemaType {
    SchemaType::from_iter([Type::String, Type::Null])
}

fn or_null(mut word: Object) -> Object {
    word.schema_type = text_or_null();
    word
}

#[cfg(test)]
mod tests {
    use regex::Regex;
    use serde_json::Value;

    use super::*;
    use crate::domain::instance::InstanceName;
    use crate::domain::log::Cursor;
    use crate::domain::work::{Chunk, PhaseCommand};

    /// Reads the pattern as a checker of the document does.
    fn pattern_of(word: &Object) -> Regex {
        let word = serde_json::to_value(word).expect("JSON");
        let pattern = word["pattern"].as_str().expect("a pattern");
        Regex::new(&pattern.replace(r"\u0000", r"\x00")).expect("it is one")
    }

    fn check(word: &Object, texts: &[&str], is_taken: impl Fn(&str) -> bool) {
        let pattern = pattern_of(word);
        for text in texts {
            assert_eq!(pattern.is_match(text), is_taken(text), "{text:?}");
        }
    }

    #[test]
    fn a_pattern_takes_exactly_what_the_rule_takes() {
        let long = "a".repeat(65);
        let names = [
            "a",
            "a-b_c",
            "-a",
            "a-",
            "a.b",
            "a.",
            "A",
            "",
            "a b",
            "0",
            &long,
            &long[1..],
        ];
        check(&instance(), &names, |text| {
            InstanceName::parse(text).is_ok()
        });
        check(&chunk(), &names, |text| Chunk::parse(text).is_ok());
        let place = "f00.1.0";
        let cursors = [
            "-_-",
            "-_1.2.3",
            "f00.1.0_-",
            "1.2.3",
            "-",
            "start",
            "",
            "1.2_-",
            "g.1.1_-",
            "-_-_-",
        ];
        check(&cursor(), &cursors, |text| text.parse::<Cursor>().is_ok());
        assert!(pattern_of(&cursor()).is_match(&format!("{place}_{place}")));
        check(
            &status_list(),
            &["DONE", "DONE,READY", "", "done", "DONE,", ","],
            |text| {
                let mut words = text.split(',');
                words.all(|word| WorkStatus::parse(word).is_some())
            },
        );
        let lists = ["", "a", "a,b", "a,,b", ",", "a b"];
        let empty_or_names = |text: &str| {
            text.is_empty()
                || text
                    .split(',')
                    .all(|word| InstanceName::parse(word).is_ok())
        };
        check(&instance_list(), &lists, empty_or_names);
    }

    #[test]
    fn commands_have_phases_for_keys_and_words_without_nul() {
        let commands = serde_json::to_value(commands()).expect("JSON");
        let phases = Phase::NAMES.map(|(_, word)| Value::from(word));
        assert_eq!(
            commands["propertyNames"]["enum"],
            Value::from(phases.to_vec())
        );
        assert_eq!(commands["additionalProperties"]["minItems"], 1);
        let word = &commands["additionalProperties"]["items"]["pattern"];
        let word = word
            .as_str()
            .expect("a pattern")
            .replace(r"\u0000", r"\x00");
        let word = Regex::new(&word).expect("it is one");
        for (text, expected) in [("make", true), ("a\0b", false), (" ", true), ("", true)] {
            assert_eq!(word.is_match(text), expected, "{text:?}");
            let command = PhaseCommand::parse(vec!["make".to_owned(), text.to_owned()]);
            assert_eq!(command.is_ok(), expected, "{text:?}");
        }
    }
}
