//! Questions about a log and their answers on the wire.

mod answers;
mod keys;
mod question;

#[cfg(test)]
mod tests;

pub use self::answers::{
    LogCountBody, LogLineBody, LogPageBody, LogSearchBody, LogSizeBody, SearchOutcome, StreamBody,
    TextBody,
};
pub use self::keys::{CountKeys, PageKeys, SearchKeys, SizeKeys};
pub use self::question::LogQuery;
