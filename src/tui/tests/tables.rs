//! Order, filter, marks and cursor.

use super::rows::{fleet, row};
use super::typing::{model, name, picture, press, screen, send, shown, write};
use crate::domain::lifecycle::{Health, Status};
use crate::tui::effect::Effect;
use crate::tui::model::Msg;
use crate::tui::model::details::Details;
use crate::tui::model::sort::Sort;
use crate::tui::model::table::Column;

#[test]
fn the_order_follows_the_keys() {
    let mut model = model(&fleet());
    let configured = shown(&model);
    assert_eq!(configured[0], "coder-30b");
    press(&mut model, ".");
    assert_eq!(shown(&model)[0], "chat-8b", "by name");
    press(&mut model, "I");
    assert_eq!(shown(&model)[0], "waits", "by name, turned round");
    press(&mut model, ".");
    press(&mut model, ",");
    press(&mut model, ",");
    assert_eq!(shown(&model), configured, "configured again");
}

#[test]
fn an_order_is_remembered() {
    let mut model = model(&fleet());
    let effects = press(&mut model, ".");
    let [Effect::Remember(text)] = effects.as_slice() else {
        unreachable!("{effects:?}");
    };
    assert!(text.contains("sort = \"name\""), "{text}");
}

#[test]
fn a_filter_shows_at_once_what_it_finds_and_escape_brings_all_back() {
    let mut model = model(&fleet());
    press(&mut model, "/");
    write(&mut model, "state:ready");
    assert_eq!(shown(&model), ["coder-30b", "chat-8b", "embed-bge"]);
    write(&mut model, " !chat");
    press(&mut model, "enter");
    assert_eq!(shown(&model), ["coder-30b", "embed-bge"]);
    // q is a letter while something is typed.
    press(&mut model, "/");
    write(&mut model, " qq");
    assert_eq!(shown(&model), Vec::<String>::new());
    press(&mut model, "esc");
    assert_eq!(shown(&model), ["coder-30b", "embed-bge"]);
    press(&mut model, "esc");
    assert_eq!(shown(&model).len(), 8);
}

#[test]
fn marks_go_down_and_mark_all_takes_what_is_shown() {
    let mut model = model(&fleet());
    press(&mut model, "space space");
    assert_eq!(model.table.targets(), [name("chat-8b"), name("coder-30b")]);
    assert_eq!(model.table.cursor, Some(name("embed-bge")));
    press(&mut model, "/");
    write(&mut model, "state:ready");
    press(&mut model, "enter A");
    assert_eq!(model.table.marks.len(), 3);
    press(&mut model, "A");
    assert!(model.table.marks.is_empty());
}

#[test]
fn the_cursor_stays_on_its_instance_and_finds_a_neighbour_when_that_goes() {
    let mut model = model(&fleet());
    press(&mut model, "down down");
    assert_eq!(model.table.cursor, Some(name("embed-bge")));
    press(&mut model, ".");
    assert_eq!(model.table.cursor, Some(name("embed-bge")), "another order");
    let rest: Vec<_> = fleet()
        .into_iter()
        .filter(|row| row.name.as_str() != "embed-bge")
        .collect();
    send(&mut model, picture(2, &rest));
    assert_eq!(
        model.table.cursor,
        Some(name("judge-70b")),
        "the next by name"
    );
    send(&mut model, picture(3, &[]));
    assert_eq!(model.table.cursor, None);
    press(&mut model, "down up G g x s");
}

#[test]
fn grouped_rows_have_headings_that_the_cursor_passes() {
    let mut rows = fleet();
    rows[1].tags = vec!["chat".to_owned()];
    let mut model = model(&rows);
    press(&mut model, "T");
    assert_eq!(
        shown(&model)[..5],
        ["[code]", "coder-30b", "[chat]", "chat-8b", "[untagged]"]
    );
    press(&mut model, "g");
    assert_eq!(model.table.cursor, Some(name("coder-30b")));
    press(&mut model, "down");
    assert_eq!(model.table.cursor, Some(name("chat-8b")));
    press(&mut model, "up");
    assert_eq!(model.table.cursor, Some(name("coder-30b")));
}

