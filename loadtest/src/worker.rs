//! [`work`]: one process's share of a run. It moves events and commands between
//! [`Load`] and the sockets, and reports to whoever leads the run.

mod ticks;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use socketio_core::frame::Frame;
use socketio_emitter::{ConnectError, Emitter, EmitterConfig};
use tokio::sync::{Notify, mpsc};

use crate::audit::{AuditTotals, Ledger};
use crate::clock::{Alarm, now};
use crate::exit::Failure;
use crate::load::{ClientEvent, Command, Load};
use crate::measure::Second;
use crate::net::{self, Caller, Connector, Host, Link, NetError};
use crate::plan::{Broker, Plan, Share};
use crate::session::SessionEvent;

use ticks::{State, Ticks};

/// What the leader says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Order {
    /// Send from this time on.
    Begin(u64),
    /// Stop sending now.
    Stop,
    /// What all publishers sent: finish the audit.
    Finish(Ledger),
}

/// What a worker says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Report {
    /// So many clients of so many are ready.
    Progress(u32, u32),
    /// All that will be ready are.
    Ready,
    /// A second is over.
    Second(Box<Second>),
    /// Nothing is under way any more; what was published.
    Drained(Ledger),
    /// The audit is done.
    Done(AuditTotals),
    /// It cannot go on.
    Failed(Failure),
}

struct Shell {
    plan: Arc<Plan>,
    share: Share,
    connector: Rc<Connector>,
    load: RefCell<Load>,
    links: RefCell<Vec<Option<Rc<Link>>>>,
    emitter: Option<Emitter>,
    changed: Notify,
}

/// How often it is looked, at the end, whether everything has come.
const LOOK: u64 = 100_000;
/// Frames that may wait for one client's socket, if the server does not read.
const MAX_QUEUED: usize = 10_000;
/// A second.
const SECOND: u64 = 1_000_000;

/// Does a share of the run, on a local set of tasks.
///
/// # Errors
///
/// With what makes the run impossible.
pub async fn work(
    plan: Arc<Plan>,
    share: Share,
    connector: Rc<Connector>,
    mut orders: mpsc::Receiver<Order>,
    reports: mpsc::Sender<Report>,
) -> Result<(), Failure> {
    crate::limits::check_descriptors(&plan, share)?;
    let emitter = match &plan.broker {
        Some(broker) => Some(connect_emitter(broker).await?),
        None => None,
    };
    let alarm = Alarm::new().map_err(|error| Failure::system(format!("no timer: {error}")))?;
    let load = Load::new(Arc::clone(&plan), share, now());
    let shell = Rc::new(Shell {
        links: RefCell::new(vec![None; share.of(plan.timetable.most_clients()) as usize]),
        load: RefCell::new(load),
        emitter,
        connector,
        share,
        changed: Notify::new(),
        plan,
    });
    let mut clock = Ticks::new(&shell.plan);
    let mut state = State::Connecting;
    loop {
        let time = now();
        let mut told = clock.measure(&shell, &state, time);
        shell.load.borrow_mut().handle_time(time);
        shell.act();
        told.extend(clock.tick(&shell, &mut state, time)?);
        for report in told {
            let done = matches!(report, Report::Done(_));
            // Whoever led is gone: so are we.
            if reports.send(report).await.is_err() || done {
                shell.close_all().await;
                return Ok(());
            }
        }
        let next = shell.load.borrow().next_time().min(clock.next(&state));
        tokio::select! {
            slept = alarm.until(next) => slept.map_err(|error| Failure::system(format!("no timer: {error}")))?,
            order = orders.recv() => match order {
                Some(Order::Begin(at)) => {
                    shell.load.borrow_mut().expect(at);
                    alarm.until(at).await.map_err(|error| Failure::system(error.to_string()))?;
                    state = clock.begin(&shell, at);
                }
                Some(Order::Stop) => clock.stop_early(&mut state),
                Some(Order::Finish(ledger)) => {
                    state = State::Finishing { ledger, deadline: now() + shell.plan.drain.as_micros() };
                }
                None => return Ok(()),
            },
            () = shell.changed.notified() => {}
        }
    }
}

async fn connect_emitter(broker: &Broker) -> Result<Emitter, Failure> {
    let mut config = EmitterConfig::new(broker.url.clone()).mode(broker.mode);
    if let Some(prefix) = &broker.prefix {
        config = config.prefix(prefix.clone()).exchange(prefix.clone());
    }
    Emitter::connect_with(config).await.map_err(|error| {
        let source = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        let source = source.unwrap_or_default();
        let url = crate::settings::without_password(&broker.url);
        match error {
            ConnectError::Broker(_) => Failure::unavailable(format!("{url}: {error}{source}")),
            _ => Failure::usage(format!("--broker {url}: {error}{source}")),
        }
    })
}

