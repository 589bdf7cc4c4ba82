//! Flags, layers, sums and verdicts as rows of data.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::estimate::{Estimate, Inputs, estimate};
use super::fit::{Room, Verdict, judge};
use super::flags::{Devices, Flags, GpuLayers, Mapping};
use super::layers::layers;
use crate::domain::gguf::{Endian, ModelHeader, Tensor, TensorType, Value};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn flags(text: &str) -> Flags {
    Flags::read(&words(text), &BTreeMap::new())
}

/// A model of this architecture with these numbers (`key=value`, `key=1,2,3`), and its tensors.
fn model(architecture: &str, numbers: &str, tensors: &[(&str, [u64; 2], &str)]) -> ModelHeader {
    let mut values = BTreeMap::new();
    values.insert(
        "general.architecture".to_owned(),
        Value::Text(architecture.to_owned()),
    );
    for pair in numbers.split_whitespace() {
        let (key, text) = pair.split_once('=').expect("key=value");
        let value = match text.parse() {
            Ok(number) => Value::Unsigned(number),
            Err(_) => Value::Numbers(text.split(',').filter_map(|one| one.parse().ok()).collect()),
        };
        values.insert(format!("{architecture}.{key}"), value);
    }
    let tensors = tensors.iter().map(|(name, [columns, rows], kind)| {
        let kind = TensorType::named(kind).expect("a type");
        Tensor {
            name: (*name).to_owned(),
            shape: [*columns, *rows, 1, 1],
            kind,
            bytes: kind.bytes(*columns).expect("a size") * rows,
        }
    });
    ModelHeader {
        version: 3,
        endian: Endian::Little,
        values,
        tensors: tensors.collect(),
        file_size: 0,
        files: 1,
    }
}

/// Two layers of 1 MiB each, and 4 MiB each of input and output.
fn small() -> ModelHeader {
    model(
        "llama",
        "block_count=2 embedding_length=1024 context_length=8192 attention.head_count=16 \
         attention.head_count_kv=4 feed_forward_length=4096",
        &[
            ("token_embd.weight", [1024, 1024], "f32"),
            ("output.weight", [1024, 1024], "f32"),
            ("blk.0.attn_q.weight", [1024, 128], "f32"),
            ("blk.0.ffn_up_exps.weight", [1024, 128], "f32"),
            ("blk.1.attn_q.weight", [1024, 128], "f32"),
            ("blk.1.ffn_up_exps.weight", [1024, 128], "f32"),
        ],
    )
}

fn sum(model: &ModelHeader, flags: &Flags, shares: &[f64]) -> Estimate {
    let inputs = Inputs {
        model,
        draft: None,
        mmproj: 0,
        loras: 0,
        flags,
        shares,
    };
    estimate(&inputs).expect("a model with layers")
}

#[test]
fn flags_are_read_in_every_spelling_and_the_last_one_wins() {
    let read = flags(
        "--model a.gguf -c 4096 --ctx-size 8192 -np 3 -ub 128 -ctk q8_0 --cache-type-v Q4_0 \
         -fa off -ngl 12 --cpu-moe -ncmoe 4 --no-mmap -md d.gguf -ngld 5 -nkvo -dev CUDA0,CUDA1 \
         -ts 3,1 --unknown 5 --lora x,y",
    );
    assert_eq!(read.model.as_deref(), Some("a.gguf"));
    assert_eq!(
        (read.context, read.parallel, read.unified),
        (8192, 3, false)
    );
    assert_eq!((read.batch, read.ubatch), (2048, 128));
    assert_eq!((read.cache_k.name, read.cache_v.name), ("q8_0", "q4_0"));
    assert!(!read.flash_attention && !read.offload_cache);
    assert_eq!((read.gpu_layers, read.cpu_moe), (GpuLayers::Count(12), 4));
    assert_eq!(read.mapping, Mapping::Loaded);
    assert_eq!(read.devices, Devices::Named(words("CUDA0 CUDA1")));
    assert_eq!(read.tensor_split, [3.0, 1.0]);
    assert_eq!(read.loras, ["x", "y"]);
    let draft = read.draft.expect("a draft model");
    assert_eq!(
        (draft.model.as_str(), draft.gpu_layers),
        ("d.gguf", GpuLayers::Count(5))
    );
}

