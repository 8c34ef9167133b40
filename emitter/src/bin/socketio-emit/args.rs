//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Parser};
use socketio_core::trace::TraceContext;
use socketio_emitter::{EmitterConfig, Mode};

#[cfg(feature = "otlp")]
use crate::traces::TraceArgs;

const EXAMPLES: &str = "\
EXAMPLES:
  An event with two arguments to everybody:
    socketio-emit -u redis://localhost news '\"hello\"' 42

  To the members of two rooms but not those of a third, in the namespace /shop:
    socketio-emit -u redis://localhost -n /shop -r de -r at -x muted sale '{\"price\":20}'

  Plain text needs no quotes for JSON with --text; a file is sent as binary:
    socketio-emit -u amqp://localhost --text chat 'the backup is done'
    socketio-emit -u redis://localhost -r 'user 17' photo '\"cat.png\"' @cat.png

  One event for each line of JSON, from a program that writes them:
    tail -f jobs.jsonl | socketio-emit -u redis://localhost -
    printf '%s\\n' '[\"news\",1]' '{\"event\":\"sale\",\"args\":[20],\"to\":[\"de\"]}' | \\
      socketio-emit -u redis://localhost -

  Ask all clients of a room and print their answers, one line of JSON each:
    socketio-emit -u redis://localhost -r players --ack --timeout 2 'score?'

  How many sockets there are; put some into a room; disconnect them:
    socketio-emit -u redis://localhost -r players --count
    socketio-emit -u redis://localhost -r players --join winners
    socketio-emit -u redis://localhost -r players --disconnect

  To servers of python-socketio or Flask-SocketIO:
    socketio-emit -u redis://localhost --mode python news '\"hello\"'

ARGUMENTS are JSON each. `@FILE` is the contents of a file as binary, `@-` standard input as binary.

LINES of standard input, with `-` as the event, are an array, whose first element names the event, or
an object: {\"event\", \"args\", \"namespace\", \"to\", \"except\", \"volatile\"}. What an object does
not say, the options do. The first line that cannot be sent ends the command; those before are sent.

TRACES: what is sent belongs to the trace that TRACEPARENT and TRACESTATE name in the environment (W3C
Trace Context), or --traceparent, and the servers continue it. With a collector it is a span of its own.

EXIT CODES:
   0  the broker has everything; with --ack and --count, all have answered
   1  clients or nodes did not answer in time; what came was printed
  64  the command line or configuration is wrong
  65  an argument or line cannot be sent: no JSON, a reserved name, too large
  66  a file cannot be read
  69  the broker cannot be reached or refuses; with --ack and --count, no node answers
  73  the file of --metrics cannot be written
  75  the broker did not take everything in time";

/// Emits to the clients of a Socket.IO cluster through its broker.
#[derive(Debug, Parser)]
#[command(name = "socketio-emit", version, after_help = EXAMPLES)]
#[command(group(ArgGroup::new("action").args(["event", "count", "join", "leave", "disconnect"])
    .required(true).multiple(false)))]
pub(crate) struct Args {
    /// Where the broker is: redis://, rediss://, redis+unix://, redis+sentinel://,
    /// redis-cluster://, amqp:// or amqps://.
    #[arg(short, long, env = "SOCKETIO_URL", hide_env_values = true)]
    url: String,

    /// The wire of the servers: pubsub, sharded, sharded-static, sharded-dynamic-private, amqp or
    /// python [default: pubsub on Redis, amqp on RabbitMQ].
    #[arg(short, long, env = "SOCKETIO_MODE")]
    mode: Option<Mode>,

    /// What the channels of Redis begin with [default: socket.io].
    #[arg(long, env = "SOCKETIO_PREFIX")]
    prefix: Option<String>,

    /// The exchange at RabbitMQ [default: socketio-cluster].
    #[arg(long, env = "SOCKETIO_EXCHANGE")]
    exchange: Option<String>,

    /// The channel or exchange of mode python [default: socketio].
    #[arg(long, env = "SOCKETIO_PYTHON_CHANNEL")]
    python_channel: Option<String>,

    /// The nodes use the reliable mode of RabbitMQ.
    #[arg(long)]
    reliable: bool,

