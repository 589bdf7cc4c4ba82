//! Ports that were given to runs of this owner.
//!
//! A port that was found free stays so until the server listens on it, which takes a model's whole
//! start of a process; meanwhile every other look finds it free, too. So a run claims its port
//! before it is looked at, and no other instance is given it while the run is watched.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::instance::InstanceName;

/// All claims of an owner; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    shared: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    by_port: BTreeMap<u16, Holder>,
    next_number: u64,
}

#[derive(Debug)]
struct Holder {
    name: InstanceName,
    /// Tells the claims of one instance apart.
    number: u64,
}

/// One port of one run; dropped, it can be claimed by others.
#[derive(Debug)]
pub struct Claim {
    port: u16,
    number: u64,
    claims: Claims,
}

impl Claims {
    /// Claims a port for a new run of an instance.
    ///
    /// # Errors
    ///
    /// Returns the other instance whose run has claimed it.
    pub(super) fn claim(&self, port: u16, name: &InstanceName) -> Result<Claim, InstanceName> {
        let mut held = self.lock();
        if let Some(holder) = held.by_port.get(&port).filter(|one| one.name != *name) {
            return Err(holder.name.clone());
        }
        let number = held.next_number;
        held.next_number += 1;
        let name = name.clone();
        held.by_port.insert(port, Holder { name, number });
        Ok(Claim {
            port,
            number,
            claims: self.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    #[must_use]
    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut held = self.claims.lock();
        let own = held.by_port.get(&self.port);
        // The next run of the instance may have claimed it before this one was forgotten.
        if own.is_some_and(|holder| holder.number == self.number) {
            held.by_port.remove(&self.port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_to_one_instance_at_a_time() {
        let [a, b] = ["a", "b"].map(|name| InstanceName::parse(name).expect("a name"));
        let claims = Claims::default();
        let first = claims.claim(8080, &a).expect("free");
        assert_eq!(first.port(), 8080);
        assert_eq!(claims.claim(8080, &b).expect_err("taken"), a);
        let other = claims.claim(8081, &b).expect("free");
        // Its next run takes it over, whichever is dropped first.
        let second = claims.claim(8080, &a).expect("its own");
        drop(first);
        assert_eq!(claims.claim(8080, &b).expect_err("still taken"), a);
        drop(second);
        assert!(claims.claim(8080, &b).is_ok());
        drop(other);
        assert!(claims.lock().by_port.is_empty());
    }
}
