//! Workers in processes of their own. Leader and worker speak lines of JSON over the worker's
//! standard input and output.

use std::process::Stdio;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::QUEUE;
use crate::exit::Failure;
use crate::plan::{Plan, Share};
use crate::settings::Settings;
use crate::worker::{Order, Report, work};

/// The flag that makes the program a worker. It is not for people.
pub const WORKER_FLAG: &str = "--worker-of-a-run";

/// The first line to a worker.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    settings: Settings,
    share: Share,
}

/// Starts a worker. It ends with the leader: with its tasks, or when its input does.
pub(super) fn start(
    settings: &Settings,
    share: Share,
    mut orders: mpsc::Receiver<Order>,
    reports: mpsc::Sender<(usize, Report)>,
) -> Result<(), Failure> {
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::system(format!("no process can be started: {error}"))
    };
    let program = std::env::current_exe().map_err(|error| cannot(&error))?;
    let mut command = Command::new(program);
    command
        .arg(WORKER_FLAG)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    // An interrupt from the terminal is for the leader, which then tells its workers.
    command.process_group(0);
    let mut child = command.spawn().map_err(|error| cannot(&error))?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(cannot(&"no pipes"));
    };
    let task = Task {
        settings: settings.clone(),
        share,
    };
    let task = serde_json::to_string(&task).map_err(|error| cannot(&error))?;
    tokio::task::spawn_local(async move {
        if input
            .write_all(format!("{task}\n").as_bytes())
            .await
            .is_err()
        {
            return;
        }
        while let Some(order) = orders.recv().await {
            let Ok(line) = serde_json::to_string(&order) else {
                return;
            };
            if input
                .write_all(format!("{line}\n").as_bytes())
                .await
                .is_err()
            {
                return;
            }
        }
    });
    let from = share.index as usize;
    tokio::task::spawn_local(async move {
        let mut lines = BufReader::new(output).lines();
        let mut done = false;
        while let Ok(Some(line)) = lines.next_line().await {
            let report = serde_json::from_str(&line).unwrap_or_else(|error| {
                Report::Failed(Failure::internal(format!(
                    "a worker wrote nonsense: {error}"
                )))
            });
            done |= matches!(report, Report::Done(_) | Report::Failed(_));
            if reports.send((from, report)).await.is_err() {
                return;
            }
        }
        // With the task ends the process, if it has not.
        let ended = ended(&mut child).await;
        if !done {
            let failure = format!(
                "process {} of {} of the load tester {ended}, so there is no result",
                from + 1,
                share.count
            );
            let failure = Failure::internal(failure);
            let _ = reports.send((from, Report::Failed(failure))).await;
        }
    });
    Ok(())
}

/// How a process ended, in words.
async fn ended(child: &mut Child) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match child.wait().await {
        Ok(status) => match (status.signal(), status.code()) {
            (Some(9), _) => "was killed (signal 9; by the system, if memory is short)".to_owned(),
            (Some(signal), _) => format!("was ended by signal {signal}"),
            (None, Some(code)) => format!("ended with code {code}"),
            (None, None) => "ended".to_owned(),
        },
        Err(error) => format!("is lost: {error}"),
    }
}

/// Serves as a worker: reads orders from the standard input and writes reports to the standard output,
/// failures included.
pub async fn serve() {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (orders, order_inbox) = mpsc::channel(QUEUE);
    let (reports, mut report_inbox) = mpsc::channel::<Report>(QUEUE);
    let write = async move {
        let mut output = tokio::io::stdout();
        while let Some(report) = report_inbox.recv().await {
            let Ok(line) = serde_json::to_string(&report) else {
                return;
            };
            if output
                .write_all(format!("{line}\n").as_bytes())
                .await
                .is_err()
                || output.flush().await.is_err()
            {
                return;
            }
        }
    };
    let lead = async move {
        let task: Option<Task> = match lines.next_line().await {
            Ok(Some(line)) => serde_json::from_str(&line).ok(),
            _ => None,
        };
        let Some(task) = task else { return };
        let read = async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(order) = serde_json::from_str(&line) else {
                    return;
                };
                if orders.send(order).await.is_err() {
                    return;
                }
            }
            // The leader is gone: so are the orders, and with them the worker.
            drop(orders);
        };
        tokio::task::spawn_local(read);
        if let Err(failure) = begin(&task, order_inbox, reports.clone()).await {
            let _ = reports.send(Report::Failed(failure)).await;
        }
    };
    tokio::join!(lead, write);
}

async fn begin(
    task: &Task,
    orders: mpsc::Receiver<Order>,
    reports: mpsc::Sender<Report>,
) -> Result<(), Failure> {
    let plan = Plan::new(&task.settings).map_err(Failure::usage)?;
    let connector = super::connector(&plan).await?;
    work(Arc::new(plan), task.share, connector, orders, reports).await
}
