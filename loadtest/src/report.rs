//! What a run is shown as: the table at the end, files, and two results side by side.

mod chart;
mod charts;
mod compare;
mod html;
mod table;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;

use crate::exit::{Code, Failure};
use crate::outcome::Outcome;
use crate::settings::Settings;

pub use compare::comparison;
pub use html::html;
pub use table::table;

/// The files that are to be written.
#[derive(Debug, Clone, Default)]
pub struct Outputs {
    json: Option<PathBuf>,
    html: Option<PathBuf>,
    hgrm: Option<PathBuf>,
}

impl Outputs {
    /// Checks, before anything is sent, that all files can be written.
    ///
    /// # Errors
    ///
    /// With the first that cannot.
    pub fn check(settings: &Settings) -> Result<Self, Failure> {
        let outputs = Self {
            json: settings.json.clone(),
            html: settings.html.clone(),
            hgrm: settings.hgrm.clone(),
        };
        if let (Some(json), Some(html)) = (&outputs.json, &outputs.html)
            && place(json) == place(html)
            && !is_special(json)
        {
            return Err(Failure::usage("--json and --html name the same file"));
        }
        let files = [&outputs.json, &outputs.html, &outputs.hgrm];
        for file in files.into_iter().flatten() {
            if is_special(file) {
                let opened = std::fs::OpenOptions::new().write(true).open(file);
                opened.map_err(|error| cannot(file, &error))?;
                continue;
            }
            let part = part(file);
            std::fs::File::create(&part).map_err(|error| cannot(file, &error))?;
            std::fs::remove_file(&part).map_err(|error| cannot(file, &error))?;
            if file.is_dir() {
                return Err(cannot(file, &"it is a folder"));
            }
        }
        Ok(outputs)
    }

    /// Writes them; each is there as a whole or not at all.
    ///
    /// # Errors
    ///
    /// With the first that cannot be written.
    pub fn write(&self, outcome: &Outcome) -> Result<(), Failure> {
        if let Some(file) = &self.json {
            let mut json =
                serde_json::to_vec_pretty(outcome).map_err(|error| cannot(file, &error))?;
            json.push(b'\n');
            write(file, &json)?;
        }
        if let Some(file) = &self.html {
            write(file, html(outcome).as_bytes())?;
        }
        if let Some(file) = &self.hgrm {
            for (measure, latency) in &outcome.latency {
                if let Some(histogram) = latency.histogram.histogram() {
                    let mut name = file.file_name().unwrap_or_default().to_owned();
                    name.push(format!("-{}.hgrm", measure.name()));
                    write(&file.with_file_name(name), hgrm(histogram).as_bytes())?;
                }
            }
        }
        Ok(())
    }
}

/// The name of the scenario.
fn scenario(outcome: &Outcome) -> String {
    let scenario = outcome.settings.scenario;
    let name = scenario.and_then(|scenario| clap::ValueEnum::to_possible_value(&scenario));
    name.map_or_else(|| "load test".to_owned(), |name| name.get_name().to_owned())
}

/// Causes of errors, the most frequent first.
fn by_count(errors: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let errors = errors.iter();
    let mut all: Vec<(&str, u64)> = errors
        .map(|(cause, count)| (cause.as_str(), *count))
        .collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    all
}

fn cannot(file: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Code::CannotCreate, format!("{}: {error}", file.display()))
}

/// Where a file is, however it is written.
fn place(file: &Path) -> PathBuf {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = std::fs::canonicalize(folder.unwrap_or_else(|| Path::new(".")));
    folder.map_or_else(
        |_| file.to_owned(),
        |folder| folder.join(file.file_name().unwrap_or_default()),
    )
}

/// Beside the file, so that it can be renamed; with our process id, so that it is nobody else's.
fn part(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    file.with_file_name(name)
}

/// Whether it is there and no file, as `/dev/stdout`: what is written to, and must not be replaced.
fn is_special(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|known| !known.is_file() && !known.is_dir())
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if is_special(file) {
        let opened = std::fs::OpenOptions::new().write(true).open(file);
        let written = opened.and_then(|mut open| open.write_all(bytes));
        return written.map_err(|error| cannot(file, &error));
    }
    let part = part(file);
    let written = std::fs::File::create(&part).and_then(|mut open| {
        open.write_all(bytes)?;
        open.sync_all()
    });
    let moved = written.and_then(|()| std::fs::rename(&part, file));
    moved.map_err(|error| {
        let _ = std::fs::remove_file(&part);
        cannot(file, &error)
    })
}

/// The text that plotters of HDR histograms read; values in milliseconds.
#[must_use]
pub fn hgrm(histogram: &Histogram<u64>) -> String {
    let mut out = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut total = 0;
    for step in histogram.iter_quantiles(5) {
        total += step.count_since_last_iteration();
        let (value, share) = (
            step.value_iterated_to() as f64 / 1000.0,
            step.quantile_iterated_to(),
        );
        if share < 1.0 {
            out.push_str(&format!(
                "{value:12.3} {share:2.12} {total:10} {:14.2}\n",
                1.0 / (1.0 - share)
            ));
        } else {
            out.push_str(&format!("{value:12.3} {share:2.12} {total:10}\n"));
        }
    }
    let ms = |value: f64| value / 1000.0;
    out.push_str(&format!(
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]\n#[Max     = {:12.3}, Total count    = {:12}]\n\
         #[Buckets = {:12}, SubBuckets     = {:12}]\n",
        ms(histogram.mean()),
        ms(histogram.stdev()),
        ms(histogram.max() as f64),
        histogram.len(),
        histogram.buckets(),
        2048,
    ));
    out
}

#[cfg(test)]
mod tests;
