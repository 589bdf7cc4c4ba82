//! Owning a home: the lock, the socket and the shutdown order.

pub mod crash;
pub mod describe;
pub mod doctor;
pub mod foreground;
pub mod http;
pub mod lock;
pub mod logfile;
pub mod owner;
mod reach;
pub mod serve;
pub mod service;
pub mod tcp;
pub mod token;
