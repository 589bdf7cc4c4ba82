//! The edge: hands the command line to `cli` and returns its exit code.

fn main() {}
