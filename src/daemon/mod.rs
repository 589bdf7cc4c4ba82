//! Owning a home: the lock, the socket and the shutdown order.
