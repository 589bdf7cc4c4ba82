//! The shim as a small binary of its own, so that each run costs little memory.

fn main() {}
