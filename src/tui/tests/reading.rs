//! What is there to be read besides the fleet: the help, and this program's own log.

use tracing_subscriber::layer::SubscriberExt as _;

use super::rows::fleet;
use super::typing::{model, press, screen, send};
use crate::tui::model::{Msg, Pane};

#[test]
fn help_begins_with_the_pane_that_has_the_keys_and_leaves_no_word_out() {
    let mut model = model(&fleet());
    send(&mut model, Msg::Resize(80, 24));
    press(&mut model, "6 ?");
    let (text, _) = screen(&model);
    let place = |words: &str| text.find(words).expect(words);
    assert!(place("Work units") < place(" Instances "), "{text}");
    // Page by page to the end: every line is seen, with one of each page twice.
    let mut pages = vec![text];
    for _ in 0..20 {
        press(&mut model, "pagedown");
        pages.push(screen(&model).0);
    }
    let all = pages.concat();
    for words in [
        "run any action by its name",
        "Shift-Tab",
        "its command after a question",
        "X Del",
        "it answers",
    ] {
        assert!(all.contains(words), "{words} is not in the help");
    }
    let entries = |page: &String| -> Vec<String> {
        let lines = page.lines().skip(4).filter(|line| line.contains("│ │"));
        lines.map(str::to_owned).collect()
    };
    let (first, second) = (entries(&pages[0]), entries(&pages[1]));
    let again = first.iter().filter(|line| second.contains(line)).count();
    assert!(again <= 2, "{again} lines are seen twice");
}

#[test]
fn the_diagnostics_go_back_page_by_page_and_return_to_the_newest() {
    tui_logger::set_default_level(tui_logger::LevelFilter::Trace);
    let subscriber = tracing_subscriber::registry().with(tui_logger::TuiTracingSubscriberLayer);
    tracing::subscriber::with_default(subscriber, || {
        for number in 0..200 {
            tracing::info!("record-{number:03} has more words than fit upon a line of this screen");
        }
    });
    let mut model = model(&fleet());
    send(&mut model, Msg::Resize(60, 20));
    press(&mut model, "5");
    assert_eq!(model.focus, Pane::Diagnostics);
    let (newest, _) = screen(&model);
    assert!(newest.contains("record-199"), "{newest}");
    assert!(newest.contains(" upon "), "words are not cut: {newest}");
    press(&mut model, "pageup");
    screen(&model);
    press(&mut model, "pageup");
    let (older, _) = screen(&model);
    assert!(!older.contains("record-199"), "{older}");
    assert!(older.contains("record-1"), "{older}");
    press(&mut model, "end");
    assert_eq!(screen(&model).0, newest);
}
