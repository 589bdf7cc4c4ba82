//! What one process uses of the GPUs, as the kernel tells it of each descriptor of a card.
//!
//! Drivers of the DRM (AMD, Intel) count memory and busy time per client; a process may hold several
//! descriptors of one client, which count once. NVIDIA's driver is asked by `nvml` instead.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Add as _;
use std::path::Path;
use std::time::Duration;

use crate::domain::readings::GpuUse;

/// Where processes are.
const PROCESSES: &str = "/proc";

/// Where the kernel lists what can compute.
const CARDS: &str = "/sys/class/drm";

/// Keys of memory on the card: what is there now, by the newer and by the older name.
const RESIDENT: [&str; 2] = ["drm-resident-vram", "drm-resident-local"];
const ALLOCATED: &str = "drm-memory-vram";

/// Key of time that an engine of the card was busy for the client.
const ENGINE: &str = "drm-engine-";

/// Returns whether this machine has a card of which the kernel could tell anything.
#[must_use]
pub fn has_cards() -> bool {
    has_cards_in(Path::new(CARDS))
}

fn has_cards_in(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(Result::ok)
        .any(|entry| entry.file_name().to_string_lossy().starts_with("renderD"))
}

/// Returns what a process uses of the cards; `None` when it has none open.
#[must_use]
pub fn of_process(pid: i32) -> Option<GpuUse> {
    read(&Path::new(PROCESSES).join(pid.to_string()).join("fdinfo"))
}

fn read(folder: &Path) -> Option<GpuUse> {
    let descriptors = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let clients: BTreeMap<Client, GpuUse> = descriptors
        .filter_map(|entry| client(&fs::read_to_string(entry.path()).ok()?))
        .collect();
    clients.into_values().reduce(GpuUse::add)
}

/// Names a client: the card and the number it has there.
type Client = (String, String);

fn client(text: &str) -> Option<(Client, GpuUse)> {
    let (mut card, mut number) = (String::new(), None);
    let (mut resident, mut allocated) = (None, None);
    let mut busy = Duration::ZERO;
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        match key {
            "drm-client-id" => number = Some(value.to_owned()),
            "drm-pdev" => value.clone_into(&mut card),
            ALLOCATED => allocated = bytes(value),
            _ if RESIDENT.iter().any(|prefix| key.starts_with(prefix)) => {
                resident = Some(resident.unwrap_or(0) + bytes(value)?);
            }
            _ if key.starts_with(ENGINE) => {
                let time = value
                    .strip_suffix(" ns")
                    .and_then(|count| count.parse().ok());
                busy += Duration::from_nanos(time.unwrap_or(0)); // a capacity is no time
            }
            _ => {}
        }
    }
    let memory_bytes = resident.or(allocated).unwrap_or(0);
    Some(((card, number?), GpuUse { memory_bytes, busy }))
}

fn bytes(value: &str) -> Option<u64> {
    let mut words = value.split_whitespace();
    let count: u64 = words.next()?.parse().ok()?;
    match words.next() {
        None => Some(count),
        Some("KiB") => Some(count << 10),
        Some("MiB") => Some(count << 20),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMD: &str = "pos:\t0\nflags:\t02100002\ndrm-driver:\tamdgpu\ndrm-client-id:\t37\n\
                       drm-pdev:\t0000:03:00.0\ndrm-memory-vram:\t2048 KiB\n\
                       drm-memory-gtt: \t12 KiB\ndrm-engine-gfx:\t1500000 ns\n\
                       drm-engine-compute:\t500000 ns\n";
    const INTEL: &str = "drm-driver:\txe\ndrm-client-id:\t5\ndrm-pdev:\t0000:00:02.0\n\
                         drm-total-vram0:\t9 MiB\ndrm-resident-vram0:\t3 MiB\n\
                         drm-resident-vram1:\t512\ndrm-engine-capacity-ccs:\t2\n\
                         drm-engine-ccs:\t7 ns\n";

    #[test]
    fn each_client_of_a_card_counts_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("written");
        };
        write("0", "pos:\t0\nflags:\t02\n");
        assert_eq!(read(folder.path()), None, "no card is open");
        write("4", AMD);
        write("5", AMD);
        write("6", INTEL);
        let used = GpuUse {
            memory_bytes: (2 << 20) + (3 << 20) + 512,
            busy: Duration::from_nanos(2_000_007),
        };
        assert_eq!(read(folder.path()), Some(used));
        assert_eq!(read(&folder.path().join("nowhere")), None);
    }

    #[test]
    fn only_what_can_compute_is_a_card() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!has_cards_in(folder.path()));
        fs::create_dir(folder.path().join("card0")).expect("made");
        assert!(!has_cards_in(folder.path()));
        fs::create_dir(folder.path().join("renderD128")).expect("made");
        assert!(has_cards_in(folder.path()));
    }
}
