//! The numbers that are promised, each next to a floor measured in the same run.
//!
//! `cargo bench` prints one row per number: what, ours, the floor and what it is, the ratio, the
//! target and whether it is met; `cargo bench -- stop crash` runs only those groups. Machines are
//! noisy; the ratio is what counts. Nothing here fails: a number is read by a person. With
//! `LLAMA_SERVER` (and `TINY_GGUF`, a model) the rows of real servers are measured too.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints and may panic"
)]

mod adoption;
mod crash;
mod home;
mod idle;
mod log_path;
mod logs;
mod one_shot;
mod runs;
mod shim;
mod stop;
mod table;

/// A group of rows by the name that selects it. A new group also needs its line here.
const GROUPS: [(&str, fn()); 8] = [
    ("ps", one_shot::measure),
    ("adoption", adoption::measure),
    ("stop", stop::measure),
    ("crash", crash::measure),
    ("log", log_path::measure),
    ("logs", logs::measure),
    ("shim", shim::measure),
    ("idle", idle::measure),
];

fn main() {
    // Cargo adds flags of its own.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    table::heading();
    for (name, measure) in GROUPS {
        if wanted.is_empty() || wanted.iter().any(|group| group == name) {
            measure();
        }
    }
}
