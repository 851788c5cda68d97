//! `verify` and `head`: is the log what was recorded, and the end of it to be kept elsewhere.

use clap::Args;
use serde::Serialize;
use tenure::{KeptHead, Position, Verification};

use crate::failure::{Ending, Failure};
use crate::output::{Ink, counted, safe};
use crate::progress::Meter;
use crate::run::Run;

#[derive(Debug, Args)]
#[command(after_help = "\
The hash of every entry is made anew, every grant is folded anew, and what else the tables hold is held against the log. \
Exit code 1 and the first bad position, if there is a fault.

Whoever can write to the whole file can also make a chain that is sound in itself. Keep heads where they cannot be \
reached: then a log that was cut off or rewritten is found, too.

Examples:
  tenure verify
  tenure verify --head \"$(tail -1 heads.txt)\"
  tenure verify --json")]
pub(crate) struct VerifyArgs {
    /// A head that was kept: the log must still go through it; may be given more than once
    #[arg(long, value_name = "POSITION:HASH")]
    head: Vec<KeptHead>,
}

/// What a verification found, as JSON.
#[derive(Serialize)]
struct VerifiedJson {
    ok: bool,
    entries: u64,
    grants: u64,
    head: KeptHead,
    position: Option<Position>,
    fault: Option<String>,
}

pub(crate) fn verify(run: &mut Run, args: &VerifyArgs) -> Result<Ending, Failure> {
    let mut reader = run.reader()?;
    let meter = Meter::new();
    let verified = reader.verify_against(&args.head, &mut |progress| meter.show(progress));
    meter.clear();
    let found = verified?;
    let ending = match found.fault {
        None => Ending::Done,
        Some(_) => Ending::Fault,
    };
    if run.json {
        run.out.json(&VerifiedJson {
            ok: found.fault.is_none(),
            entries: found.entries,
            grants: found.grants,
            head: found.head,
            position: found.fault.as_ref().and_then(|fault| fault.position()),
            fault: found.fault.map(|fault| fault.to_string()),
        })?;
    } else {
        tell(run, args, &found)?;
    }
    Ok(ending)
}

fn tell(run: &mut Run, args: &VerifyArgs, found: &Verification) -> Result<(), Failure> {
    match &found.fault {
        None => {
            let ok = run.out.ink(Ink::Good, "ok");
            let kept = match args.head.len() {
                0 => String::new(),
                1 => "; the log goes through the head that was kept".to_owned(),
                heads => format!("; the log goes through the {heads} heads that were kept"),
            };
            run.out.line(format_args!(
                "{ok}: {} and {} verified{kept}",
                counted(found.entries, "entry"),
                counted(found.grants, "grant")
            ))?;
        }
        Some(fault) => {
            let bad = run.out.ink(Ink::Bad, "fault");
            run.out
                .line(format_args!("{bad}: {}", safe(&fault.to_string())))?;
            let entries = counted(found.entries, "entry");
            run.out.line(format_args!(
                "{entries} of the log follow one from the other"
            ))?;
        }
    }
    run.out.line(format_args!("head {}", found.head))
}

/// The end of the log, as JSON.
#[derive(Serialize)]
struct HeadJson {
    head: KeptHead,
    position: Position,
    hash: String,
}

pub(crate) fn head(run: &mut Run) -> Result<Ending, Failure> {
    let head = run.reader()?.head()?;
    if run.json {
        run.out.json(&HeadJson {
            head,
            position: head.position,
            hash: head.hash.to_string(),
        })?;
    } else {
        run.out.line(format_args!("{head}"))?;
    }
    Ok(Ending::Done)
}
