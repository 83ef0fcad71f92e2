//! The threads that a command uses.

use std::error::Error;
use std::thread;

use anyhow::{Context as _, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::budget::most_threads;
use crate::context::Context;
use crate::output::Output;

/// rayon's variable for the number of threads, used without `--jobs`.
const VARIABLE: &str = "RAYON_NUM_THREADS";

/// Runs a command on this number of threads, or on one per core.
pub(crate) fn on(
    jobs: Option<usize>,
    context: &mut Context<'_>,
    run: impl FnOnce(&mut Context<'_>) -> Result<()> + Send,
) -> Result<()> {
    match jobs {
        Some(jobs) => {
            let pool = ThreadPoolBuilder::new().num_threads(jobs).build();
            pool.with_context(|| format!("could not start {jobs} threads"))?.install(|| run(context))
        }
        None => {
            let _pool = start(&mut context.output)?;
            run(context)
        }
    }
}

/// Starts the threads that rayon would start on first use, with a limit on their number. If the
/// system cannot start threads, where rayon would panic, returns a pool with only the current
/// thread.
fn start(output: &mut Output<'_>) -> Result<Option<ThreadPool>> {
    // The caller runs inside a pool of its own.
    if rayon::current_thread_index().is_some() {
        return Ok(None);
    }
    let mut started = Vec::new();
    let pool = ThreadPoolBuilder::new().num_threads(asked(output)).spawn_handler(|thread| {
        started.push(thread::Builder::new().spawn(|| thread.run())?);
        Ok(())
    });
    match pool.build_global() {
        // An earlier command in this process may have started them.
        Ok(()) => Ok(None),
        Err(error) if error.source().is_none() => Ok(None),
        Err(error) => {
            // Those that started end now. The command needs the memory of their stacks.
            started.into_iter().for_each(|thread| drop(thread.join()));
            output.note(&format!("works on one thread because more could not be started: {error}"));
            let pool = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
            pool.map(Some).context("could not work on a single thread")
        }
    }
}

/// The maximum number of threads, if the environment requests more; 0 leaves the choice to rayon.
fn asked(output: &mut Output<'_>) -> usize {
    let asked: Option<usize> = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
    let most = most_threads();
    match asked {
        Some(asked) if asked > most => {
            output.note(&format!("{VARIABLE} is {asked}, but at most {most} threads are started"));
            most
        }
        _ => 0,
    }
}
