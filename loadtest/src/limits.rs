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
    let instead = match processes(all, current) {
        Some(processes) if processes <= plan.most_processes() => {
            format!(" or use --processes {processes}")
        }
        _ => String::new(),
    };
    Err(Failure::system(format!(
        "too few file descriptors: {needed} are needed in each process and {current} allowed; raise the \
         limit (ulimit -n {needed}){instead}"
    )))
}

/// How many processes could hold `all` descriptors of clients; none if no number could.
fn processes(all: u64, limit: u64) -> Option<u32> {
    // Some clients need three at once.
    let each = limit.checked_sub(RESERVE).filter(|each| *each >= 3)?;
    u32::try_from(all.div_ceil(each)).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_no_advice_where_they_do_not_help() {
        assert_eq!(processes(57_000, 20_000), Some(3));
        assert_eq!(processes(100, 50), None);
        assert_eq!(processes(100, RESERVE), None);
        assert_eq!(processes(100, RESERVE + 10), Some(10));
    }
}
