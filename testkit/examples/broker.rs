//! Runs a broker until its standard input ends, for scripts: `broker redis` or `broker rabbitmq`. Prints the URL.

use std::io::{self, Read as _, Write as _};

use socketio_testkit::{RabbitMq, Redis};

fn main() -> io::Result<()> {
    let kind = std::env::args().nth(1).unwrap_or_default();
    let redis = (kind == "redis").then(Redis::start);
    let rabbit = (kind == "rabbitmq").then(RabbitMq::start);
    let url = redis.as_ref().map(Redis::url);
    let url = url.or_else(|| rabbit.as_ref().map(RabbitMq::url));
    let unknown = || io::Error::new(io::ErrorKind::InvalidInput, "expected redis or rabbitmq");
    writeln!(io::stdout(), "{}", url.ok_or_else(unknown)?)?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
