//! The one writer of fleet state.
