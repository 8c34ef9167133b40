//! Questions and answers in all directions.
//!
//! `cargo run -p socketio-server --example acks`, then from a client:
//! `socket.emit("divide", 1, 4, console.log)`, `socket.on("name?", (done) => done("ada"))`, and
//! `socket.emit("poll", "tea or coffee?", console.log)`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use serde::Serialize;
use socketio_server::extract::{Ack, Data};
use socketio_server::{AckError, Listener, Reply, Server, Socket};

/// Answered by what the handler returns. A tuple is several arguments of the client's callback, here
/// as (error, result).
async fn divide(Data((a, b)): Data<(f64, f64)>) -> Reply<(Option<&'static str>, f64)> {
    if b == 0.0 {
        return Reply((Some("division by zero"), 0.0));
    }
    Reply((None, a / b))
}

/// Answered before the handler ends.
async fn work(ack: Ack, Data(seconds): Data<u64>) {
    let _ = ack.send("begun");
    tokio::time::sleep(Duration::from_secs(seconds.min(10))).await;
    println!("done");
}

#[derive(Serialize)]
struct Outcome {
    answers: Vec<String>,
    silent: usize,
}

/// Asks everybody else, and waits at most two seconds for the slowest.
async fn poll(
    socket: Socket,
    Data(question): Data<String>,
) -> Result<Reply<Outcome>, socketio_server::EmitError> {
    let others = socket.broadcast().timeout(Duration::from_secs(2));
    let mut acks = others.emit_with_ack::<_, String>("question", question)?;
    let mut answers = Vec::new();
    // One after the other, as they come. `acks.collect()` waits for all.
    while let Some(response) = acks.next().await {
        answers.extend(response.data);
    }
    let silent = acks.missing().len();
    Ok(Reply(Outcome { answers, silent }))
}

async fn connected(socket: Socket) {
    let question = socket
        .timeout(Duration::from_secs(5))
        .emit_with_ack("name?", ());
    let name: Result<String, AckError> = question.await;
    match name {
        Ok(name) => println!("{} is {name}", socket.id()),
        Err(AckError::Disconnected) => println!("{} went away", socket.id()),
        Err(error) => println!("{} did not say its name: {error}", socket.id()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let io = Server::builder().build();
    io.on("divide", divide);
    io.on("work", work);
    io.on("poll", poll);
    io.on_connect(connected);
    let listener = Listener::bind("127.0.0.1:3000").await?;
    listener.serve(io.service()).await;
    Ok(())
}
