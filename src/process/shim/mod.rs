//! The small parent process of one run.
