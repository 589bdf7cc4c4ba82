//! The wall clock is for display: stepped by a day, forwards or backwards, it decides nothing.

use super::*;

const DAY: f64 = 86_400.0;

/// What happened in one step, as far as it must not depend on the wall clock.
#[derive(Debug, PartialEq)]
struct Step {
    status: Status,
    restarts: u32,
    launches: usize,
    timer: Option<Duration>,
}

/// One thing that happens; it is given the timer that was set last, and a crash.
type Act = fn(&mut Rig, u64, ExitStatus) -> Decision;

/// A life with crashes, backoffs and a long healthy time; `wall` is asked for each step's time.
fn live(wall: impl Fn(usize, f64) -> f64) -> Vec<Step> {
    let mut rig = Rig::new();
    let mut calm = spec("a");
    calm.restart_policy.jitter = 0.0;
    calm.restart_policy.max_retries = 10;
    rig.give(Input::ConfigsLoaded(Configs {
        instances: BTreeMap::from([(name("a"), Config::Ready(Arc::new(calm)))]),
        ..Configs::default()
    }));
    let mut steps = Vec::new();
    let mut timer = 0;
    let crash = ExitStatus::Signal(11);
    // Monotonic seconds, and what happens then.
    let life: [(u64, Act); 12] = [
        (1, |rig, _, _| rig.command("a", Action::Start)),
        (2, |rig, _, _| rig.launched("a")),
        (3, |rig, _, crash| rig.exited("a", crash)),
        (4, |rig, timer, _| fired(rig, timer)),
        (5, |rig, _, _| rig.launched("a")),
        (6, |rig, _, _| rig.healthy("a")),
        (7, |rig, _, crash| rig.exited("a", crash)),
        (60, |rig, timer, _| fired(rig, timer)),
        (61, |rig, _, _| rig.launched("a")),
        (62, |rig, _, _| rig.healthy("a")),
        // Healthy for longer than it takes to forget the crashes.
        (900, |rig, _, crash| rig.exited("a", crash)),
        (1000, |rig, timer, _| fired(rig, timer)),
    ];
    for (index, (at, act)) in life.into_iter().enumerate() {
        rig.seconds = at;
        rig.wall = wall(index, at as f64);
        let decision = act(&mut rig, timer, crash);
        let set = timer_of(&decision);
        timer = set.map_or(timer, |(timer, _)| timer);
        steps.push(Step {
            status: rig.status("a"),
            restarts: rig.fleet.instances[&name("a")].restarts,
            launches: launches(&decision, "a"),
            timer: set.map(|(_, after)| after),
        });
    }
    steps
}

fn fired(rig: &mut Rig, timer: u64) -> Decision {
    rig.give(Input::TimerFired {
        name: name("a"),
        timer,
    })
}

#[test]
fn a_stepped_wall_clock_decides_nothing() {
    let straight = live(|_, at| at);
    assert!(straight.iter().any(|step| step.status == Status::Backoff));
    let stepped: [fn(usize, f64) -> f64; 4] = [
        |_, at| at + DAY,
        |index, at| if index < 6 { at + DAY } else { at },
        |index, at| if index < 6 { at } else { at + DAY },
        |index, at| if index % 2 == 0 { at - DAY } else { at + DAY },
    ];
    for wall in stepped {
        assert_eq!(live(wall), straight);
    }
}
