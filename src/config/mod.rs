//! Files in a home become validated instance specs.
//!
//! A file is parsed into one tree for TOML and JSON (`tree`, `json`), checked against the list of
//! all fields (`fields`, `check`, `read`), turned into a spec (`spec`) and compared with its
//! neighbours (`set`). Every step collects findings instead of stopping at the first.

mod autostart;
mod check;
pub mod defaults;
pub mod draft;
pub mod drift;
pub mod dynamic;
pub mod fields;
pub mod finding;
pub mod home;
pub mod import;
mod json;
pub mod load;
pub mod migrate;
mod read;
mod registry;
pub mod render;
pub mod save;
pub mod schema;
mod set;
pub mod settings;
mod spec;
#[cfg(test)]
mod tests;
mod tree;
pub mod values;

pub use set::{free_label, ports_collide};
pub use spec::SIMULATED;
pub use tree::Format;
