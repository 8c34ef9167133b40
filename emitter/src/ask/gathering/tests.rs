use std::time::Duration;

use socketio_core::payload::Payload;

use super::*;

fn timed() -> Timed {
    Timed {
        counters: Arc::default(),
        kind: crate::metrics::Kind::EmitWithAck,
        since: tokio::time::Instant::now().into_std(),
    }
}

struct Cluster {
    waiting: Arc<Waiting>,
    roll: RequestId,
    request: RequestId,
}

impl Cluster {
    /// A question that `ours` nodes hear, one for acknowledgements.
    fn ask(ours: Option<usize>, foreign: usize) -> (Self, Source, Question) {
        let waiting = Arc::new(Waiting::new(10, Arc::default()));
        let [roll, request] = [RequestId::from("roll"), RequestId::from("request")];
        let source = waiting.open([&roll, &request]);
        let now = tokio::time::Instant::now().into_std();
        let question = Question {
            roll: roll.clone(),
            request: request.clone(),
            namespace: "/".to_owned(),
            kind: RequestKind::Broadcast,
            ours,
            foreign,
            deadline: now + Duration::from_secs(5),
            roll_deadline: now + Duration::from_secs(1),
            span: Span::none(),
        };
        let cluster = Self {
            waiting,
            roll,
            request,
        };
        (cluster, source, question)
    }

    fn answer(&self, node: Option<&str>, request: &RequestId, body: ResponseBody) {
        self.waiting.deliver(ClusterResponse {
            node: node.map(NodeId::from),
            namespace: "/".into(),
            request: request.clone(),
            body,
        });
    }

    fn present(&self, node: &str, nodes: &[&str]) {
        let nodes = nodes.iter().map(|&node| node.into()).collect();
        self.answer(Some(node), &self.roll, ResponseBody::Nodes(nodes));
    }

    fn recipients(&self, node: Option<&str>, sockets: &[&str]) {
        let body = ResponseBody::Recipients {
            count: sockets.len() as u64,
            sockets: sockets.iter().map(|&socket| socket.into()).collect(),
        };
        self.answer(node, &self.request, body);
    }

    fn ack(&self, node: Option<&str>, socket: &str) {
        let body = ResponseBody::Ack {
            socket: Some(socket.into()),
            payload: Payload::empty(),
        };
        self.answer(node, &self.request, body);
    }
}

async fn acks(gathering: &mut Gathering) -> Vec<String> {
    let mut acks = Vec::new();
    while let Some(response) = gathering.next().await {
        if let ResponseBody::Ack { socket, .. } = response.body {
            acks.push(socket.map(|socket| socket.to_string()).unwrap_or_default());
        }
    }
    acks
}

#[tokio::test(start_paused = true)]
async fn the_answers_are_complete_when_all_nodes_and_clients_have_answered() {
    let (cluster, source, question) = Cluster::ask(None, 0);
    let begun = tokio::time::Instant::now();
    // The answers of one node overtake the roll of another.
    cluster.present("a", &["a", "b"]);
    cluster.recipients(Some("a"), &["s1", "s2"]);
    cluster.ack(Some("a"), "s1");
    cluster.present("b", &["a", "b"]);
    cluster.recipients(Some("b"), &[]);
    cluster.ack(Some("a"), "s2");
    let mut gathering = Gathering::begin(source, question, timed())
        .await
        .expect("two nodes");
    assert_eq!(acks(&mut gathering).await, ["s1", "s2"]);
    assert!(gathering.missing().is_empty());
    assert_eq!(gathering.nodes(), ["a", "b"]);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_named() {
    let (cluster, source, question) = Cluster::ask(None, 0);
    let begun = tokio::time::Instant::now();
    cluster.present("a", &["a", "dead"]);
    cluster.recipients(Some("a"), &["s1", "s2"]);
    cluster.ack(Some("a"), "s1");
    let mut gathering = Gathering::begin(source, question, timed())
        .await
        .expect("a node");
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    assert_eq!(acks(&mut gathering).await, ["s1"]);
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    let missing = gathering.missing();
    assert!(missing.nodes.contains(&"dead".into()), "{missing:?}");
    assert_eq!(missing.sockets, ["s2"]);
}

#[tokio::test(start_paused = true)]
async fn members_without_names_are_counted() {
    let (cluster, source, question) = Cluster::ask(Some(0), 2);
    cluster.recipients(None, &["x"; 1]);
    let mut gathering = Gathering::begin(source, question, timed())
        .await
        .expect("two others");
    assert_eq!(acks(&mut gathering).await, Vec::<String>::new());
    assert_eq!(gathering.missing().unnamed_nodes, 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_an_error() {
    let (cluster, source, question) = Cluster::ask(None, 0);
    let error = Gathering::begin(source, question, timed()).await;
    assert!(matches!(error, Err(AskError::NoNode)));
    assert_eq!(cluster.waiting.len(), 0, "who asked has gone");
}

#[tokio::test(start_paused = true)]
async fn too_many_answers_are_dropped_and_missing() {
    let (cluster, source, question) = Cluster::ask(Some(1), 0);
    cluster.present("a", &["a"]);
    let sockets: Vec<String> = (0..20).map(|number| format!("s{number}")).collect();
    let sockets: Vec<&str> = sockets.iter().map(String::as_str).collect();
    cluster.recipients(Some("a"), &sockets);
    for socket in &sockets {
        cluster.ack(Some("a"), socket);
    }
    let mut gathering = Gathering::begin(source, question, timed())
        .await
        .expect("a node");
    assert_eq!(acks(&mut gathering).await.len(), 8);
    assert_eq!(gathering.missing().sockets.len(), 12);
}
