//! What a line of llama-server's output means, as rows of data: [`any_time`] for what can happen
//! whenever it runs, [`start`] for what only a start can say, [`vague`] for what hardly says why.
//!
//! The wording is llama.cpp's of October 2026, with that of older builds where it differs. Rows
//! for devices that no test machine has (CUDA, HIP, Vulkan, SYCL, Metal) are taken from its sources.

mod any_time;
mod start;
mod vague;

pub(super) use any_time::AT_ANY_TIME;
pub(super) use start::AT_START;
pub(super) use vague::VAGUE;

use super::{Cause, RetryClass};

/// Lines that mean the same.
#[derive(Debug)]
pub(super) struct Meaning {
    pub(super) cause: Cause,
    pub(super) class: RetryClass,
    pub(super) remedy: &'static str,
    /// Pattern and sentence; see `pattern.rs`.
    pub(super) rows: &'static [(&'static str, &'static str)],
}
