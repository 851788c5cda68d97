//! `reconcile`: who has access, against a system's own list of its current subscribers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tenure::{
    Engine, Finding, FindingKind, Instant, Length, Outcome, ReconcileQuestion, Reconciliation,
    SourceName, SqliteStore, StaffStatement, SubscriberList, SubscriberRow,
};

use crate::failure::{Ending, Failure};
use crate::import::file_name;
use crate::import::rows::{Reading, Rejected, Rows, source};
use crate::output::{Table, count, counted, safe};
use crate::progress::Input;
use crate::run::{Run, id, now, time};
use crate::staff::{fresh, grounds};

pub(crate) const RECONCILE: &str = "\
The list is the system's own, of all its current subscribers; --map and what follows it are those of `import`. Grants \
are told apart by key, or, if no column holds one, by user and product.

  missing        listed, and gives no access                  --apply states: granted
  extra          gives access, and is not listed              ended
  ends_differ    both, with other ends                        modified
  other_user     somebody else holds it                       transferred
  other_product  it gives something else                      switched

These are told too, but are meant so, and nothing is stated of them:

  suspended      listed, and a block takes the access
  barred         listed, and staff revoked it
  parent_ended   listed, and the grant it hangs on gives no access
  grace          not listed, and gives access by grace, which ends by itself

Exit code 0: all the same, or --apply left nothing that differs; 1: it differs. What --apply states are statements of \
staff: `tenure log` shows them, `tenure withdraw` takes them back.

Examples:
  tenure reconcile shop subscribers.csv --zone Europe/Berlin \\
    --map 'user=Email,product=Plan,grant=Id,through=Valid until'
  tenure reconcile shop subscribers.csv --zone Europe/Berlin --tolerance PT1H --apply --why 'lost webhooks' \\
    --map 'user=Email,product=Plan,grant=Id,through=Valid until'";

/// So many findings a person is shown.
const SHOWN: usize = 100;
/// So many losses are never too many to be meant.
const FEW: u64 = 5;
/// So many corrections go in at a time.
const BATCH: usize = 500;

#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    /// The source whose subscribers they are
    source: String,
    /// The list, CSV with a heading; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// The instant the list speaks of; with --apply also from when on the corrections hold [default: now]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    at: Option<String>,
    /// Ends that lie no further apart are the same, as PT1H or P1D
    #[arg(long, value_name = "LENGTH", default_value = "PT0S")]
    tolerance: String,
    /// State what settles the differences, as staff
    #[arg(long, requires = "why")]
    apply: bool,
    /// How many grants --apply takes from their users, where they are more than five and more than one in ten
    #[arg(long, value_name = "N", requires = "apply")]
    losing: Option<u64>,
    /// Why, for those who read the log later
    #[arg(long, value_name = "TEXT", requires = "apply")]
    why: Option<String>,
    /// Who applies it [default: TENURE_ACTOR, else the name you are logged in with]
    #[arg(long, value_name = "NAME", requires = "apply")]
    actor: Option<String>,
}

/// The first line of `--json`.
#[derive(Serialize)]
struct Summary<'a> {
    source: &'a SourceName,
    at: Instant,
    rows: u64,
    unreadable: u64,
    same: u64,
    not_current: u64,
    findings: BTreeMap<&'static str, u64>,
    applied: Option<u64>,
    left: Option<u64>,
}

#[derive(Serialize)]
struct UnreadableJson<'a> {
    finding: &'static str,
    row: u64,
    column: Option<&'a str>,
    reason: &'a str,
}

/// What was read of the file.
#[derive(Default)]
struct Read {
    list: SubscriberList,
    rows: u64,
    unreadable: Vec<(u64, Rejected)>,
}

pub(crate) fn reconcile(run: &mut Run, args: &ReconcileArgs) -> Result<Ending, Failure> {
    let now = now();
    let at = args.at.as_deref().map(|text| time("--at", text, now));
    let question = ReconcileQuestion {
        source: source(&args.source)?,
        at: at.transpose()?.unwrap_or(now),
        tolerance: id::<Length>("length", &args.tolerance)?,
    };
    let read = read(args)?;
    if !args.apply {
        let mut reader = run.reader()?;
        let found = reader.reconcile(&question, read.list.clone())?;
        show(run, &question, &read, &found, None)?;
        return Ok(ending(differences(&found) + unreadable(&read)));
    }
    safe_to_apply(args, &read)?;
    let mut engine = run.stating_engine(&question.source)?;
    let found = engine.reader()?.reconcile(&question, read.list.clone())?;
    refuse_to_end_many(args, &found)?;
    let applied = apply(&mut engine, args, &question, &found.findings)?;
    let left = differences(&engine.reader()?.reconcile(&question, read.list.clone())?);
    show(run, &question, &read, &found, Some((applied, left)))?;
    Ok(ending(left))
}

