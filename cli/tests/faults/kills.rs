//! SIGKILL at each system call, and at random times.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::Random;
use crate::scene::{SIDE_BY_SIDE, Scene, State};
use crate::strace::{Target, calls, strace};

const KILLED: Option<i32> = Some(9);

/// The states found after many kills.
#[derive(Debug, Default)]
struct Found {
    runs: usize,
    before: usize,
    after: usize,
    /// The number of runs that left a temporary file. The next run must remove it.
    left: usize,
}

impl Found {
    fn look(&mut self, scene: &Scene, what: &str) {
        let (state, left) = scene.state(what);
        assert!(left <= 1, "{} {what}: {left} temporaries", scene.name);
        self.runs += 1;
        self.left += left;
        match state {
            State::Before => self.before += 1,
            State::After => self.after += 1,
        }
    }
}

fn killed_at_each_call(name: &'static str) {
    let scene = Scene::of(name);
    let (mut found, mut spared) = (Found::default(), 0);
    let calls = calls(&scene, &["-e", "trace=all"]);
    for Target { call, nth } in &calls {
        scene.restore();
        let inject = format!("inject={}:signal=KILL:when={nth}", call.name);
        let (ran, _) = strace(&scene, &["-e", &format!("trace={}", call.name), "-e", &inject]);
        // Some calls, such as waits for other threads, do not occur in every run.
        if ran.status.success() {
            spared += 1;
            continue;
        }
        assert_eq!(ran.status.signal(), KILLED, "{name}: {ran:?}");
        found.look(&scene, &format!("killed at {} {nth}", call.name));
    }
    assert!(found.before > 50 && found.after > 2 && found.left > 5 && spared < 20, "{name}: {found:?}");
    scene.recovers();
    println!("{name}, killed at each of {} calls: {found:?}, {spared} not killed", calls.len());
}

#[test]
fn a_pack_that_is_killed_at_any_call_leaves_the_old_file_or_the_new_one() {
    ["pack", "pack, new"].into_iter().for_each(killed_at_each_call);
}

#[test]
fn others_that_are_killed_at_any_call_leave_the_old_or_the_new() {
    ["repack", "set", "merge", "unpack", "split"].into_iter().for_each(killed_at_each_call);
}

fn killed_by_chance(name: &'static str, kills: usize) {
    // With 1 MiB of values, most of the time goes into writing.
    let scene = Scene::with_values(name, 1 << 18);
    scene.reset();
    let start = Instant::now();
    for _ in 0..3 {
        assert!(scene.command(&[]).output().unwrap().status.success());
    }
    // Slightly longer than a run takes, so that some runs finish.
    let longest = start.elapsed() / 3 + Duration::from_millis(5);
    let (mut random, mut found, mut finished) = (Random(6), Found::default(), 0);
    while found.runs - finished < kills {
        scene.restore();
        let mut child = scene.command(&[]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(longest * random.below(1000) as u32 / 1000);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(status.success() || status.signal() == KILLED, "{name}: {status:?}");
        finished += usize::from(status.success());
        found.look(&scene, "killed at a moment by chance");
    }
    assert!(found.before > kills / 10 && found.left > kills / 10, "{name}: {found:?}");
    scene.recovers();
    println!("{name}, killed at {kills} moments of {longest:?}: {found:?}, {finished} finished before");
}

#[test]
fn a_pack_that_is_killed_at_any_moment_leaves_the_old_file_or_the_new_one() {
    killed_by_chance("pack", 200);
    killed_by_chance(SIDE_BY_SIDE, 100);
}

/// Each writer removes the leftovers of killed ones, but not the files of those that still run.
#[test]
fn writers_beside_others_that_are_killed_finish() {
    let scene = Scene::of("pack");
    let (mut random, mut killed, mut finished) = (Random(8), 0, 0);
    scene.reset();
    for _ in 0..20 {
        let spawn = |_| scene.command(&[]).stdout(Stdio::null()).spawn().unwrap();
        let mut writers: Vec<Child> = (0..8).map(spawn).collect();
        for (at, writer) in writers.iter_mut().enumerate().filter(|(at, _)| at % 2 == 0) {
            std::thread::sleep(Duration::from_millis(random.below(8 + at) as u64));
            writer.kill().unwrap();
        }
        for (at, writer) in writers.into_iter().enumerate() {
            let ran = writer.wait_with_output().unwrap();
            assert!(ran.status.success() || at % 2 == 0, "{ran:?}");
            *if ran.status.success() { &mut finished } else { &mut killed } += 1;
        }
        assert_eq!(scene.state("with several writers").0, State::After);
    }
    assert!(killed > 5, "{killed}");
    scene.recovers();
    println!("pack, beside others that are killed: {finished} finished, {killed} killed");
}

#[test]
#[ignore = "minutes"]
fn a_pack_that_is_killed_at_very_many_moments_leaves_the_old_file_or_the_new_one() {
    killed_by_chance("pack", 2000);
    killed_by_chance("repack", 500);
}
