//! Hostile model files: the header reader, and the memory fit of whatever it lets through, neither
//! panic nor hoard. The two are compiled in alone, so that a run starts within seconds:
//!
//! `cargo fuzz run gguf --fuzz-dir tests/fuzz` with a nightly compiler, or `tests/fuzz/run.sh SECONDS`
//! with a stable one.
#![no_main]
#![expect(dead_code, reason = "only a part of each module is used here")]

use std::collections::BTreeMap;
use std::io::Cursor;

use libfuzzer_sys::fuzz_target;

mod domain;
mod probes;

use domain::memory::estimate::Inputs;
use domain::memory::fit::{Room, judge};
use domain::memory::flags::Flags;

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = probes::gguf::read_header(Cursor::new(bytes)) else {
        return;
    };
    // Each tensor takes 24 bytes of the file or more, each value 13.
    assert!(model.tensors.len() <= bytes.len() / 24);
    assert!(model.values.len() <= bytes.len() / 13);
    let room = Room {
        name: "host".to_owned(),
        free: Some(1 << 30),
        total: Some(1 << 30),
    };
    for args in ["-np 1", "-np 4 -ngl 9 -ctk q8_0", "-c 0 -fa off -kvu -ncmoe 2"] {
        let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
        let flags = Flags::read(&args, &BTreeMap::new());
        let inputs = Inputs {
            model: &model,
            draft: Some(&model),
            mmproj: 1,
            loras: 1,
            flags: &flags,
            shares: &[1.0, 0.5],
        };
        let fit = judge(&inputs, &room, &[room.clone(), room.clone()]);
        assert!(fit.places.is_empty() || fit.places.len() == 3);
    }
});