    /// The user, if the URL names none.
    #[arg(long, env = "SOCKETIO_USERNAME")]
    username: Option<String>,

    /// The password, if the URL has none; better in the environment than as an option, which others
    /// can see.
    #[arg(long, env = "SOCKETIO_PASSWORD", hide_env_values = true)]
    password: Option<String>,

    /// PEM file of the authority that signed the broker's certificate.
    #[arg(long, value_name = "FILE")]
    tls_authority: Option<PathBuf>,

    /// PEM file of an own certificate.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,

    /// PEM file of the key of the own certificate.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,

    /// The namespace.
    #[arg(short, long, default_value = "/")]
    pub(crate) namespace: String,

    /// Only to members of this room; may be repeated.
    // Ids of sockets, which are rooms too, may begin with a hyphen.
    #[arg(short, long = "room", value_name = "ROOM", allow_hyphen_values = true)]
    pub(crate) rooms: Vec<String>,

    /// Not to members of this room; may be repeated.
    #[arg(short = 'x', long, value_name = "ROOM", allow_hyphen_values = true)]
    pub(crate) except: Vec<String>,

    /// Clients that are not ready may miss the event.
    #[arg(long)]
    pub(crate) volatile: bool,

    /// Do not compress responses to polling clients with it.
    #[arg(long)]
    pub(crate) no_compress: bool,

    /// Send the event to the servers themselves.
    #[arg(long, conflicts_with_all = ["rooms", "except", "volatile"])]
    pub(crate) server_side: bool,

    /// Wait for answers and print each as a line of JSON.
    #[arg(short, long)]
    pub(crate) ack: bool,

    /// Print how many sockets are meant.
    #[arg(long)]
    pub(crate) count: bool,

    /// Make the sockets join this room; may be repeated.
    #[arg(long, value_name = "ROOM", allow_hyphen_values = true)]
    pub(crate) join: Vec<String>,

    /// Make the sockets leave this room; may be repeated.
    #[arg(long, value_name = "ROOM", allow_hyphen_values = true)]
    pub(crate) leave: Vec<String>,

    /// Disconnect the sockets from the namespace.
    #[arg(long)]
    pub(crate) disconnect: bool,

    /// With --disconnect: close their connections, with all their namespaces.
    #[arg(long)]
    pub(crate) close: bool,

    /// How many seconds to wait for answers.
    #[arg(short, long, default_value = "5", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) timeout: Duration,

    /// How many seconds connecting may take.
    #[arg(long, default_value = "5", value_parser = seconds, value_name = "SECONDS")]
    connect_timeout: Duration,

    /// How many seconds to wait at the end for the broker to take everything.
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    flush_timeout: Duration,

    /// The arguments are text, not JSON; `@` has no meaning.
    #[arg(long)]
    pub(crate) text: bool,

    /// At the end, write what was counted in Prometheus' text format into this file, as the textfile
    /// collector of node_exporter reads it; `-` is standard error.
    #[arg(long, value_name = "FILE", env = "SOCKETIO_METRICS")]
    pub(crate) metrics: Option<PathBuf>,

    /// Check everything and print what would be sent, without a broker.
    #[arg(long, conflicts_with = "ack")]
    pub(crate) dry_run: bool,

    /// The trace that it belongs to, as in the HTTP header traceparent [default: TRACEPARENT and
    /// TRACESTATE of the environment].
    #[arg(long, value_name = "CONTEXT")]
    traceparent: Option<TraceContext>,

    #[cfg(feature = "otlp")]
    #[command(flatten)]
    pub(crate) traces: TraceArgs,

    /// The name of the event, or `-` for lines of JSON from standard input.
    pub(crate) event: Option<String>,

    /// The arguments of the event: JSON, or `@FILE` for the bytes of a file.
    #[arg(allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if seconds <= 0.0 {
        return Err("must be more than 0".to_owned());
    }
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

impl Args {
    /// Whether events come as lines from standard input.
    pub(crate) fn reads_lines(&self) -> bool {
        self.event.as_deref() == Some("-")
    }

