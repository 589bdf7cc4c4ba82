//! Panics on purpose, in debug builds only: what follows from one is tested in a real terminal.

use super::effect::Carrier;

/// Where it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Thread {
    /// The dashboard's own.
    Dashboard,
    /// A task of the runtime, such as one that asks the supervisor something.
    Runtime,
}

#[expect(clippy::panic, reason = "it is what was asked for")]
pub(super) fn strike(thread: Thread, carrier: &Carrier) {
    match thread {
        Thread::Dashboard => panic!("on purpose, in the dashboard"),
        Thread::Runtime => {
            // Nobody waits for the task, as for those that carry effects out.
            drop(
                carrier
                    .runtime
                    .spawn(async { panic!("on purpose, in a task") }),
            );
        }
    }
}