#[test]
fn the_stopped_can_be_hidden_but_not_the_broken() {
    let mut model = model(&fleet());
    press(&mut model, "H");
    assert!(!shown(&model).contains(&"judge-70b".to_owned()));
    assert!(shown(&model).contains(&"typo".to_owned()));
}

#[test]
fn a_long_list_scrolls_with_its_cursor() {
    let rows: Vec<_> = (0..200)
        .map(|number| row(&format!("i{number:03}"), Status::Stopped, Health::Unknown))
        .collect();
    let mut model = model(&rows);
    press(&mut model, "G");
    assert_eq!(model.table.cursor, Some(name("i199")));
    let height = usize::from(model.areas().table.height) - 3;
    assert_eq!(model.table.offset, 200 - height);
    press(&mut model, "pageup");
    press(&mut model, "g");
    assert_eq!(
        (model.table.cursor.clone(), model.table.offset),
        (Some(name("i000")), 0)
    );
}

#[test]
fn a_frozen_screen_shows_the_newest_picture_when_it_goes_on() {
    let mut model = model(&fleet());
    press(&mut model, "p");
    send(&mut model, picture(2, &[]));
    assert_eq!(shown(&model).len(), 8);
    send(&mut model, picture(3, &fleet()[..2]));
    press(&mut model, "p");
    assert_eq!(shown(&model).len(), 2);
}

#[test]
fn an_order_by_what_is_measured_follows_the_measurements() {
    let mut rows = fleet();
    let mut model = model(&rows);
    press(&mut model, "/");
    write(&mut model, "is:busy");
    press(&mut model, "enter");
    assert_eq!(shown(&model), ["coder-30b", "chat-8b"]);
    model.table.sort = Sort::by(Column::Tokens);
    rows[1].readings.tokens_per_second = Some(300.0);
    send(&mut model, picture(2, &rows));
    assert_eq!(shown(&model), ["chat-8b", "coder-30b"]);
    rows[1].readings.busy_slots = Some(0);
    send(&mut model, picture(3, &rows));
    assert_eq!(shown(&model), ["coder-30b"]);
}

#[test]
fn what_runs_otherwise_than_its_file_says_has_a_sign_and_the_reason() {
    let mut rows = fleet();
    rows[0].broken = true;
    rows[0].reason =
        Some("/home/me/fleet/instances/coder-30b/config.toml:3: no such port".to_owned());
    let mut model = model(&rows);
    let (text, _) = screen(&model);
    assert!(text.contains("coder-30b ▲"), "{text}");
    assert!(text.contains("chat-8b ≠"), "{text}");
    assert!(
        !text.contains("typo ▲") && text.contains("✗ invalid"),
        "{text}"
    );
    assert!(
        text.contains("why     instances/coder-30b/config.toml:3:"),
        "{text}"
    );
    assert!(text.contains("cannot be used; what runs goes on"), "{text}");
    press(&mut model, "/");
    write(&mut model, "is:broken");
    assert_eq!(shown(&model), ["coder-30b", "typo"]);
}

#[test]
fn an_unusable_file_is_the_reason_however_the_last_run_ended() {
    let mut rows = fleet();
    rows[7].autopsy = rows[4].autopsy.clone();
    let mut model = model(&rows);
    press(&mut model, "G");
    let (text, _) = screen(&model);
    assert!(text.contains("why     server.port is missing"), "{text}");
}

#[test]
fn details_stay_until_newer_ones_are_there() {
    let mut rows = fleet();
    rows[0].pid = None;
    let mut model = model(&rows);
    let coder = name("coder-30b");
    let known = Details {
        findings: vec!["first".to_owned()],
        ..Details::default()
    };
    let answer = || Msg::Details(coder.clone(), Ok(Box::new(known.clone())));
    send(&mut model, answer());
    rows[0].pid = Some(41822);
    let effects = send(&mut model, picture(2, &rows));
    assert!(
        effects.contains(&Effect::Details(coder.clone())),
        "{effects:?}"
    );
    assert_eq!(model.details.get(&coder), Some(&known));
    // Something happens while the answer is under way: it is asked again.
    rows[0].drift = true;
    send(&mut model, picture(3, &rows));
    let effects = send(&mut model, answer());
    assert!(effects.contains(&Effect::Details(coder)), "{effects:?}");
}
