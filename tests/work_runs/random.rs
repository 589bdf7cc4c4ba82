//! The kill harness of work units: kill -9 of owners, shims or both at random moments while
//! commands run and write numbered lines. `LLAMA_ORCH_TRIALS=200` runs the long version.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use llama_orch::domain::work::{State, WorkUnit};
use llama_orch::process::os;
use llama_orch::process::runfiles::{self, RunFile};
use llama_orch::store::Reader;

use super::Rig;
use crate::support::lines::{self, Counted};
use crate::support::{Victim, kill_hard, trials, wait_until};

/// Trials in the suite, two of each kind.
const USUAL: u64 = 6;

const UNITS: [&str; 3] = ["a", "b", "c"];

const PHASES: [&str; 2] = ["IMPLEMENT", "COMPLETE"];

/// Lines that each phase writes.
const LINES: u64 = 150;

/// Kills in a trial.
const KILLS: u32 = 2;

/// Says when it begins and ends. A second one at the same time finds the folder of the first. A
/// pipe that nobody reads does not end it.
const COMMAND: &str = "trap '' PIPE; name=$LLAMA_ORCH_CHUNK.$LLAMA_ORCH_PHASE; \
    mkdir here.$name || echo $name >> twice; echo begin $name >> trace; n=0; \
    while [ $n -lt 150 ]; do n=$((n+1)); printf 'flood %010d ......................\\n' $n; \
    sleep 0.001; done 2>/dev/null; echo end $name >> trace; rmdir here.$name";

fn kill(victim: Victim, rig: &Rig) {
    let shims: Vec<RunFile> = UNITS.iter().filter_map(|unit| running(rig, unit)).collect();
    if victim != Victim::Shim
        && let Some(owner) = rig.home.owner()
    {
        kill_hard(owner);
    }
    if victim == Victim::Owner {
        return;
    }
    // One of them, or all at once.
    let all = fastrand::bool();
    let one = fastrand::usize(..shims.len().max(1));
    for (place, run) in shims.iter().enumerate() {
        let same = os::stat(run.shim.pid).is_ok_and(|stat| stat.start_ticks == run.shim.start);
        if same && (all || place == one) {
            kill_hard(run.shim.pid);
        }
    }
}

/// The run of a unit whose end is not recorded.
fn running(rig: &Rig, unit: &str) -> Option<RunFile> {
    let paths = rig.run_paths(unit);
    let run: RunFile = runfiles::read(&paths.run()).ok().flatten()?;
    (!paths.exit().exists()).then_some(run)
}

fn units(rig: &Rig) -> Vec<WorkUnit> {
    let path = rig.home.path().join("state/state.sqlite");
    let reader = Reader::open(&path).unwrap().unwrap();
    reader.work_units().unwrap()
}

/// Nothing more comes of these by itself.
fn are_over(units: &[WorkUnit]) -> bool {
    let over = |unit: &WorkUnit| match unit.state {
        State::Done | State::NeedsAttention { ending: None, .. } => true,
        State::Ready | State::Blocked | State::Running(_) | State::NeedsAttention { .. } => false,
    };
    units.iter().all(over)
}

/// Bytes that all units have in their logs.
fn logged(rig: &Rig) -> u64 {
    let length = |unit: &&str| rig.home.log_length(&format!("work/{unit}"), "stdout");
    UNITS.iter().map(length).sum()
}

/// What all trials together came to.
#[derive(Debug, Default)]
struct Sum {
    trials: u64,
    lines: u64,
    unread: u64,
    done: u64,
    unwitnessed: u64,
}

impl Drop for Sum {
    fn drop(&mut self) {
        writeln!(
            io::stderr(),
            "kill harness of work units: {} trials, {} units DONE, {} with an end that nobody could \
             learn (owner and shim dead); {} lines counted; torn, doubled, lost with a witness \
             alive: 0; not written or unread while owner and shim were both dead: {}",
            self.trials,
            self.done,
            self.unwitnessed,
            self.lines,
            self.unread
        )
        .ok();
    }
}

impl Sum {
    /// Judges one unit when everything is over.
    fn judge(&mut self, rig: &Rig, unit: &WorkUnit, victim: Victim, what: &str) {
        let name = unit.chunk.as_str();
        let mut told: BTreeMap<String, u32> = BTreeMap::new();
        for line in rig.written("trace").lines() {
            *told.entry(line.to_owned()).or_default() += 1;
        }
        let count = |word: &str, phase: &str| {
            told.get(&format!("{word} {name}.{phase}"))
                .copied()
                .unwrap_or(0)
        };
        for phase in PHASES {
            assert!(
                count("begin", phase) <= 1,
                "{what}: {phase} of {name} began twice"
            );
        }
        match &unit.state {
            State::Done => {
                for phase in PHASES {
                    let both = (count("begin", phase), count("end", phase));
                    assert_eq!(both, (1, 1), "{what}: {phase} of {name} was lost");
                }
                self.done += 1;
            }
            State::NeedsAttention { why, .. } => {
                // With a witness alive every end is known, and every command ends well.
                let unknown = "its command ended while nobody watched, and nobody knows how";
                assert_eq!(why.summary, unknown, "{what}: {name}");
                assert_eq!(victim, Victim::Both, "{what}: {name}");
                assert_eq!(count("begin", unit.phase.as_str()), 1, "{what}: {name}");
                self.unwitnessed += 1;
            }
            State::Ready | State::Blocked | State::Running(_) => {
                unreachable!("{what}: {name} is not over: {unit:?}")
            }
        }
        let begun: u64 = PHASES
            .iter()
            .map(|phase| u64::from(count("begin", phase)))
            .sum();
        let counted = lines::count(
            &rig.home.whole_log(&format!("work/{name}"), "stdout"),
            &format!("{what}: {name}"),
        );
        self.judge_lines(&counted, begun * LINES, victim, &format!("{what}: {name}"));
    }

    fn judge_lines(&mut self, counted: &Counted, expected: u64, victim: Victim, what: &str) {
        match victim {
            Victim::Owner | Victim::Shim => {
                assert_eq!((counted.lines, counted.missing), (expected, 0), "{what}");
            }
            // One gap for each time that nobody was there to read.
            Victim::Both => assert!(counted.gaps <= u64::from(KILLS), "{what}: {counted:?}"),
        }
        self.lines += counted.lines;
        self.unread += expected - counted.lines;
    }
}

#[test]
fn kills_at_random_moments_run_no_phase_twice_and_lose_none() {
    let mut sum = Sum::default();
    for trial in 0..trials(USUAL) {
        let victim = Victim::of(trial);
        let what = format!("trial {trial}, {victim:?} killed");
        let rig = Rig::new(UNITS.len() as u32);
        rig.home.ok(&["daemon", "start"]);
        for unit in UNITS {
            rig.create_with_all(unit, &PHASES, COMMAND);
        }
        let whole = (UNITS.len() * PHASES.len() * lines::LINE) as u64 * LINES;
        for _ in 0..KILLS {
            let now = logged(&rig);
            let some = now + fastrand::u64(0..=whole.saturating_sub(now) * 2 / 3);
            wait_until("more lines are there", || {
                logged(&rig) >= some || are_over(&units(&rig))
            });
            kill(victim, &rig);
            rig.home.ok(&["daemon", "start"]);
        }
        wait_until("everything is over", || are_over(&units(&rig)));
        assert_eq!(rig.written("twice"), "", "{what}");
        for unit in units(&rig) {
            sum.judge(&rig, &unit, victim, &what);
        }
        sum.trials += 1;
        rig.home.ok(&["daemon", "stop"]);
    }
}