fn read(args: &ReconcileArgs) -> Result<Read, Failure> {
    let mut input = Input::open(Some(&args.file))?;
    let mut rows = Rows::open(&mut input.reader, &args.reading, &args.file)?;
    let mut read = Read::default();
    while let Some(row) = rows.next(&args.file)? {
        read.rows += 1;
        let number = row.number;
        let added = row.read.and_then(|subscriber| {
            let key = subscriber.grant_key();
            let row = SubscriberRow {
                row: number,
                subscriber,
            };
            read.list.add(row).map_err(|first| {
                Rejected::row(format!(
                    "row {first} says something else of grant `{key}`: leave one of them out"
                ))
            })
        });
        if let Err(rejected) = added {
            read.unreadable.push((number, rejected));
        }
    }
    input.clear();
    Ok(read)
}

/// A list that is not whole would end the access of those it does not name.
fn safe_to_apply(args: &ReconcileArgs, read: &Read) -> Result<(), Failure> {
    if let Some((row, rejected)) = read.unreadable.first() {
        return Err(Failure::Usage(format!(
            "{} of `{}` cannot be read, so nothing is applied: whoever they name would lose access. row {row}: {}",
            counted(unreadable(read), "row"),
            args.file.display(),
            rejected.why
        )));
    }
    if read.list.is_empty() {
        return Err(Failure::Usage(format!(
            "`{}` names no subscriber, so nothing is applied: everybody would lose access",
            args.file.display()
        )));
    }
    Ok(())
}

/// A list with the wrong column, of another source or cut short looks like a list on which nearly everybody has gone.
fn refuse_to_end_many(args: &ReconcileArgs, found: &Reconciliation) -> Result<(), Failure> {
    let number = |is_meant: fn(FindingKind) -> bool| {
        let meant = found.findings.iter().filter(|it| is_meant(it.kind));
        u64::try_from(meant.count()).unwrap_or(u64::MAX)
    };
    let losing = number(|kind| matches!(kind, FindingKind::Extra | FindingKind::OtherUser));
    let missing = number(|kind| kind == FindingKind::Missing);
    let known = found.findings.len() as u64 + found.same - missing;
    let are_many = losing > FEW && losing > known / 10;
    let agree_nowhere = found.same == 0 && losing + missing > FEW;
    if args.losing == Some(losing) || args.losing.is_none() && !are_many && !agree_nowhere {
        return Ok(());
    }
    let what = match args.losing {
        Some(said) => format!("{losing} grants would be taken from their users, not {said}"),
        None if are_many => {
            format!("{losing} of {known} grants would be taken from their users")
        }
        None => "the list and what is known agree in no grant".to_owned(),
    };
    Err(Failure::Usage(format!(
        "{what}, so nothing is applied. is the list whole, of this source, and are the columns for user and grant the \
         right ones? look at the comparison without --apply; if it is right, add --losing {losing}"
    )))
}

fn apply(
    engine: &mut Engine<SqliteStore>,
    args: &ReconcileArgs,
    question: &ReconcileQuestion,
    findings: &[Finding],
) -> Result<u64, Failure> {
    let why = args.why.as_deref().unwrap_or_default();
    let grounds = grounds(args.actor.as_deref(), why)?;
    let file = file_name(&args.file);
    let mut applied = 0;
    for some in findings.chunks(BATCH) {
        let mut deliveries = Vec::with_capacity(some.len());
        for finding in some {
            let Some(change) = &finding.correction else {
                continue;
            };
            let statement = StaffStatement {
                id: fresh()?,
                at: tenure::EffectiveAt(question.at),
                grounds: grounds.clone().read_from(&file, finding.row),
                change: change.clone(),
            };
            deliveries.push(statement.delivery());
        }
        let receipts = engine.ingest_batch(deliveries, now())?;
        let taken = receipts
            .iter()
            .filter(|it| it.outcome == Outcome::Applied)
            .count();
        applied += u64::try_from(taken).unwrap_or(u64::MAX);
    }
    Ok(applied)
}

