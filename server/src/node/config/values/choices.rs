//! Settings that are one of a few names.

use toml::Value;

use super::Setting;

/// Implements [`Setting`] for an enum whose variants have fixed names.
macro_rules! choice {
    ($type:ty { $($name:literal => $variant:path),+ $(,)? }) => {
        impl Setting for $type {
            const PLACEHOLDER: &'static str = choice!(@placeholder $($name)+);

            fn from_text(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok($variant),)+
                    _ => Err(format!("expected one of {}", [$($name),+].join(", "))),
                }
            }

            fn to_toml(&self) -> Option<Value> {
                let name = match self {
                    $($variant => $name,)+
                };
                Some(Value::String(name.to_owned()))
            }
        }
    };
    (@placeholder $first:literal $($rest:literal)*) => {
        concat!($first, $("|", $rest),*)
    };
}

/// What connects nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdapterKind {
    Amqp,
    Memory,
    Redis,
}

/// How much is spoken of the dialect of python-socketio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PythonMode {
    Listen,
    Member,
    Off,
}

/// The wires of Node's Redis adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedisMode {
    Pubsub,
    ShardedDynamic,
    ShardedDynamicPrivate,
    ShardedStatic,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Json,
    Pretty,
}

/// How requests to a collector are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtlpCompression {
    Gzip,
    None,
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtlpProtocol {
    Grpc,
    HttpProtobuf,
}

/// Packet format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parser {
    Json,
    MessagePack,
}

/// SameSite attribute of the session cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SameSite {
    Lax,
    None,
    Strict,
}

/// An enabled transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Polling,
    WebSocket,
}

choice!(AdapterKind { "memory" => Self::Memory, "redis" => Self::Redis, "amqp" => Self::Amqp });
choice!(PythonMode { "off" => Self::Off, "listen" => Self::Listen, "member" => Self::Member });
choice!(RedisMode {
    "pubsub" => Self::Pubsub,
    "sharded-dynamic" => Self::ShardedDynamic,
    "sharded-dynamic-private" => Self::ShardedDynamicPrivate,
    "sharded-static" => Self::ShardedStatic,
});
choice!(OtlpCompression { "none" => Self::None, "gzip" => Self::Gzip });
choice!(OtlpProtocol { "http/protobuf" => Self::HttpProtobuf, "grpc" => Self::Grpc });
choice!(Parser { "json" => Self::Json, "msgpack" => Self::MessagePack });
choice!(SameSite { "lax" => Self::Lax, "strict" => Self::Strict, "none" => Self::None });
choice!(Transport { "polling" => Self::Polling, "websocket" => Self::WebSocket });
choice!(LogFormat { "pretty" => Self::Pretty, "json" => Self::Json });
