//! Rows of a made-up fleet.

use super::typing::NOW;
use crate::domain::autopsy::{Autopsy, Cause, RetryClass};
use crate::domain::event::{Event, EventType, Level};
use crate::domain::exit::ExitStatus;
use crate::domain::fleet::InstanceRow;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Health, Status};
use crate::domain::readings::Readings;
use crate::domain::run::RunId;

/// A row of this name in this state.
pub(in crate::tui) fn row(name: &str, status: Status, health: Health) -> InstanceRow {
    let live = status.is_live();
    InstanceRow {
        name: InstanceName::parse(name).expect("it is a name"),
        display_name: name.to_owned(),
        tags: Vec::new(),
        desired: if status == Status::Stopped {
            Desired::Stopped
        } else {
            Desired::Running
        },
        status,
        health,
        reason: None,
        failure: None,
        run: live.then(|| RunId::new(format!("run-{name}"))),
        pid: live.then_some(41822),
        port: Some(8081),
        host: "127.0.0.1".to_owned(),
        backend: "cuda".to_owned(),
        device: "GPU0".to_owned(),
        model: "Qwen3-Coder-30B-Q4_K_M".to_owned(),
        started_at: live.then_some(1_700_000_000.0),
        restart_at: None,
        restarts: 0,
        exit: None,
        autopsy: None,
        progress: None,
        readings: Readings::default(),
        drift: false,
        broken: false,
    }
}

/// A fleet with one row of most states, as in the design.
pub(in crate::tui) fn fleet() -> Vec<InstanceRow> {
    let mut coder = row("coder-30b", Status::Running, Health::Healthy);
    coder.readings = busy(3, 4, 182.4, 20_615_843_020);
    coder.tags = vec!["code".to_owned()];
    let mut chat = row("chat-8b", Status::Running, Health::Healthy);
    chat.pid = Some(41830);
    chat.port = Some(8082);
    chat.model = "Llama-3.1-8B-Inst-Q8_0".to_owned();
    chat.readings = busy(1, 8, 96.1, 9_771_050_598);
    chat.drift = true;
    let mut embed = row("embed-bge", Status::Running, Health::Healthy);
    embed.pid = Some(41841);
    embed.port = Some(8083);
    embed.backend = "cpu".to_owned();
    embed.device = "-".to_owned();
    embed.model = "bge-m3-f16".to_owned();
    embed.readings = Readings {
        busy_slots: Some(0),
        slots: Some(1),
        tokens_per_second: Some(0.0),
        ..Readings::default()
    };
    let mut vision = row("vision-11b", Status::Starting, Health::Loading);
    vision.pid = Some(42010);
    vision.port = Some(8084);
    vision.progress = Some(63);
    vision.restarts = 1;
    vision.started_at = Some(1_700_187_188.0);
    vision.model = "Llama-3.2-11B-Vision-Q4".to_owned();
    let mut draft = row("draft-06b", Status::Failed, Health::Unknown);
    draft.backend = "vulkan".to_owned();
    draft.device = "GPU1".to_owned();
    draft.restarts = 5;
    draft.exit = Some(ExitStatus::Code(1));
    draft.autopsy = Some(Autopsy {
        cause: Cause::OutOfVram,
        class: RetryClass::AfterVramFrees,
        summary: "out of VRAM: 9.0 GiB wanted on Vulkan0".to_owned(),
        evidence: Some("alloc_tensor_range: failed to allocate Vulkan0 buffer".to_owned()),
        remedy: Some(
            "fewer gpu.layers, a smaller model.context_size, or another device".to_owned(),
        ),
    });
    draft.reason = Some("out of VRAM: 9.0 GiB wanted on Vulkan0".to_owned());
    let mut judge = row("judge-70b", Status::Stopped, Health::Unknown);
    judge.port = Some(8086);
    judge.model = "Llama-3.3-70B-Q4_K_M".to_owned();
    let mut waits = row("waits", Status::Backoff, Health::Unknown);
    waits.restart_at = Some(1_700_187_212.0);
    waits.restarts = 2;
    let mut typo = row("typo", Status::Stopped, Health::Unknown);
    typo.broken = true;
    typo.reason = Some("server.port is missing".to_owned());
    vec![coder, chat, embed, vision, draft, judge, waits, typo]
}

fn busy(slots: u32, of: u32, rate: f32, vram: u64) -> Readings {
    Readings {
        cpu_percent: Some(104.0),
        rss_bytes: Some(2_254_857_830),
        vram_bytes: Some(vram),
        tokens_per_second: Some(rate),
        prompt_tokens_per_second: Some(1204.0),
        busy_slots: Some(slots),
        slots: Some(of),
    }
}

/// An event of an instance, so many seconds before the tests' time.
pub(in crate::tui) fn event(id: i64, ago: f64, name: &str, level: Level, message: &str) -> Event {
    Event {
        id,
        at: NOW.wall - ago,
        instance: InstanceName::parse(name).ok(),
        level,
        kind: EventType::HealthChanged,
        message: message.to_owned(),
    }
}
