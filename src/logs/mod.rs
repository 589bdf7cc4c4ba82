//! The read side of instance logs.
