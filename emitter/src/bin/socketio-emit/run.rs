//! Doing what the command line says.

use std::io::Write;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;
use socketio_emitter::{AdapterError, EmitError, Emitter, Missing, Operator, Payload};

use crate::args::Args;
use crate::exit::{Failure, code};
use crate::lines;
use crate::what::{Event, Recipients, from_arguments, from_line};

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    args.check()
        .map_err(|error| Failure::new(code::USAGE, error))?;
    let lines = args.reads_lines();
    // What is wrong with the arguments is told before the broker is troubled.
    let event = match args.event.as_deref() {
        Some(name) if !lines => Some(from_arguments(name, &args)?),
        _ => None,
    };
    if args.dry_run {
        return match &event {
            Some(event) => print_event(event),
            None => each_line(&args, async |event| print_event(&event)).await,
        };
    }
    let emitter = Emitter::connect_with(args.config()).await?;
    let done = match event {
        Some(event) => send(&emitter, &event, &args).await,
        None if lines => {
            each_line(&args, async |event| {
                let operator = event.to.operator(&emitter, &args);
                emit(&emitter, &operator, &event.payload).await
            })
            .await
        }
        None => act(&emitter, &args).await,
    };
    // What was sent before something went wrong is sent.
    let closed = emitter.close().await;
    let written = match &args.metrics {
        Some(path) => write_metrics(&emitter, path),
        None => Ok(()),
    };
    done?;
    closed?;
    written
}

/// The file appears as a whole: a collector may look at any moment.
fn write_metrics(emitter: &Emitter, path: &Path) -> Result<(), Failure> {
    let page = emitter.metrics().encode();
    let written = if path == Path::new("-") {
        std::io::stderr().write_all(page.as_bytes())
    } else {
        let mut unfinished = path.to_owned().into_os_string();
        unfinished.push(format!(".{}", std::process::id()));
        std::fs::write(&unfinished, page)
            .and_then(|()| std::fs::rename(&unfinished, path))
            .inspect_err(|_| {
                // It is of no use to anybody.
                let _ = std::fs::remove_file(&unfinished);
            })
    };
    written.map_err(|error| Failure::new(code::OUTPUT, error).at(path.display()))
}

/// Sends one event; with `--ack` prints the answers.
async fn send(emitter: &Emitter, event: &Event, args: &Args) -> Result<(), Failure> {
    let operator = event.to.operator(emitter, args);
    if !args.ack {
        return if args.server_side {
            Ok(operator.server_side_emit_payload(&event.payload)?)
        } else {
            emit(emitter, &operator, &event.payload).await
        };
    }
    if args.server_side {
        let payload = event.payload.clone();
        let asked = operator.server_side_emit_payload_with_ack(payload).await?;
        for reply in &asked.replies {
            let shown = Shown {
                node: reply.node.as_ref().map(AsRef::as_ref),
                ..Shown::default()
            };
            if let Ok(payload) = &reply.data {
                shown.print(payload)?;
            }
        }
        return complete(&asked.missing);
    }
    let asked = operator.emit_payload_with_ack::<()>(event.payload.clone());
    let mut acks = asked.await?;
    while let Some((socket, payload)) = acks.next_payload().await {
        let shown = Shown {
            socket: socket.as_ref().map(AsRef::as_ref),
            ..Shown::default()
        };
        shown.print(&payload)?;
    }
    complete(&acks.missing())
}

/// Sends, and waits while the queue is full: a program may write lines faster than the broker takes
/// them.
async fn emit(emitter: &Emitter, operator: &Operator, payload: &Payload) -> Result<(), Failure> {
    loop {
        match operator.emit_payload(payload) {
            Err(EmitError::Carrier(AdapterError::QueueFull)) => emitter.flush().await?,
            done => return Ok(done?),
        }
    }
}

/// Everything but events.
async fn act(emitter: &Emitter, args: &Args) -> Result<(), Failure> {
    let operator = Recipients::of(args).operator(emitter, args);
    if args.count {
        let count = operator.count().await?;
        print(&count.sockets.to_string())?;
        complete(&count.missing)
    } else if args.disconnect {
        Ok(operator.disconnect_sockets(args.close)?)
    } else if args.join.is_empty() {
        Ok(operator.sockets_leave(&args.leave[..])?)
    } else {
        Ok(operator.sockets_join(&args.join[..])?)
    }
}

async fn each_line(
    args: &Args,
    mut act: impl AsyncFnMut(Event) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let defaults = Recipients::of(args);
    let mut lines = lines::from_standard_input();
    let mut number = 0u64;
    while let Some(line) = lines.recv().await {
        number += 1;
        let at = |failure: Failure| failure.at(format!("line {number}"));
        if let Some(event) = from_line(&line.map_err(at)?, &defaults).map_err(at)? {
            act(event).await.map_err(at)?;
        }
    }
    Ok(())
}

/// An error if anything is missing, which says what.
fn complete(missing: &Missing) -> Result<(), Failure> {
    if missing.is_empty() {
        return Ok(());
    }
    let mut parts = Vec::new();
    if !missing.nodes.is_empty() {
        parts.push(named("node", missing.nodes.iter().map(AsRef::as_ref)));
    }
    if missing.unnamed_nodes > 0 {
        let plural = if missing.unnamed_nodes == 1 { "" } else { "s" };
        parts.push(format!(
            "{} node{plural} without a name",
            missing.unnamed_nodes
        ));
    }
    if !missing.sockets.is_empty() {
        parts.push(named("socket", missing.sockets.iter().map(AsRef::as_ref)));
    } else if missing.acks > 0 {
        let plural = if missing.acks == 1 { "" } else { "s" };
        parts.push(format!("{} client{plural}", missing.acks));
    }
    let text = format!("no answer in time from {}", parts.join("; "));
    Err(Failure::new(code::INCOMPLETE, text))
}

fn named<'a>(what: &str, names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{what}{plural} {}", Vec::from_iter(names).join(", "))
}

/// A line of standard output.
#[derive(Default, Serialize)]
struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    socket: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    to: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    except: &'a [String],
    /// The arguments, for an event with its name in front.
    data: Option<&'a RawValue>,
    /// The bytes whose placeholders stand in the data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<String>,
}

impl<'a> Shown<'a> {
    fn print(mut self, payload: &'a Payload) -> Result<(), Failure> {
        let cannot = |error: serde_json::Error| Failure::new(code::DATA, error);
        self.data = serde_json::from_str(payload.json()).map_err(cannot)?;
        let attachments = payload.attachments().iter();
        self.attachments = attachments.map(|bytes| STANDARD.encode(bytes)).collect();
        let line = serde_json::to_string(&self).map_err(cannot)?;
        print(&line)
    }
}

fn print_event(event: &Event) -> Result<(), Failure> {
    let shown = Shown {
        namespace: Some(&event.to.namespace),
        to: &event.to.rooms,
        except: &event.to.except,
        ..Shown::default()
    };
    shown.print(&event.payload)
}

fn print(line: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").map_err(|error| Failure::new(code::TEMPORARY, error))
}
