//! The stock node: what `main` composes, and the life of a node from its start to its drain.

mod admin;
mod cluster;
pub(crate) mod config;
mod demo;
mod limits;
pub(crate) mod logging;
mod options;
mod page;
mod runtime;
mod signals;
mod site;
pub(crate) mod traces;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use socketio_core::ids::NodeId;
use socketio_server::{
    Adapter, AdapterError, Limits, Listener, MembersConfig, Options, Server, Tls,
};
use thiserror::Error;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use admin::{Admin, Readiness};
use config::Settings;
use page::Page;
use runtime::Threads;
use signals::{Signals, Stop};
use site::Site;
use traces::Export;

pub(crate) use options::PrepareError;

/// Closing slower than this spares nobody anything, so few connections do not take the whole window.
const CLOSE_PACE: Duration = Duration::from_millis(20);
/// How long the adapter may take to say goodbye when the grace period is over.
const LEAVE_TIME: Duration = Duration::from_secs(1);

/// Why a node could not run.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    #[error("cannot listen on {address}")]
    Bind {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot join the cluster")]
    Cluster(#[source] AdapterError),
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
}

/// What the settings refer to, read and found good.
#[derive(Debug)]
pub(crate) struct Parts {
    adapter: Option<Arc<dyn Adapter>>,
    options: Options,
    limits: Limits,
    node: NodeId,
    tls: Option<Tls>,
}

/// Reads the files that the settings name.
pub(crate) fn prepare(settings: &Settings, node: NodeId) -> Result<Parts, PrepareError> {
    Ok(Parts {
        node,
        adapter: cluster::adapter(settings)?,
        options: options::server(settings)?,
        limits: options::limits(settings),
        tls: options::tls(settings)?,
    })
}

/// What the node runs on.
pub(crate) fn runtime(settings: &Settings) -> Result<Runtime, RunError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = settings.worker_threads {
        builder.worker_threads(threads);
    }
    builder.enable_all().build().map_err(RunError::Runtime)
}

/// Runs a node until a signal ends it.
pub(crate) fn run(
    settings: &Settings,
    parts: Parts,
    export: Option<Export>,
    runtime: Runtime,
) -> Result<ExitCode, RunError> {
    let code = runtime.block_on(live(settings, parts, export));
    // Whatever is left was given its time to end.
    runtime.shutdown_background();
    code
}

