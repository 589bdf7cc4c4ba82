//! Wire types, routes' contract and the typed client.
