//! The integration tests, one binary so that linking happens once.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod layering;
mod shim;
