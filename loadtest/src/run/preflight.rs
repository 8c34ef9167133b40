//! Before any load: one client to each target.

use std::cell::Cell;
use std::rc::Rc;

use crate::exit::{Code, Failure};
use crate::net::{Caller, Connector, Host, Link, NetError, run};
use crate::plan::Plan;
use crate::session::{SessionError, SessionEvent};

/// Closes its connection as soon as the namespace has it.
struct Probe {
    link: Rc<Link>,
    connected: Cell<bool>,
}

impl Host for Probe {
    fn event(self: &Rc<Self>, _client: u32, event: SessionEvent) {
        if event == SessionEvent::Connected {
            self.connected.set(true);
            self.link.close();
        }
    }

    fn upgraded(self: &Rc<Self>, _client: u32, _micros: u64) {}
}

/// Connects to each target once, so that what is wrong is told by one line and not by a thousand
/// clients.
pub(super) async fn check(plan: &Plan, connector: &Connector) -> Result<(), Failure> {
    for (at, target) in plan.targets.iter().enumerate() {
        let link = Rc::new(Link::default());
        let probe = Rc::new(Probe {
            link: Rc::clone(&link),
            connected: Cell::new(false),
        });
        let caller = Caller {
            local: at as u32,
            global: at as u32,
            target: at,
        };
        let session = run(plan, connector, &probe, &link, caller);
        let end = tokio::time::timeout(plan.connect_timeout.0, session).await;
        if probe.connected.get() {
            continue;
        }
        let error = end.unwrap_or(NetError::Timeout);
        let refused = matches!(error, NetError::Session(SessionError::Refused(_)));
        let code = if matches!(error, NetError::Own(_)) {
            Code::System
        } else if refused || error.is_stranger() {
            Code::Protocol
        } else {
            Code::Unavailable
        };
        return Err(Failure::new(code, format!("{target}: {error}")));
    }
    Ok(())
}
