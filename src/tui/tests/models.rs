//! An instance made of a model that is on this machine.

use std::path::PathBuf;

use super::pictures::check;
use super::rows::fleet;
use super::sizes::draw;
use super::typing::{model, name, press, screen, send, write};
use crate::tui::effect::Effect;
use crate::tui::host::{OfferedModel, OfferedModels};
use crate::tui::model::{Hit, Model, Msg};

fn offer(name: &str, from: &str, numbers: [&str; 4]) -> OfferedModel {
    let [size, quantisation, trained, fits] = numbers.map(str::to_owned);
    OfferedModel {
        path: PathBuf::from(format!("/home/me/.cache/huggingface/hub/{name}.gguf")),
        name: name.to_owned(),
        size,
        quantisation,
        trained,
        fits,
        from: from.to_owned(),
        suggestion: name.to_lowercase(),
        ..OfferedModel::default()
    }
}

fn found() -> OfferedModels {
    let qwen = "huggingface unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF";
    OfferedModels {
        models: vec![
            OfferedModel {
                used_by: "coder-30b".to_owned(),
                ..offer(
                    "Qwen3-Coder-30B-A3B-Instruct-UD-Q4_K_XL",
                    qwen,
                    ["16.5 GiB", "Q4_K_M", "262144", "65536"],
                )
            },
            offer(
                "gemma-3-4b-it-Q8_0",
                "lmstudio lmstudio-community/gemma-3-4b-it-GGUF",
                ["3.8 GiB", "Q8_0", "131072", "131072"],
            ),
            OfferedModel {
                trouble: Some("is truncated: it has 12 bytes of 900, 888 are missing".to_owned()),
                ..offer("broken", "folder", ["12 B", "-", "-", "unusable"])
            },
        ],
        folders: vec![PathBuf::from("/home/me/fleet/models")],
        notes: Vec::new(),
    }
}

fn toasts(model: &Model) -> Vec<&str> {
    let toasts = model.notices.toasts.iter();
    toasts.map(|toast| toast.text.as_str()).collect()
}

#[test]
fn a_model_is_searched_chosen_and_named() {
    let mut model = model(&[]);
    assert!(screen(&model).0.contains("M  makes one of a model"));
    assert_eq!(press(&mut model, "M"), [Effect::Models]);
    send(&mut model, Msg::Models(Ok(found())));
    check("models-120x36", &model);
    send(&mut model, Msg::Resize(80, 24));
    check("models-80x24", &model);
    write(&mut model, "lmstudio gemma");
    let text = screen(&model).0;
    assert!(
        text.contains("gemma-3-4b") && !text.contains("broken"),
        "{text}"
    );
    assert_eq!(press(&mut model, "enter"), []);
    // The name that is offered can be taken as it is, or changed.
    assert!(
        screen(&model)
            .0
            .contains("name of its instance: gemma-3-4b-it-q8_0")
    );
    write(&mut model, "-2");
    let create = Effect::CreateOf {
        model: found().models[1].path.clone(),
        name: "gemma-3-4b-it-q8_0-2".to_owned(),
    };
    assert_eq!(press(&mut model, "enter"), [create]);
    let effects = send(&mut model, Msg::CreatedOf(Ok(name("gemma"))));
    assert!(effects.contains(&Effect::Refresh), "{effects:?}");
    assert_eq!(model.table.cursor, Some(name("gemma")));
    assert_eq!(toasts(&model), ["gemma: made; s starts it, e edits it"]);
}

#[test]
fn what_cannot_be_used_says_why_and_stays() {
    let mut model = model(&fleet());
    press(&mut model, "n M");
    send(&mut model, Msg::Models(Ok(found())));
    press(&mut model, "down down down down");
    assert!(screen(&model).0.contains("888 are missing"));
    assert_eq!(press(&mut model, "enter"), []);
    assert!(toasts(&model)[0].starts_with("broken: is truncated"));
    write(&mut model, "nothing like it");
    assert!(screen(&model).0.contains("no model has this in its name"));
    assert_eq!(press(&mut model, "enter"), []);
    press(&mut model, "esc");
    assert!(model.dialogs.is_empty());
    // A click chooses, too.
    send(&mut model, Msg::Models(Ok(found())));
    send(&mut model, Msg::Click(Hit::Choice(1)));
    assert!(screen(&model).0.contains("name of its instance: gemma"));
    press(&mut model, "esc");
    assert!(model.prompt.is_none());
}

#[test]
fn where_no_model_is_found_it_says_where_it_looked() {
    let mut model = model(&fleet());
    let none = OfferedModels {
        models: Vec::new(),
        notes: vec!["/srv/models: Permission denied".to_owned()],
        ..found()
    };
    send(&mut model, Msg::Models(Ok(none)));
    let text = screen(&model).0;
    assert!(text.contains("/home/me/fleet/models"), "{text}");
    assert!(text.contains("[models] folders"), "{text}");
    assert_eq!(toasts(&model), ["/srv/models: Permission denied"]);
    press(&mut model, "esc");
    send(
        &mut model,
        Msg::Models(Err("it is done elsewhere".to_owned())),
    );
    assert!(model.dialogs.is_empty());
}

#[test]
fn the_models_fit_every_screen() {
    let mut model = model(&fleet());
    send(&mut model, Msg::Models(Ok(found())));
    for width in (0..=200).step_by(7) {
        for height in 0..=40 {
            send(&mut model, Msg::Resize(width, height));
            draw(&model);
        }
    }
}
