//! The figures of a database: `stats`.

use serde::Serialize;
use tenure::store::FileSizes;
use tenure::{EngineError, Statistics};

use crate::failure::{Ending, Failure};
use crate::output::{Ink, count};
use crate::run::Run;

/// The figures as JSON.
#[derive(Serialize)]
struct StatisticsJson<'a> {
    #[serde(flatten)]
    figures: &'a Statistics,
    /// Rounded down; null on an empty log.
    bytes_per_delivery: Option<u64>,
    /// Whether every delivery received is accounted for.
    accounted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sizes: Option<SizesJson>,
}

/// What takes how much room, in bytes.
#[derive(Clone, Copy, Serialize)]
struct SizesJson {
    #[serde(flatten)]
    sizes: FileSizes,
    /// Of the log, for each entry; rounded down, null on an empty log.
    log_per_entry: Option<u64>,
    /// Of the projection, for each window; null without windows.
    projection_per_window: Option<u64>,
}

pub(crate) fn stats(run: &mut Run, with_sizes: bool) -> Result<Ending, Failure> {
    let mut reader = run.reader()?;
    let figures = reader.statistics()?;
    let sizes = if with_sizes {
        let sizes = reader.store().sizes().map_err(EngineError::from)?;
        Some(sizes_json(sizes, &figures))
    } else {
        None
    };
    let sum = [
        figures.applied,
        figures.duplicate,
        figures.ignored,
        figures.quarantined,
    ];
    let sum = sum.into_iter().fold(0, u64::saturating_add);
    let shown = StatisticsJson {
        figures: &figures,
        bytes_per_delivery: figures.bytes.checked_div(figures.received),
        accounted: sum == figures.received,
        sizes,
    };
    if run.json {
        run.out.json(&shown)?;
        return Ok(Ending::Done);
    }
    let rows = rows(&shown);
    let width = rows
        .iter()
        .map(|(_, number, _)| count(*number).len())
        .max()
        .unwrap_or(0);
    for (name, number, what) in rows {
        let line = format!("{name:<14} {:>width$}  {what}", count(number));
        run.out.line(format_args!("{}", line.trim_end()))?;
    }
    let (relation, ink) = if shown.accounted {
        ("=", Ink::Good)
    } else {
        ("is not", Ink::Bad)
    };
    let line = format!(
        "applied + duplicate + ignored + quarantined {relation} received: {} {relation} {}",
        count(sum),
        count(figures.received)
    );
    let line = run.out.ink(ink, &line);
    run.out.line(format_args!("{line}"))?;
    Ok(Ending::Done)
}

/// What is shown: a name, a number, and what it counts.
fn rows(shown: &StatisticsJson<'_>) -> Vec<(&'static str, u64, &'static str)> {
    let figures = shown.figures;
    let mut rows = vec![
        ("received", figures.received, "deliveries"),
        ("  applied", figures.applied, ""),
        ("  duplicate", figures.duplicate, ""),
        ("  ignored", figures.ignored, ""),
        ("  quarantined", figures.quarantined, ""),
        ("parked", figures.parked, "of the quarantined ones are open"),
        ("entries", figures.entries, "of the log"),
        ("events", figures.events, ""),
        ("grants", figures.grants, ""),
        ("windows", figures.windows, ""),
        ("anomalies", figures.anomalies, ""),
        ("bytes", figures.bytes, "on disk"),
        (
            "  a delivery",
            shown.bytes_per_delivery.unwrap_or(0),
            "bytes",
        ),
    ];
    if let Some(sizes) = shown.sizes {
        rows.extend([
            ("  log", sizes.sizes.log, "and its indexes"),
            ("    an entry", sizes.log_per_entry.unwrap_or(0), "bytes"),
            ("  projection", sizes.sizes.projection, "and its indexes"),
            (
                "    a window",
                sizes.projection_per_window.unwrap_or(0),
                "bytes",
            ),
            ("  bookkeeping", sizes.sizes.bookkeeping, ""),
            ("  free", sizes.sizes.free, "for the next writes"),
        ]);
    }
    rows
}

fn sizes_json(sizes: FileSizes, figures: &Statistics) -> SizesJson {
    SizesJson {
        log_per_entry: sizes.log.checked_div(figures.entries),
        projection_per_window: sizes.projection.checked_div(figures.windows),
        sizes,
    }
}
