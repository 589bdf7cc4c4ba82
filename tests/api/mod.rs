//! The owner's API as other programs meet it: over the socket and over TCP.

pub(crate) mod access;
pub(crate) mod follow;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod log_counts;
pub(crate) mod metrics;
pub(crate) mod older;
pub(crate) mod remote;
pub(crate) mod routes;
pub(crate) mod streams;
