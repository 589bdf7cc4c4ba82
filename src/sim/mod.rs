//! The built-in simulated llama-server.
