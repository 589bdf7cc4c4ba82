//! The dashboard without a terminal: messages in, model, effects and pictures out.

pub(super) mod rows;
pub(super) mod typing;
