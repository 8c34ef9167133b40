//! A load tester for Socket.IO servers, of any make, that audits what it receives.
//!
//! The program is `socketio-loadtest`; this library is its parts, so that they can be tested. What
//! decides is pure: it is told what happened and the time. Only the modules of the last group touch
//! sockets, processes and the clock.
//!
//! # Layout
//!
//! What is asked for:
//! * [`settings`]: flags and scenario files; [`plan`]: the same with defaults, checked
//! * [`target`], [`phases`], [`template`], [`threshold`], [`units`]: its parts
//!
//! Pure:
//! * [`session`]: the protocol of one client
//! * [`load`]: who does what, when
//! * [`stamp`] and [`audit`]: what each message carries, and what became of it
//! * [`measure`] and [`outcome`]: counts and histograms, by second and in all
//! * [`report`]: table, files, HTML, comparison
//!
//! With IO:
//! * [`net`]: one task for each client; [`servers`]: what the servers use
//! * [`worker`]: one process's share; [`run`]: leads one or many of them
//! * [`cli`]: the program; [`exit`]: its codes

pub mod audit;
pub mod cli;
pub mod clock;
pub mod exit;
pub mod limits;
pub mod load;
pub mod measure;
pub mod net;
pub mod outcome;
pub mod phases;
pub mod plan;
pub mod report;
pub mod rng;
pub mod run;
pub mod servers;
pub mod session;
pub mod settings;
pub mod stamp;
pub mod target;
pub mod template;
pub mod threshold;
pub mod units;
pub mod worker;
