//! A node of the clusters that `interop/cluster/` starts: the line protocol is in its README.
//!
//! * `carrier` makes the adapter that the flags ask for
//! * `application` is what clients find
//! * `commands` does what the lines of standard input ask for
//!
//! ```sh
//! cargo run -p socketio-server --example cluster_node -- --adapter redis --url redis://127.0.0.1
//! ```

mod application;
mod carrier;
mod commands;
#[path = "../driven/mod.rs"]
mod driven;

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use socketio_server::{Listener, MembersConfig, NodeId, Server, Value};

use carrier::{Carrier, Strength};
use commands::{Command, Node};
use driven::{lines_of_stdin, say, with_hex};

#[derive(Parser)]
struct Flags {
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[arg(long)]
    adapter: Carrier,
    #[arg(long)]
    url: String,
    /// Redis: a mode of the adapter. AMQP: nothing, or `reliable`.
    #[arg(long)]
    mode: Option<String>,
    #[arg(long)]
    prefix: Option<String>,
    /// Speaks Python's dialect too.
    #[arg(long, value_enum)]
    python: Option<Strength>,
    #[arg(long, value_delimiter = ',', default_value = "socketio")]
    python_channels: Vec<String>,
    /// How often nodes show that they are alive, in milliseconds.
    #[arg(long, default_value_t = 500)]
    heartbeat_interval: u64,
    /// The death window, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    heartbeat_timeout: u64,
    /// Most messages that wait for the broker.
    #[arg(long)]
    queue: Option<usize>,
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .init();
    let flags = Flags::parse();
    let node = NodeId::generate();
    let adapter = carrier::adapter(&flags, &node)?;
    let members = MembersConfig {
        heartbeat_interval: Duration::from_millis(flags.heartbeat_interval),
        heartbeat_timeout: Duration::from_millis(flags.heartbeat_timeout),
    };
    let io = Server::builder()
        .node_id(node)
        .adapter(Arc::clone(&adapter))
        .heartbeat(members)
        .max_http_buffer_size(4_000_000)
        .build();
    for namespace in [io.of("/"), io.of("/custom")] {
        application::on(&io, &namespace);
    }
    io.join_cluster().await?;

    let listener = Listener::bind(("127.0.0.1", flags.port)).await?;
    say(&format!("listening on http://{}", listener.local_addr()?));
    let server = tokio::spawn(listener.serve(io.service()));

    let node = Arc::new(Node::new(io, adapter));
    // The launcher owns this process: when it goes away, its end of the pipe does too.
    let mut commands = lines_of_stdin();
    while let Some(line) = commands.recv().await {
        let command = Command::read(&line)?;
        if command.text("do") == "close" {
            node.close().await;
            break;
        }
        if let Some(answer) = node.at_once(&command) {
            command.answer(answer);
        } else {
            // What takes time must not hold up the commands behind it.
            let node = Arc::clone(&node);
            tokio::spawn(async move { command.answer(node.in_time(&command).await) });
        }
    }
    server.abort();
    Ok(())
}

/// Writes a line of JSON, with bytes as `{"$bytes": "<hex>"}`.
fn log(fields: impl IntoIterator<Item = (&'static str, Value)>) {
    let entry: Value = fields.into_iter().collect();
    say(&with_hex(entry, "$bytes").to_string());
}

fn number(value: u64) -> Value {
    Value::UInt(value)
}
