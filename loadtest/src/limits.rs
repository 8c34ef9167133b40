//! Whether the system gives what a run needs.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::exit::Failure;
use crate::plan::{Plan, Share, Transport};

/// Descriptors for everything but clients: the runtime, output, emitter, other processes.
const RESERVE: u64 = 64;

/// Raises the limit of file descriptors as far as allowed, and checks that it is enough.
///
/// # Errors
///
/// When it is not, with what to do about it.
pub fn check_descriptors(plan: &Plan, share: Share) -> Result<(), Failure> {
    let needed = needed(plan, share);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        limit.current = limit
            .maximum
            .map_or(Some(needed), |maximum| Some(maximum.min(needed)));
        // If it is not allowed, the check says so.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if needed <= current {
        return Ok(());
    }
    let all = needed.saturating_sub(RESERVE) * u64::from(share.count);
    let processes = all.div_ceil(current.saturating_sub(RESERVE).max(1));
    Err(Failure::system(format!(
        "too few file descriptors: {needed} are needed in each process and {current} allowed; raise the \
         limit (ulimit -n {needed}) or use --processes {processes}"
    )))
}

fn needed(plan: &Plan, share: Share) -> u64 {
    let clients = share.of(plan.timetable.most_clients());
    let each = |local: u32| match plan.transport_of(share.global(local)) {
        Transport::WebSocket => 1,
        // One that waits and one that sends; the upgrade opens its own beside them.
        Transport::Polling => 2,
        Transport::Upgrade => 3,
    };
    RESERVE + (0..clients).map(each).sum::<u64>()
}
