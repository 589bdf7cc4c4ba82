//! The one writer of fleet state.

pub mod decision;
pub mod policy;
pub mod state;
