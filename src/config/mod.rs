//! Files in a home become validated instance specs.