async fn live(
    settings: &Settings,
    parts: Parts,
    export: Option<Export>,
) -> Result<ExitCode, RunError> {
    let mut signals = Signals::listen().map_err(RunError::Runtime)?;
    let descriptors = limits::raise_descriptor_limit();
    let path = endpoint(&parts.options);
    let mut builder = Server::builder()
        .node_id(parts.node)
        .options(parts.options)
        .heartbeat(MembersConfig {
            heartbeat_interval: settings.heartbeat_interval,
            heartbeat_timeout: settings.heartbeat_timeout,
        });
    if let Some(adapter) = parts.adapter {
        builder = builder.adapter(adapter);
    }
    let server = builder.build();
    let threads = Threads(Handle::current());
    server.metrics().add(|registry| {
        registry.register_collector(Box::new(threads));
        if let Some(export) = &export {
            registry.register_collector(Box::new(traces::metrics(export)));
        }
    });
    if settings.demo {
        demo::install(&server);
    }
    // Does not wait for the broker: the node serves its own clients until it is there.
    server.join_cluster().await.map_err(RunError::Cluster)?;
    let admin = Admin {
        server: server.clone(),
        needs_adapter: settings.ready_needs_adapter,
        readiness: Readiness::default(),
    };
    let readiness = admin.readiness.clone();
    let internal = Site {
        admin: Some(admin.clone()),
        page: None,
    };
    let public = Site {
        admin: settings.internal_address.is_none().then_some(admin),
        page: settings.demo.then(|| Arc::new(Page::new(&path))),
    };

    let (listener, address) = bind(settings, parts.tls).await?;
    let (stop_accepting, accepting) = watch::channel(());
    let service = server.service().with_fallback(public);
    let stopped = async move {
        let mut accepting = accepting;
        // The only thing ever to happen is that the sender goes away.
        let _ = accepting.changed().await;
    };
    let mut listening = tokio::spawn(
        listener
            .limits(parts.limits)
            .serve_with_shutdown(service, stopped),
    );
    let mut internal_address = None;
    if let Some(address) = settings.internal_address {
        let bound = Listener::bind(address).await;
        let (listener, bound) = named(bound, &address.to_string())?;
        internal_address = Some(bound);
        // Answers to the very end, so that a probe sees "not ready" rather than nothing.
        tokio::spawn(listener.serve(internal));
    }
    readiness.set(true);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        %address,
        %path,
        internal_address = internal_address.map(tracing::field::display),
        adapter = server.adapter_name(),
        node = %server.node_id(),
        open_files = descriptors.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string()),
        "listening"
    );
    if settings.demo {
        tracing::warn!(
            "open demo: everybody who reaches this node may join and publish; --demo=false turns it off"
        );
    }

    let signal = signals.next().await;
    let deadline = Instant::now() + settings.drain_grace;
    tracing::info!(?signal, "draining; a second signal ends the node at once");
    readiness.set(false);
    let drain = async {
        sleep(settings.drain_delay).await;
        let open = server.metrics().snapshot();
        let open = u32::try_from(open.polling + open.websocket).unwrap_or(u32::MAX);
        let window = settings.drain_window.min(CLOSE_PACE.saturating_mul(open));
        // New sessions are refused from here on, but a polling client needs a connection to learn that its own is closed.
        server.drain(window).await;
        drop(stop_accepting);
        if let Err(error) = (&mut listening).await {
            tracing::error!(%error, "the listener failed");
        }
    };
    let mut forced = tokio::select! {
        drained = timeout_at(deadline, drain) => {
            match drained {
                Ok(()) => tracing::info!("drained"),
                Err(_) => {
                    tracing::warn!("the grace period is over; what is left is cut off");
                    // The others should not have to find out by themselves.
                    if timeout(LEAVE_TIME, server.leave_cluster()).await.is_err() {
                        tracing::warn!("the broker did not take the goodbye to the other nodes");
                    }
                }
            }
            None
        }
        second = signals.next() => Some(second),
    };
    if let Some(export) = export
        && forced.is_none()
    {
        // The spans of the connections ended with them.
        forced = tokio::select! {
            _ = export.finish(settings.trace_flush_timeout) => None,
            second = signals.next() => Some(second),
        };
    }
    if let Some(socket) = &settings.unix_socket {
        // A new node could replace it, but a client would rather see that nobody is there.
        let _ = std::fs::remove_file(socket);
    }
    Ok(forced.map_or(ExitCode::SUCCESS, |second: Stop| {
        tracing::warn!(signal = ?second, "ended at once");
        ExitCode::from(second.exit_code())
    }))
}

/// The path of the endpoint as clients must name it.
fn endpoint(options: &Options) -> String {
    let path = options.path.trim_end_matches('/');
    let slash = if options.add_trailing_slash { "/" } else { "" };
    format!("{path}{slash}")
}

/// Listens where the settings say; also names the address for people.
async fn bind(settings: &Settings, tls: Option<Tls>) -> Result<(Listener, String), RunError> {
    if let Some(path) = &settings.unix_socket {
        let name = format!("unix:{}", path.display());
        let bound = Listener::bind_unix(path).await;
        let source = |source| RunError::Bind {
            address: name.clone(),
            source,
        };
        return Ok((bound.map_err(source)?, name));
    }
    let host = settings.host.trim_matches(['[', ']']);
    let bound = Listener::bind((host, settings.port)).await;
    let (listener, address) = named(bound, &format!("{host}:{}", settings.port))?;
    Ok(match tls {
        Some(tls) => (listener.tls(tls), format!("https://{address}")),
        None => (listener, format!("http://{address}")),
    })
}

fn named(bound: io::Result<Listener>, wanted: &str) -> Result<(Listener, SocketAddr), RunError> {
    let address = bound.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = address.map_err(|source| RunError::Bind {
        address: wanted.to_owned(),
        source,
    })?;
    Ok((listener, address))
}