    /// What does not go together, beyond what `clap` finds.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.event.is_none() && (self.ack || self.server_side || self.dry_run) {
            return Err("--ack, --server-side and --dry-run are for events");
        }
        if self.close && !self.disconnect {
            return Err("--close goes with --disconnect");
        }
        if self.reads_lines() && (self.ack || self.server_side || !self.arguments.is_empty()) {
            return Err("lines of standard input go without arguments, --ack and --server-side");
        }
        Ok(())
    }

    /// The trace that everything belongs to. A malformed one in the environment is as good as none, as
    /// in a header: who set it may know nothing of this command.
    pub(crate) fn trace_context(&self) -> Option<TraceContext> {
        self.traceparent.clone().or_else(|| {
            let parent = std::env::var("TRACEPARENT").ok()?;
            let state = std::env::var("TRACESTATE").ok();
            TraceContext::parse(parent.trim(), state.as_deref()).ok()
        })
    }

    pub(crate) fn config(&self) -> EmitterConfig {
        let mut config = EmitterConfig::new(&self.url)
            .mode(self.mode)
            .reliable(self.reliable)
            .username(self.username.clone())
            .password(self.password.clone())
            .tls_authority(self.tls_authority.clone())
            .tls_certificate(self.tls_certificate.clone())
            .tls_key(self.tls_key.clone())
            .connect_timeout(self.connect_timeout)
            .flush_timeout(self.flush_timeout);
        let names = [
            (&self.prefix, &mut config.prefix),
            (&self.exchange, &mut config.exchange),
            (&self.python_channel, &mut config.python_channel),
        ];
        for (given, name) in names {
            if let Some(given) = given {
                name.clone_from(given);
            }
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Args, clap::Error> {
        let start = ["socketio-emit", "-u", "redis://h"];
        Args::try_parse_from(start.iter().chain(arguments))
    }

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn exactly_one_thing_is_done() {
        assert!(parse(&[]).is_err());
        assert!(parse(&["--count", "news"]).is_err());
        assert!(parse(&["--count", "--disconnect"]).is_err());
        assert!(parse(&["--server-side", "-r", "room", "news"]).is_err());
        for wrong in [
            &["--close", "news"][..],
            &["--ack", "--count"],
            &["--dry-run", "--disconnect"],
            &["--ack", "-"],
            &["-", "1"],
        ] {
            let args = parse(wrong).expect("no question of syntax");
            assert!(args.check().is_err(), "{wrong:?}");
        }
        let args = parse(&["-r", "a", "-r", "b", "news", "1", "-2"]).expect("an event");
        assert_eq!(args.rooms, ["a", "b"]);
        assert_eq!(args.arguments, ["1", "-2"]);
        // The ids of sockets are rooms.
        let args = parse(&["-r", "-Fx", "--except", "-r", "news"]).expect("an event");
        assert_eq!((&*args.rooms[0], &*args.except[0]), ("-Fx", "-r"));
        let args = parse(&["--join", "a", "--join", "b"]).expect("two rooms");
        assert_eq!(args.join, ["a", "b"]);
    }

    #[test]
    fn times_are_seconds() {
        let args = parse(&["--timeout", "0.25", "news"]).expect("a quarter");
        assert_eq!(args.timeout, Duration::from_millis(250));
        for wrong in ["0", "-1", "NaN", "1e300", "soon"] {
            assert!(parse(&["--timeout", wrong, "news"]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_trace_must_be_well_formed() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let args = parse(&["--traceparent", text, "news"]).expect("well-formed");
        let context = args.trace_context().expect("given");
        assert_eq!(context.traceparent().as_str(), text);
        assert!(parse(&["--traceparent", "00-1-1-01", "news"]).is_err());
    }

    #[test]
    fn options_reach_the_configuration() {
        let given = [
            "--mode",
            "sharded",
            "--prefix",
            "p",
            "--python-channel",
            "c",
            "news",
        ];
        let config = parse(&given).expect("options").config();
        assert_eq!(config.mode, Some(Mode::ShardedDynamic));
        assert_eq!(config.prefix, "p");
        assert_eq!(config.python_channel, "c");
        assert_eq!(config.exchange, EmitterConfig::new("").exchange);
    }
}
