//! `timeline`: what a person's grants gave over time and what happened to them, as a picture.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tenure::{Instant, Timeline, UserId};

use crate::failure::{Ending, Failure};
use crate::output::safe;
use crate::run::{Run, as_of, id, now, time};

mod calendar;
mod glyphs;
mod label;
mod picture;
mod range;
mod said;
mod style;
mod svg;
mod text;

use glyphs::Glyphs;
use picture::{Mark, Picture};
use range::Range;

const HELP: &str = "\
A lane for each grant that names the user or a linked id: what it gives when, and below it numbers where something \
happened, which is written out under the picture. A line through all lanes marks now; with --as-of it marks K, and what \
lies after it is what was then expected.

The picture shows all that happened. --from and --to show a part of it, or more. An arrow at the end of a lane says \
that it goes on. With --json the parts and events of each lane, all of them:
  {\"user\":\"u1\",\"as_of\":null,\"linked\":[\"u1\"],\"lanes\":[{\"grant\":\"g1\",\"source\":\"crm\",\"parts\":[...],\"events\":[...]}]}

Examples:
  tenure timeline u1
  tenure timeline u1 --as-of 2026-01-20      as it was known then
  tenure timeline u1 --from -30d --to +30d
  tenure timeline u1 --svg u1.svg            a picture for a ticket or a page
  tenure timeline u1 --json | jq '.lanes[].parts[]'";

/// Where no terminal says how wide it is.
const WIDTH: usize = 80;
/// Wider lines are hard to follow.
const WIDEST: usize = 100;
const NARROWEST: usize = 24;

/// What `timeline` may be told.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct TimelineArgs {
    /// The user
    user: String,
    /// Judge by what was recorded up to here [default: all that is recorded]
    #[arg(long, value_name = "K", allow_hyphen_values = true)]
    as_of: Option<String>,
    /// Where the picture begins [default: before the first event]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    from: Option<String>,
    /// Where the picture ends [default: after the last event or end]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    to: Option<String>,
    /// Draw with ASCII only, also where the locale says that the terminal can show more
    #[arg(long)]
    ascii: bool,
    /// Write an SVG file instead; `-` is standard output
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What of a timeline is shown, and how.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shown {
    from: Option<Instant>,
    to: Option<Instant>,
    ascii: bool,
}

pub(crate) fn timeline(run: &mut Run, args: &TimelineArgs) -> Result<Ending, Failure> {
    let user: UserId = id("user id", &args.user)?;
    let now = now();
    let limit = |option: &str, text: &Option<String>| {
        let instant = text.as_deref().map(|text| time(option, text, now));
        instant.transpose()
    };
    let shown = Shown {
        from: limit("--from", &args.from)?,
        to: limit("--to", &args.to)?,
        ascii: args.ascii,
    };
    if args.svg.is_some() && run.json {
        let message = "--svg and --json are two forms: ask for one of them".to_owned();
        return Err(Failure::Usage(message));
    }
    let as_of = as_of(args.as_of.as_deref(), now)?;
    let timeline = run.reader()?.timeline(&user, as_of)?;
    let picture = picture(&timeline, now, shown)?;
    match &args.svg {
        Some(path) if path == Path::new("-") => {
            run.out.bytes(svg::draw(&picture).as_bytes())?;
        }
        Some(path) => write_svg(run, path, &svg::draw(&picture))?,
        None if run.json => run.out.json(&timeline)?,
        None => draw(run, &picture, shown)?,
    }
    Ok(Ending::Done)
}

/// A timeline for a person, at `now`.
pub(crate) fn show(run: &mut Run, timeline: &Timeline, now: Instant) -> Result<(), Failure> {
    let shown = Shown::default();
    let picture = picture(timeline, now, shown)?;
    draw(run, &picture, shown)
}

fn picture(timeline: &Timeline, now: Instant, shown: Shown) -> Result<Picture<'_>, Failure> {
    // What is recorded later than now is not known either.
    let as_of = timeline
        .as_of
        .map(|as_of| as_of.0)
        .filter(|as_of| *as_of < now);
    let mark = Mark {
        at: as_of.unwrap_or(now),
        name: if as_of.is_some() { "as of" } else { "now" },
    };
    let natural = Range::natural(timeline, mark.at);
    let range = natural.limited(shown.from, shown.to).ok_or_else(|| {
        Failure::Usage(match (shown.from, shown.to) {
            (Some(from), Some(to)) => format!(
                "--from `{from}` is not before --to `{to}`: a picture begins before it ends"
            ),
            (Some(at), None) | (None, Some(at)) => {
                format!("`{at}` lies at an end of time: it leaves nothing to show")
            }
            (None, None) => "there is nothing to show".to_owned(),
        })
    })?;
    Ok(Picture::new(timeline, range, mark))
}

fn draw(run: &mut Run, picture: &Picture<'_>, shown: Shown) -> Result<(), Failure> {
    let glyphs = if shown.ascii {
        Glyphs::ASCII
    } else {
        Glyphs::of_locale()
    };
    for line in text::draw(picture, glyphs, columns()) {
        let last = line.len().saturating_sub(1);
        let mut written = String::new();
        for (place, (ink, text)) in line.into_iter().enumerate() {
            let text = if place == last {
                text.trim_end()
            } else {
                &text
            };
            match ink {
                Some(ink) if !text.is_empty() => written.push_str(&run.out.ink(ink, text)),
                Some(_) | None => written.push_str(text),
            }
        }
        run.out.line(format_args!("{}", written.trim_end()))?;
    }
    Ok(())
}

/// How wide a picture may be.
fn columns() -> usize {
    if !io::stdout().is_terminal() {
        return WIDTH;
    }
    let size = terminal_size::terminal_size();
    let width = size.map_or(WIDTH, |(terminal_size::Width(width), _)| width.into());
    width.clamp(NARROWEST, WIDEST)
}

/// A written picture as JSON.
#[derive(Serialize)]
struct WrittenJson<'a> {
    file: &'a Path,
}

fn write_svg(run: &mut Run, path: &Path, svg: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::unwritable(path, &error);
    let new = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = new.map_err(failed)?;
    let written = file
        .write_all(svg.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(failed).inspect_err(|_| {
        // Half a picture is none; that it stays changes nothing in the message.
        let _removed = std::fs::remove_file(path);
    })?;
    if run.json {
        return run.out.json(&WrittenJson { file: path });
    }
    let name = safe(&path.display().to_string());
    run.out.line(format_args!("written to {name}"))
}
