//! What a figure depends on beside the code.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant as Clock;

use tenure::rusqlite;

/// Names and values, as far as the machine tells them.
pub(crate) fn facts(folder: &Path) -> Vec<(&'static str, String)> {
    let unknown = || "not told".to_owned();
    let of = |found: Option<String>| found.unwrap_or_else(unknown);
    let cores = std::thread::available_parallelism();
    vec![
        ("processor", of(line_of("/proc/cpuinfo", "model name"))),
        ("cores", of(cores.ok().map(|cores| cores.to_string()))),
        ("memory", of(memory())),
        ("kernel", of(kernel())),
        ("page size", of(page_size())),
        ("file system", of(file_system(folder))),
        ("SQLite", rusqlite::version().to_owned()),
        ("compiler", of(said_by("rustc", &["--version"]))),
        ("commit", of(commit())),
        ("load at the end", of(load())),
        ("one look at the clock", format!("{:.0} ns", clock())),
    ]
}

fn line_of(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory() -> Option<String> {
    let kilobytes = line_of("/proc/meminfo", "MemTotal")?;
    let kilobytes: f64 = kilobytes.strip_suffix(" kB")?.trim().parse().ok()?;
    Some(format!("{:.0} GiB", kilobytes / 1_048_576.0))
}

fn kernel() -> Option<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let number = release.trim().split('-').next()?;
    Some(format!("{} {number}", std::env::consts::OS))
}

fn page_size() -> Option<String> {
    let bytes = said_by("getconf", &["PAGESIZE"])?;
    let huge = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok();
    let huge = huge.as_deref().and_then(|text| {
        let text = text.split_once('[')?.1;
        Some(text.split_once(']')?.0)
    });
    let huge = huge.unwrap_or("unknown");
    Some(format!("{bytes} bytes, transparent huge pages: {huge}"))
}

/// That of the longest mount point the folder lies below.
fn file_system(folder: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        folder.starts_with(point).then_some((point.len(), kind))
    });
    mounts.max().map(|(_, kind)| kind.to_owned())
}

fn commit() -> Option<String> {
    let hash = said_by("git", &["rev-parse", "--short", "HEAD"])?;
    let altered = said_by(
        "git",
        &["status", "--porcelain", "src", "benches", "Cargo.lock"],
    )?;
    let altered = if altered.is_empty() {
        ""
    } else {
        ", with changes"
    };
    Some(format!("{hash}{altered}"))
}

/// How many processes wanted to run in the last fifteen minutes: more than there are cores, and figures spread.
fn load() -> Option<String> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').nth(2).map(str::to_owned)
}

fn said_by(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Nanoseconds; they are part of every call that is timed by itself.
fn clock() -> f64 {
    let begin = Clock::now();
    for _ in 0..100_000 {
        black_box(Clock::now());
    }
    begin.elapsed().as_nanos() as f64 / 100_000.0
}