impl Shell {
    /// Why not all take part.
    fn stuck(&self, ready: u32, wanted: u32) -> Failure {
        let load = self.load.borrow();
        let cause = load.most_frequent_error();
        let acks = self.plan.has_rooms() && self.plan.events.join_ack && load.has_joining();
        let hint = match &self.plan.events.join {
            Some(join) if acks => format!(
                " (does the server acknowledge `{}`? see --join-event and --join-ack)",
                join.event
            ),
            _ => String::new(),
        };
        let own = cause.is_some_and(|cause| cause.contains(net::OWN_LIMIT));
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        let text = match ready {
            0 => format!("no client could connect and join its rooms{cause}{hint}"),
            _ => {
                format!("{ready} of {wanted} clients are connected, and no more come{cause}{hint}")
            }
        };
        if own {
            Failure::system(text)
        } else {
            Failure::unavailable(text)
        }
    }

    /// Does what the load wants done.
    fn act(self: &Rc<Self>) {
        loop {
            let command = self.load.borrow_mut().next_command();
            let Some(command) = command else { return };
            match command {
                Command::Connect(client, target) => self.connect(client, target),
                Command::Close(client) => self.with_link(client, Link::close),
                Command::Send(client, frame) => self.send(client, frame),
                Command::Pause(client, paused) => self.with_link(client, |link| link.pause(paused)),
                Command::Emit {
                    room,
                    sequence,
                    payload,
                } => {
                    let Some(emitter) = &self.emitter else {
                        continue;
                    };
                    let name = self.plan.room_name(room);
                    let sent = emitter
                        .of(&self.plan.namespace)
                        .to(name)
                        .emit_payload(&payload);
                    if let Err(error) = sent {
                        let cause = format!("emitter: {error}");
                        self.load.borrow_mut().not_emitted(room, sequence, cause);
                    }
                }
            }
        }
    }

    fn with_link(&self, client: u32, act: impl FnOnce(&Link)) {
        if let Some(Some(link)) = self.links.borrow().get(client as usize) {
            act(link);
        }
    }

    fn send(&self, client: u32, frame: Frame) {
        let mut full = false;
        self.with_link(client, |link| {
            full = link.queued() >= MAX_QUEUED;
            if !full {
                link.send(frame);
            }
        });
        if full {
            self.load
                .borrow_mut()
                .error("not sent: the server does not read what a client sends");
        }
    }

    fn connect(self: &Rc<Self>, client: u32, target: usize) {
        let link = Rc::new(Link::default());
        self.links.borrow_mut()[client as usize] = Some(Rc::clone(&link));
        let shell = Rc::clone(self);
        // One task for each client; it ends with its connection.
        tokio::task::spawn_local(async move {
            let caller = Caller {
                local: client,
                global: shell.share.global(client),
                target,
            };
            let end = net::run(&shell.plan, &shell.connector, &shell, &link, caller).await;
            shell.links.borrow_mut()[client as usize] = None;
            let targets = &shell.plan.targets;
            let cause = match end {
                NetError::Planned => None,
                // Whose fault it is, if that is not plain.
                error if targets.len() > 1 => {
                    Some(format!("{}: {error}", targets[target].authority()))
                }
                error => Some(error.to_string()),
            };
            shell.happened(client, ClientEvent::Ended(cause));
            shell.changed.notify_one();
        });
    }

    fn happened(self: &Rc<Self>, client: u32, event: ClientEvent) {
        self.load.borrow_mut().handle(now(), client, event);
        self.act();
    }

    async fn close_all(&self) {
        self.links
            .borrow()
            .iter()
            .flatten()
            .for_each(|link| link.close());
        // The tasks have a moment to say good-bye.
        let deadline = now() + 2 * SECOND;
        while now() < deadline && self.links.borrow().iter().any(Option::is_some) {
            tokio::task::yield_now().await;
        }
        if let Some(emitter) = &self.emitter {
            let _ = emitter.close().await;
        }
    }
}

impl Host for Shell {
    fn event(self: &Rc<Self>, client: u32, event: SessionEvent) {
        let event = match event {
            SessionEvent::Connected => ClientEvent::Connected,
            SessionEvent::Event(payload) => ClientEvent::Event(payload),
            SessionEvent::Ack(id, payload) => ClientEvent::Ack(id, payload),
        };
        self.happened(client, event);
    }

    fn upgraded(self: &Rc<Self>, client: u32, micros: u64) {
        self.happened(client, ClientEvent::Upgraded(micros));
    }
}