#[test]
fn what_is_not_said_is_as_the_server_chooses_it() {
    let read = flags("");
    assert_eq!((read.parallel, read.unified), (4, true));
    assert_eq!(
        (read.batch, read.ubatch, read.cache_k.name),
        (2048, 512, "f16")
    );
    assert!(read.flash_attention && read.offload_cache && read.draft.is_none());
    assert_eq!(read.cache_ram, Some(8 * GIB));
    assert_eq!(flags("-cram -1").cache_ram, None);
    // Older builds take no word after -fa.
    assert!(flags("-fa -c 5").flash_attention);
    assert_eq!(flags("-fa -c 5").context, 5);
    assert_eq!(flags("--embedding").batch, 512);
    assert_eq!(flags("-b 64").ubatch, 64);
    assert!(flags("--load-mode mlock").locked);
}

#[test]
fn variables_stand_for_flags_and_the_command_line_wins() {
    let env: BTreeMap<String, String> = [
        ("LLAMA_ARG_CTX_SIZE", "1024"),
        ("LLAMA_ARG_N_PARALLEL", "2"),
        ("LLAMA_ARG_MLOCK", "1"),
        ("LLAMA_ARG_SWA_FULL", "0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let read = Flags::read(&words("--parallel 1"), &env);
    assert_eq!((read.context, read.parallel), (1024, 1));
    assert!(read.locked && !read.swa_full);
}

/// Sizes that a real llama-server logged for such models, in KiB: the cache, and the state.
#[test]
fn caches_are_as_large_as_a_real_server_makes_them() {
    let llama = "block_count=2 embedding_length=1024 context_length=8192 attention.head_count=16 \
                 attention.head_count_kv=4 feed_forward_length=4096";
    let gemma = "block_count=6 embedding_length=256 context_length=8192 attention.head_count=4 \
                 attention.head_count_kv=2 attention.key_length=64 attention.value_length=64 \
                 attention.sliding_window=512";
    let rows = [
        ("llama", llama, "-np 1 -c 4096", 8192, 0),
        ("llama", llama, "-np 1 -c 0", 16_384, 0),
        ("llama", llama, "-np 1 -c 8192 -ctk q8_0 -ctv q8_0", 8704, 0),
        ("llama", llama, "-np 1 -c 8192 -ctk q4_0 -ctv q5_1", 5376, 0),
        ("llama", llama, "-np 4 -c 8192", 16_384, 0),
        ("llama", llama, "-np 4 -c 8192 -kvu", 16_384, 0),
        ("llama", llama, "-np 3 -c 1000", 3072, 0),
        ("gemma3", gemma, "-np 1 -c 8192", 4096 + 2560, 0),
        ("gemma3", gemma, "-np 2 -c 8192", 4096 + 5120, 0),
        (
            "gemma3",
            gemma,
            "-np 1 -c 8192 --swa-full",
            4096 + 20_480,
            0,
        ),
        // DeepSeek with latent attention keeps 576 numbers per token, and no values.
        (
            "deepseek2",
            "block_count=27 embedding_length=2048 context_length=4096 attention.head_count=16 \
             attention.head_count_kv=1 attention.key_length=576 attention.value_length=512 \
             attention.key_length_mla=192 attention.value_length_mla=128",
            "-np 1",
            27 * 576 * 2 * 4096 / 1024,
            0,
        ),
        // Three of four layers are recurrent.
        (
            "qwen3next",
            "block_count=4 embedding_length=2048 context_length=1024 attention.head_count=16 \
             attention.head_count_kv=2 attention.key_length=256 attention.value_length=256 \
             ssm.conv_kernel=4 ssm.inner_size=4096 ssm.state_size=128 ssm.group_count=16",
            "-np 2",
            2 * 2 * 256 * 2 * 1024 / 1024,
            3 * 2 * 4 * (3 * (4096 + 2 * 16 * 128) + 128 * 4096) / 1024,
        ),
        (
            "mamba",
            "block_count=2 embedding_length=64 context_length=1024 ssm.conv_kernel=4 \
             ssm.inner_size=128 ssm.state_size=16",
            "-np 1",
            0,
            2 * 4 * (3 * 128 + 16 * 128) / 1024,
        ),
        (
            "bert",
            "block_count=2 embedding_length=384 context_length=512 attention.head_count=12",
            "-np 1 --embedding",
            0,
            0,
        ),
    ];
    for (architecture, numbers, args, cache, state) in rows {
        let found = sum(&model(architecture, numbers, &[]), &flags(args), &[]).host;
        assert_eq!(
            (found.cache / 1024, found.state / 1024),
            (cache, state),
            "{architecture} {args}"
        );
    }
}

#[test]
fn layers_say_how_far_they_look_back() {
    let count = |architecture: &str, numbers: &str| {
        let numbers = format!("block_count=12 embedding_length=8 attention.head_count=2 {numbers}");
        let found = layers(&model(architecture, &numbers, &[])).expect("a model with layers");
        let windowed = found.layers.iter().filter(|layer| layer.window.is_some());
        (windowed.count(), found.doubts.len())
    };
    let rows = [
        ("llama", "", (0, 0)),
        ("gemma2", "", (6, 0)),
        ("gemma3", "attention.sliding_window=1024", (10, 0)),
        ("gpt-oss", "attention.sliding_window=128", (6, 0)),
        ("cohere2", "attention.sliding_window=128", (9, 0)),
        ("llama4", "", (9, 0)),
        ("llama4", "attention.sliding_window=0", (0, 0)),
        ("phi3", "attention.sliding_window=2047", (0, 0)),
        ("exaone4", "attention.sliding_window=4096", (0, 1)),
        ("future", "attention.sliding_window=4096", (0, 1)),
        (
            "future",
            "attention.sliding_window=64 attention.sliding_window_pattern=1,0,1,0,0,0,0,0,0,0,0,1",
            (3, 0),
        ),
    ];
    for (architecture, numbers, expected) in rows {
        assert_eq!(
            count(architecture, numbers),
            expected,
            "{architecture} {numbers}"
        );
    }
}

/// Weights in MiB: on the host, and on each device.
#[test]
fn weights_go_where_the_flags_send_them() {
    let rows: [(&str, &[f64], u64, &[u64]); 11] = [
        ("-ngl 99", &[], 10, &[]),
        ("-ngl 0", &[1.0], 10, &[0]),
        ("-ngl all", &[1.0], 4, &[6]),
        ("-ngl 99", &[1.0], 4, &[6]),
        ("-ngl 1", &[1.0], 6, &[4]),
        ("-ngl 2", &[1.0], 5, &[5]),
        ("-ngl 99 -cmoe", &[1.0], 5, &[5]),
        ("-ngl 99 -ncmoe 1", &[1.0], 4, &[6]),
        ("-ngl 99", &[1.0, 1.0], 4, &[2, 4]),
        ("-ngl 99 -sm none -mg 1", &[1.0, 1.0], 4, &[0, 6]),
        ("-ngl 99 -ts 1,0", &[1.0, 1.0], 4, &[6, 0]),
    ];
    for (args, shares, host, devices) in rows {
        let found = sum(&small(), &flags(args), shares);
        let halves = |bytes: u64| (bytes as f64 / MIB as f64 * 2.0).round() as u64;
        // An expert's half MiB stays on the host with -ncmoe 1.
        let moved = u64::from(args.contains("-ncmoe"));
        assert_eq!(halves(found.host.weights), host * 2 + moved, "{args}");
        let on_devices: Vec<u64> = found
            .devices
            .iter()
            .map(|need| halves(need.weights))
            .collect();
        let expected: Vec<u64> = devices.iter().map(|mib| mib * 2 - moved).collect();
        assert_eq!(on_devices, expected, "{args}");
    }
    let mut tied = small();
    tied.tensors.remove(1);
    let found = sum(&tied, &flags("-ngl 99"), &[1.0]);
    assert_eq!(found.host.weights, 4 * MIB);
    assert_eq!(
        found.devices[0].weights,
        6 * MIB,
        "the device has its own copy"
    );
}

#[test]
fn the_cache_goes_with_its_layer_unless_told_otherwise() {
    let on_device = |args: &str| {
        let found = sum(&small(), &flags(&format!("-np 1 -c 4096 {args}")), &[1.0]);
        (found.host.cache / MIB, found.devices[0].cache / MIB)
    };
    assert_eq!(on_device("-ngl 99"), (0, 8));
    assert_eq!(on_device("-ngl 2"), (4, 4));
    assert_eq!(on_device("-ngl 99 -nkvo"), (8, 0));
    assert_eq!(on_device("-ngl 99 -dev none"), (8, 0));
}

#[test]
fn a_second_model_a_projector_and_adapters_are_added() {
    let (model, flags) = (small(), flags("-np 1 -c 4096 -ngl 99 -md d.gguf"));
    let with = Inputs {
        model: &model,
        draft: Some(&model),
        mmproj: 7 * MIB,
        loras: 3 * MIB,
        flags: &flags,
        shares: &[1.0],
    };
    let without = Inputs {
        draft: None,
        mmproj: 0,
        loras: 0,
        ..with
    };
    let (with, without) = (
        estimate(&with).expect("an estimate"),
        estimate(&without).expect("an estimate"),
    );
    let (more, less) = (with.devices[0], without.devices[0]);
    assert_eq!(more.weights, 2 * less.weights);
    assert_eq!(more.cache, 2 * less.cache);
    assert_eq!(more.other - less.other, 7 * MIB);
    assert_eq!(with.host.other - without.host.other, 3 * MIB);
}

#[test]
fn a_verdict_weighs_need_against_what_is_free() {
    // The host needs about 118 MiB (10 of them mapped), a device with everything about 355 MiB.
    let rows = [
        ("", Some(GIB), None, Verdict::Fits),
        ("", Some(125), None, Verdict::Tight),
        ("", Some(112), None, Verdict::Tight),
        ("--no-mmap", Some(112), None, Verdict::WillNotFit),
        ("", Some(60), None, Verdict::WillNotFit),
        ("", None, None, Verdict::Unknown),
        ("-ngl 99", Some(GIB), Some(Some(GIB)), Verdict::Fits),
        ("-ngl 99", Some(GIB), Some(Some(360)), Verdict::Tight),
        ("-ngl 99", Some(GIB), Some(Some(300)), Verdict::WillNotFit),
        ("-ngl 99", Some(GIB), Some(None), Verdict::Unknown),
        ("-ngl 0", Some(GIB), Some(None), Verdict::Fits),
    ];
    for (args, host, device, expected) in rows {
        let bytes = |mib: u64| if mib == GIB { GIB } else { mib * MIB };
        let room = |name: &str, free: Option<u64>| Room {
            name: name.to_owned(),
            free: free.map(bytes),
            total: free.map(|_| GIB),
        };
        let devices: Vec<Room> = device.map(|free| room("CUDA0", free)).into_iter().collect();
        let shares = vec![1.0; devices.len()];
        let (model, flags) = (small(), flags(&format!("-np 1 -c 4096 {args}")));
        let inputs = Inputs {
            model: &model,
            draft: None,
            mmproj: 0,
            loras: 0,
            flags: &flags,
            shares: &shares,
        };
        let fit = judge(&inputs, &room("host", host), &devices);
        assert_eq!(fit.verdict, expected, "{args} {host:?} {device:?}: {fit:?}");
        assert_eq!(Verdict::parse(fit.verdict.as_str()), Some(fit.verdict));
    }
}

#[test]
fn what_will_not_fit_comes_with_what_would() {
    let model = model(
        "llama",
        "block_count=2 embedding_length=1024 context_length=131072 attention.head_count=16 \
         attention.head_count_kv=4 feed_forward_length=4096",
        &[
            ("blk.0.a", [1024, 16 * 1024], "f32"),
            ("blk.1.a", [1024, 16 * 1024], "f32"),
        ],
    );
    let told = |args: &str, free: u64, total: u64| {
        let flags = flags(args);
        let inputs = Inputs {
            model: &model,
            draft: None,
            mmproj: 0,
            loras: 0,
            flags: &flags,
            shares: &[1.0],
        };
        let room = |name: &str, free, total| Room {
            name: name.to_owned(),
            free: Some(free),
            total: Some(total),
        };
        judge(
            &inputs,
            &room("host", 64 * GIB, 64 * GIB),
            &[room("CUDA0", free, total)],
        )
    };
    let fit = told("-np 1 -ngl 99", 600 * MIB, 600 * MIB);
    assert_eq!(fit.verdict, Verdict::WillNotFit);
    assert_eq!(
        fit.remedy.as_deref(),
        Some("a context of 32768 tokens would do")
    );
    assert!(
        fit.summary.contains("CUDA0 needs") && fit.summary.ends_with("3 of 3 layers on devices"),
        "{}",
        fit.summary
    );
    let fit = told("-np 1 -c 1024 -ngl 99", 400 * MIB, 24 * GIB);
    assert_eq!(
        fit.remedy.as_deref(),
        Some("fewer layers on the device would do: gpu.layers = 2")
    );
}

#[test]
fn a_header_without_layers_is_unknown() {
    let flags = flags("");
    for model in [
        model("llama", "", &[]),
        model(
            "llama",
            "block_count=99999999 embedding_length=8 context_length=8",
            &[],
        ),
    ] {
        let inputs = Inputs {
            model: &model,
            draft: None,
            mmproj: 0,
            loras: 0,
            flags: &flags,
            shares: &[],
        };
        assert_eq!(
            judge(&inputs, &Room::default(), &[]).verdict,
            Verdict::Unknown
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_header_overflows_the_sum(numbers in prop::collection::vec(any::<u64>(), 12), count in 0..12_u64) {
        let keys = [
            "embedding_length", "context_length", "attention.head_count", "attention.head_count_kv",
            "attention.key_length", "attention.value_length", "feed_forward_length", "expert_used_count",
            "attention.sliding_window", "ssm.state_size", "ssm.inner_size", "ssm.conv_kernel",
        ];
        let pairs: Vec<String> = keys
            .iter()
            .zip(&numbers)
            .map(|(key, number)| format!("{key}={number}"))
            .collect();
        for architecture in ["llama", "gemma3", "mamba", "qwen3next", "rwkv7", "bert"] {
            let model = model(architecture, &format!("block_count={count} {}", pairs.join(" ")), &[]);
            for args in ["-np 1", "-np 4 -ngl 9", "-fa off -kvu -c 0 -ctk q4_0"] {
                let flags = flags(args);
                let inputs = Inputs { model: &model, draft: None, mmproj: 0, loras: 0, flags: &flags, shares: &[1.0, 0.0] };
                let room = Room { name: "host".to_owned(), free: Some(GIB), total: Some(GIB) };
                let fit = judge(&inputs, &room, &[room.clone(), room.clone()]);
                prop_assert!(fit.places.len() == 3 || fit.verdict == Verdict::Unknown);
            }
        }
    }
}
