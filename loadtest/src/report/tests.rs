use super::*;
use crate::audit::AuditTotals;
use crate::measure::{Counters, Hists, Measure, Second, Stage};
use crate::outcome::{FaultOutcome, Tally};
use crate::plan::Plan;

fn second(at: i64, stage: Stage, micros: u64) -> Second {
    let mut hists = Hists::new();
    for number in 0..1000 {
        hists
            .entry(Measure::Delivery)
            .or_default()
            .record(micros + number);
        hists
            .entry(Measure::Ack)
            .or_default()
            .record(micros / 2 + number);
    }
    Second {
        at: at * 1_000_000,
        length: 1_000_000,
        stage,
        clients: 10,
        connecting: 0,
        counters: Counters {
            sent: 100,
            delivered: 1000,
            acked: 100,
            ..Counters::default()
        },
        audit: AuditTotals {
            lost: 3,
            ..AuditTotals::default()
        },
        hists,
        cpu: 0.95,
        waited: 0.0,
        rss: 1e7,
    }
}

fn outcome(toml: &str) -> Outcome {
    let text = format!("scenario = \"fanout\"\ntarget = [\"http://<h>\"]\n{toml}");
    let settings: Settings = toml::from_str(&text).expect("valid");
    let mut tally = Tally::new(2);
    for process in 0..2 {
        tally.add(process, &second(0, Stage::Warmup, 90_000));
        tally.add(process, &second(1, Stage::Measure, 1_000));
        tally.add(process, &second(2, Stage::Measure, 2_000));
    }
    let mut outcome = tally.outcome(&settings);
    outcome.seconds = tally.points();
    outcome.judge();
    outcome
}

#[test]
fn processes_are_merged_and_the_warm_up_left_out() {
    let outcome = outcome("");
    assert_eq!(
        (outcome.counters.sent, outcome.counters.delivered),
        (400, 4000)
    );
    assert!((outcome.rates.delivered - 2000.0).abs() < 1e-6);
    assert_eq!((outcome.clients, outcome.audit.lost), (20, 6));
    let latency = &outcome.latency[&Measure::Delivery];
    assert_eq!(latency.count, 4000);
    assert!(latency.max < 3_100, "{}", latency.max);
    assert_eq!(outcome.seconds.len(), 3);
    // Both processes are near a whole core.
    assert!(table(&outcome).contains("THE LOAD TESTER WAS ITSELF THE BOTTLENECK"));
}

#[test]
fn thresholds_decide() {
    let toml = "threshold = [\"delivery.p99<10ms\", \"lost==0\", \"upgrade.p50<1s\"]";
    let mut outcome = outcome(toml);
    let plan = Plan::new(&Settings {
        target: vec!["http://h".to_owned()],
        ..outcome.settings.clone()
    });
    outcome.compare(&plan.expect("valid").thresholds);
    let holds: Vec<bool> = outcome
        .thresholds
        .iter()
        .map(|threshold| threshold.holds)
        .collect();
    // What was not measured meets nothing.
    assert_eq!(holds, [true, false, false]);
    assert!(!outcome.passes());
    assert!(table(&outcome).contains("BREACHED lost==0 (it is 6)"));
}

#[test]
fn a_result_is_read_as_it_was_written() {
    let before = outcome("");
    let json = serde_json::to_string(&before).expect("JSON");
    let mut after: Outcome = serde_json::from_str(&json).expect("a result");
    assert_eq!(json, serde_json::to_string(&after).expect("JSON"));
    after.rates.delivered *= 2.0;
    let shown = comparison(&before, &after);
    let line = shown
        .lines()
        .find(|line| line.contains("delivered/s"))
        .expect("a line");
    assert!(line.ends_with("×2.00"), "{line}");
}

#[test]
fn the_page_is_whole_and_holds_no_foreign_markup() {
    let mut outcome = outcome("");
    outcome.faults.push(FaultOutcome {
        command: "</svg><script>".to_owned(),
        at: 1.5,
        status: "exit status: 0".to_owned(),
    });
    let page = html(&outcome);
    // Seven charts have something to show, each for wide and for narrow screens.
    assert_eq!(page.matches("<svg").count(), 2 * 7);
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert!(!page.contains("<script>") && !page.contains("http://<h>"));
    // Nothing is fetched.
    assert!(!page.contains("src=") && !page.contains("<link") && !page.contains("url("));
    assert!(page.contains("prefers-color-scheme:dark"));
}

#[test]
fn histograms_are_written_as_plotters_read_them() {
    let outcome = outcome("");
    let text = hgrm(
        outcome.latency[&Measure::Delivery]
            .histogram
            .histogram()
            .expect("some"),
    );
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("Percentile"));
    let last = lines
        .iter()
        .rev()
        .find(|line| !line.starts_with('#'))
        .expect("a row");
    let columns: Vec<&str> = last.split_whitespace().collect();
    assert_eq!(
        (columns[1].parse(), columns[2].parse()),
        (Ok(1.0), Ok(4000))
    );
    assert!(text.contains("#[Max"));
}

#[test]
fn files_are_whole_or_not_there() {
    let folder = std::env::temp_dir().join(format!("loadtest-report-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let settings = Settings {
        json: Some(folder.join("a.json")),
        html: Some(folder.join("a.html")),
        hgrm: Some(folder.join("a")),
        ..Settings::default()
    };
    let outputs = Outputs::check(&settings).expect("writable");
    assert_eq!(std::fs::read_dir(&folder).expect("listed").count(), 0);
    outputs.write(&outcome("")).expect("written");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .expect("listed")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    assert_eq!(names, ["a-ack.hgrm", "a-delivery.hgrm", "a.html", "a.json"]);
    std::fs::remove_dir_all(&folder).expect("removed");
    let failure = Outputs::check(&settings).expect_err("the folder is gone");
    assert_eq!(failure.code, Code::CannotCreate);
    assert!(failure.to_string().contains("a.json"));
}

#[test]
fn a_long_run_keeps_its_seconds_short_and_its_page_small() {
    let text = "scenario = \"fanout\"\ntarget = [\"http://h\"]";
    let settings: Settings = toml::from_str(text).expect("valid");
    let mut tally = Tally::new(2);
    for at in 0..2000 {
        for process in 0..2 {
            let mut second = second(at, Stage::Measure, 1_000);
            // Only a few matter here, and they take long to make.
            if at % 100 != 0 {
                second.hists.clear();
            }
            tally.add(process, &second);
        }
    }
    let mut outcome = tally.outcome(&settings);
    outcome.seconds = tally.points();
    assert_eq!(outcome.seconds.len(), 2000);
    assert_eq!(outcome.seconds[1900].counters.sent, 200);
    assert_eq!(
        outcome.seconds[1900].latency[&Measure::Delivery].count,
        2000
    );
    let page = html(&outcome);
    assert!(page.contains("each point is of 5 s"));
    assert!(page.len() < 600_000, "{}", page.len());
}

#[test]
fn an_empty_run_is_told_as_such() {
    let outcome = Outcome::default();
    let page = html(&outcome);
    assert!(page.contains("Nothing was measured") && !page.contains("<svg"));
    assert!(page.ends_with("</html>\n"), "{page}");
    assert!(table(&outcome).contains("0 clients"));
}