fn differences(found: &Reconciliation) -> u64 {
    let differ = found.findings.iter().filter(|it| it.kind.is_difference());
    u64::try_from(differ.count()).unwrap_or(u64::MAX)
}

fn unreadable(read: &Read) -> u64 {
    u64::try_from(read.unreadable.len()).unwrap_or(u64::MAX)
}

fn ending(differences: u64) -> Ending {
    if differences == 0 {
        Ending::Done
    } else {
        Ending::Differs
    }
}

fn show(
    run: &mut Run,
    question: &ReconcileQuestion,
    read: &Read,
    found: &Reconciliation,
    applied: Option<(u64, u64)>,
) -> Result<(), Failure> {
    let mut findings: BTreeMap<&'static str, u64> = BTreeMap::new();
    for finding in &found.findings {
        *findings.entry(finding.kind.name()).or_default() += 1;
    }
    if !run.json {
        return table(run, read, found, &findings, applied);
    }
    run.out.json(&Summary {
        source: &question.source,
        at: question.at,
        rows: read.rows,
        unreadable: unreadable(read),
        same: found.same,
        not_current: found.not_current,
        findings,
        applied: applied.map(|(applied, _)| applied),
        left: applied.map(|(_, left)| left),
    })?;
    for (row, rejected) in &read.unreadable {
        run.out.json(&UnreadableJson {
            finding: "unreadable",
            row: *row,
            column: rejected.column.as_deref(),
            reason: &rejected.why,
        })?;
    }
    for finding in &found.findings {
        run.out.json(finding)?;
    }
    Ok(())
}

fn table(
    run: &mut Run,
    read: &Read,
    found: &Reconciliation,
    findings: &BTreeMap<&'static str, u64>,
    applied: Option<(u64, u64)>,
) -> Result<(), Failure> {
    let mut line = format!(
        "{}: {} the same",
        counted(read.rows, "row"),
        count(found.same)
    );
    for (name, number) in findings {
        line.push_str(&format!(", {} {name}", count(*number)));
    }
    for (name, number) in [
        ("not current", found.not_current),
        ("unreadable", unreadable(read)),
    ] {
        if number > 0 {
            line.push_str(&format!(", {} {name}", count(number)));
        }
    }
    run.out.line(format_args!("{line}"))?;
    if !read.unreadable.is_empty() {
        let mut table = Table::new(&["row", "column", "why"]);
        for (row, rejected) in read.unreadable.iter().take(SHOWN) {
            let column = rejected.column.clone().unwrap_or_default();
            table.row([row.to_string(), column, rejected.why.clone()]);
        }
        run.out.line(format_args!(""))?;
        run.out.table(&table)?;
    }
    if !found.findings.is_empty() {
        let mut table = Table::new(&["finding", "grant", "user", "row", "known", "listed"]);
        for finding in found.findings.iter().take(SHOWN) {
            table.row([
                told(finding.kind),
                finding.grant.to_string(),
                finding.user.to_string(),
                finding.row.map_or_else(String::new, |row| row.to_string()),
                finding.ours.clone().unwrap_or_default(),
                finding.listed.clone().unwrap_or_default(),
            ]);
        }
        run.out.line(format_args!(""))?;
        run.out.table(&table)?;
        if found.findings.len() > SHOWN {
            run.out
                .line(format_args!("and more: --json tells all of them"))?;
        }
    }
    match applied {
        Some((applied, left)) => settled(run, applied, left),
        None => Ok(()),
    }
}

fn settled(run: &mut Run, applied: u64, left: u64) -> Result<(), Failure> {
    let rest = if left == 0 {
        "nothing differs any more".to_owned()
    } else {
        format!(
            "{} left: something else was stated for that instant",
            count(left)
        )
    };
    let applied = counted(applied, "correction");
    run.out
        .line(format_args!("\n{applied} stated; {}", safe(&rest)))
}

fn told(kind: FindingKind) -> String {
    let name = kind.name();
    if kind.is_difference() {
        name.to_owned()
    } else {
        format!("({name})")
    }
}
