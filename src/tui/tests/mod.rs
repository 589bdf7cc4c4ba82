//! The dashboard without a terminal: messages in, model, effects and pictures out.

mod acts;
mod models;
mod pictures;
mod pointer;
mod reading;
pub(super) mod rows;
mod sheets;
mod sizes;
mod tables;
pub(super) mod typing;
mod work;
