//! System calls that strace reports, and that it makes fail.

use std::collections::HashMap;
use std::fs;
use std::process::Output;

use crate::scene::Scene;

/// A completed system call.
#[derive(Clone, Debug)]
pub struct Call {
    pub thread: u32,
    pub name: String,
    /// The arguments as strace prints them. Descriptors come with their paths.
    pub arguments: String,
    pub result: String,
    /// Whether strace made up the result.
    pub is_injected: bool,
}

/// Runs the command of a scene under strace with these options.
pub fn strace(scene: &Scene, options: &[&str]) -> (Output, Vec<Call>) {
    let trace = scene.folder.path("trace");
    let by = ["strace", "-f", "-y", "-o", trace.to_str().unwrap()];
    let ran = scene.command(&[&by[..], options].concat()).output().expect("strace, which these tests need");
    let text = fs::read_to_string(&trace).unwrap();
    (ran, parse(&text))
}

fn parse(text: &str) -> Vec<Call> {
    let mut unfinished: HashMap<u32, String> = HashMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let (thread, line) = line.trim_start().split_once(' ').unwrap();
        let thread = thread.parse().unwrap();
        let line = line.trim_start();
        // A call of another thread interrupted this line.
        if let Some(start) = line.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, start.to_owned());
            continue;
        }
        let resumed = line.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"));
        let line = match resumed {
            Some((_, end)) => format!("{}{end}", unfinished.remove(&thread).unwrap()),
            None => line.to_owned(),
        };
        // Lines about signals and ended threads are not calls.
        let Some((call, result)) = line.rsplit_once(" = ") else { continue };
        let Some((name, arguments)) = call.split_once('(') else { continue };
        calls.push(Call {
            thread,
            name: name.to_owned(),
            arguments: arguments.trim_end().trim_end_matches(')').to_owned(),
            result: result.to_owned(),
            is_injected: result.ends_with("(INJECTED)"),
        });
    }
    calls
}

/// A call of an undisturbed run. `nth` counts the calls of the same name in its thread, as strace
/// does.
pub struct Target {
    pub call: Call,
    pub nth: usize,
}

/// The calls of an undisturbed run. Only the main thread touches the destination.
pub fn calls(scene: &Scene, options: &[&str]) -> Vec<Target> {
    scene.reset();
    let (ran, calls) = strace(scene, options);
    assert!(ran.status.success(), "{}: {ran:?}", scene.name);
    let main = calls[0].thread;
    let there = scene.there();
    let (own, others): (Vec<Call>, Vec<Call>) = calls.into_iter().partition(|call| call.thread == main);
    if let Some(call) = others.iter().find(|call| call.arguments.contains(there.to_str().unwrap())) {
        panic!("{}: {call:?} is of another thread", scene.name);
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut count = |call: &Call| {
        let count = counts.entry(call.name.clone()).or_default();
        *count += 1;
        *count
    };
    own.into_iter().map(|call| Target { nth: count(&call), call }).collect()
}

/// The calls of an undisturbed run that touch the destination or an input, except those that only
/// clean up. For `render`, inputs are left out, because it shows unreadable latents as such.
pub fn targets(scene: &Scene) -> Vec<Target> {
    let place = if scene.name == "render" { scene.there() } else { scene.place().into() };
    let mut targets = calls(scene, &["-e", "trace=%file,%desc"]);
    let cleans_up = |name: &str| matches!(name, "close" | "unlink" | "unlinkat" | "rmdir" | "execve");
    // Standard error is a pipe.
    let says = |call: &Call| call.arguments.split(',').next().is_some_and(|first| first.contains("<pipe:["));
    let touches = |call: &Call| call.arguments.contains(place.to_str().unwrap()) && !says(call);
    targets.retain(|target| touches(&target.call) && !cleans_up(&target.call.name));
    targets
}
