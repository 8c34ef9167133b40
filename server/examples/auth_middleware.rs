//! Who may come in, and who may do what: a middleware of the namespace, one of the socket, a
//! namespace for admins, and one for each team.
//!
//! `cargo run -p socketio-server --example auth_middleware`, then connect with
//! `io("http://localhost:3000", { auth: { token: "ada-token" } })`.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use socketio_server::extract::{Auth, EventName, Extension, State};
use socketio_server::{ConnectError, EventError, Listener, Reply, Server, Socket};

#[derive(Clone)]
struct User {
    name: String,
    admin: bool,
    team: String,
}

/// Where tokens are looked up. A real one would be a database.
type Users = Arc<HashMap<String, User>>;

#[derive(Deserialize)]
struct Login {
    token: String,
}

/// Refuses whoever has no valid token. The client's `connect_error` gets message and data.
async fn authenticate(
    socket: Socket,
    login: Option<Auth<Login>>,
    State(users): State<Users>,
) -> Result<(), ConnectError> {
    let Some(Auth(login)) = login else {
        return Err(ConnectError::new("a token is required"));
    };
    match users.get(&login.token) {
        Some(user) => {
            socket.extensions().insert(user.clone());
            Ok(())
        }
        None => Err(refusal("unknown token", "TOKEN")),
    }
}

fn refusal(message: &str, code: &str) -> ConnectError {
    let error = ConnectError::new(message);
    let data = HashMap::from([("code", code)]);
    error.clone().with_data(&data).unwrap_or(error)
}

/// Runs after `authenticate`, so the user is known.
async fn admins_only(Extension(user): Extension<User>) -> Result<(), ConnectError> {
    if user.admin {
        Ok(())
    } else {
        Err(refusal("admins only", "ROLE"))
    }
}

/// The namespace says which team it is for.
async fn own_team_only(socket: Socket, Extension(user): Extension<User>) -> Result<(), String> {
    let team = socket.namespace().name().trim_start_matches("/team-");
    if team == user.team {
        Ok(())
    } else {
        Err(format!("{} is not in team {team}", user.name))
    }
}

/// Sees each event before its handler does.
async fn no_secrets(
    EventName(name): EventName,
    Extension(user): Extension<User>,
) -> Result<(), EventError> {
    if name.starts_with("secret") && !user.admin {
        return Err(EventError::new(format!("{name} is not for {}", user.name)));
    }
    Ok(())
}

async fn connected(socket: Socket, Extension(user): Extension<User>) {
    socket.use_middleware(no_secrets);
    socket.on_error(async |socket: Socket, error: EventError| {
        let _ = socket.emit("refused", error.to_string());
    });
    socket.on("whoami", async |Extension(user): Extension<User>| {
        Reply(user.name)
    });
    socket.on("secret", async || Reply(42));
    let _ = socket.emit("welcome", user.name);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let user = |name: &str, admin: bool, team: &str| User {
        name: name.to_owned(),
        admin,
        team: team.to_owned(),
    };
    let users: Users = Arc::new(HashMap::from([
        ("ada-token".to_owned(), user("Ada", true, "engines")),
        ("bob-token".to_owned(), user("Bob", false, "looms")),
    ]));
    let io = Server::builder().state(users).build();
    io.use_middleware(authenticate);
    io.on_connect(connected);

    let admin = io.of("/admin");
    admin.use_middleware(authenticate);
    admin.use_middleware(admins_only);

    let teams = io.of_pattern("^/team-[a-z]+$")?;
    teams.use_middleware(authenticate);
    teams.use_middleware(own_team_only);
    teams.on_connect(async |socket: Socket, Extension(user): Extension<User>| {
        let _ = socket.broadcast().emit("joined", user.name);
    });

    let listener = Listener::bind("127.0.0.1:3000").await?;
    listener.serve(io.service()).await;
    Ok(())
}
