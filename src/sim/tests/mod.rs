//! The simulated server as a whole: what it reads, and what it answers over real HTTP.

mod flags;
mod http;
